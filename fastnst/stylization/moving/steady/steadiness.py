"""Steady videos: blend each frame with the one before, moved along by optical flow; and a measure of flicker.

The blend is that of Ruder, Dosovitskiy & Brox (2016, arXiv 1604.08610) without its optimization: where a pixel could be
seen before, the stylized frame is pulled towards what was shown there; where it could not, it stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.tensors import to_bytes
from fastnst.stylization.moving.steady.optical_flow import Motion


class Steady:
    """Blends stylized frames with the frame shown before, along the flow of the source.

    Args:
        amount: 0 to 1: how much of a pixel comes from before where flow and colours agree.

    Raises:
        InputError: ``amount`` outside its range.
    """

    def __init__(self, amount: float = 0.8) -> None:
        if not 0 <= amount < 1:
            raise InputError(f"temporal={amount}: expected a number from 0 to below 1, for instance 0.8.")
        self.amount = amount
        self.before: Tensor | None = None

    def __call__(self, stylized: Tensor, motion: Motion | None) -> Tensor:
        """The next frame to show, (3, H, W), from the stylized one and the source's :class:`Motion` to it."""
        if self.before is not None and motion is not None:
            weight = self.amount * torch.from_numpy(motion.trust).float()
            stylized = torch.lerp(stylized, motion.carry(self.before), weight)
        self.before = to_bytes(stylized).float().div_(255)  # as shown: a resumed film goes on from its file
        return stylized


class Flicker:
    """How much more consecutive frames differ, moved along by the source's flow, than those of the source itself.

    The mean absolute difference to the frame before, moved along, over all pixels that both show; for the result and
    for the source. Their ratio is 1 where the result is as steady as the source.
    """

    def __init__(self) -> None:
        self.before: tuple[Tensor, Tensor] | None = None
        self.source_change, self.result_change, self.weight = 0.0, 0.0, 0.0

    def add(self, source: Tensor, result: Tensor, motion: Motion | None) -> None:
        """Take in the next frame and its result, (3, H, W) each, and the source's :class:`Motion` to it."""
        if self.before is not None and motion is not None:
            weight = torch.from_numpy(motion.trust > 0.5).float()
            source_change, result_change = (
                float(((now - motion.carry(before)).abs().mean(dim=0) * weight).sum())
                for now, before in zip((source, result), self.before, strict=True)
            )
            self.source_change += source_change
            self.result_change += result_change
            self.weight += float(weight.sum())
        self.before = source, result

    @property
    def ratio(self) -> float:
        """Change of the result over change of the source; NaN before there are two frames."""
        return self.result_change / self.source_change if self.source_change > 0 else float("nan")

    def __str__(self) -> str:
        if self.weight == 0:
            return "flicker: needs two frames or more"
        source, result = (255 * value / self.weight for value in (self.source_change, self.result_change))
        return (
            f"flicker {self.ratio:.2f} (stylized frames change by {result:.2f}/255 along the flow, source {source:.2f})"
        )
