"""A network of somebody's own in the place of ours: any module that makes pictures of pictures."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.networks.transformer import TransformerNetwork


class OwnNetwork(nn.Module):
    """A module with what training and stylizing ask of a network beyond its ``forward``.

    The module takes pictures (N, 3, H, W), RGB in [0, 1], any H and W from 16 up, and gives the same shape, RGB, to be
    clamped to [0, 1]. It may have ``preactivation(pictures)`` and ``to_unit_range(z)``, of which its ``forward`` then
    is the one after the other: training holds z within about +-1.2 (``range_weight``), where a tanh has a gradient.
    Otherwise z is the picture.

    Args:
        body: the module.
    """

    name = "custom"

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        kind = type(body)
        self.arguments: dict[str, Any] = {
            "class": f"{kind.__module__}.{kind.__qualname__}", "styles": None, "output": None,
        }  # fmt: skip

    def forward(self, content: Tensor, origin: tuple[int, int] = (0, 0), style: Tensor | None = None) -> Tensor:
        """See :meth:`TransformerNetwork.forward`; the grain's origin and the style have no meaning here."""
        return self._checked(self.body(content), content)

    def preactivation(self, content: Tensor, origin: tuple[int, int] = (0, 0), style: Tensor | None = None) -> Tensor:
        if not self._has_range:
            return self(content)
        return self._checked(self.body.preactivation(content), content)  # type: ignore[operator]

    def to_unit_range(self, z: Tensor) -> Tensor:
        return self.body.to_unit_range(z) if self._has_range else z  # type: ignore[operator]

    @property
    def _has_range(self) -> bool:
        return hasattr(self.body, "preactivation") and hasattr(self.body, "to_unit_range")

    def _checked(self, made: Any, content: Tensor) -> Tensor:
        if not isinstance(made, Tensor) or made.shape != content.shape:
            what = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise InputError(
                f"the network {self.arguments['class']} makes {what} of {tuple(content.shape)}: expected the same "
                "shape, for any height and width from 16 up."
            )
        return made


def adapted(network: nn.Module) -> TransformerNetwork:
    """The network itself where it is ours, else within :class:`OwnNetwork`, which stands in for it."""
    if type(network) is TransformerNetwork or isinstance(network, OwnNetwork):
        return cast(TransformerNetwork, network)
    return cast(TransformerNetwork, OwnNetwork(network))
