"""The image transformation network of Johnson, Alahi and Fei-Fei (2016), with instance normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.networks.blocks import (
    Chain,
    ConvBlock,
    InstanceNorm,
    ResidualBlock,
    TransposedBlock,
    UpsampleBlock,
    reflected_conv,
)
from fastnst.networks.grain import Grain

MINIMUM_SIZE = 16
"""Smallest height and width in pixels: the residual blocks then still see 4x4 features to reflect."""

MOST_BLOCKS = 100
"""A model file may claim any number, and each block takes time and memory before its weights are looked for."""

MOST_STYLES = 256
"""Of one network; nobody has shown that one of this size learns more than 32 well (Dumoulin et al. 2017)."""

OUTPUT_RANGE = 150.0 / 255.0
"""Half the output range in units of [0, 1]: 127.5 + 150 tanh(z) on 0..255 (jcjohnson/fast-neural-style)."""

OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda z: 0.5 + OUTPUT_RANGE * torch.tanh(z),
    "linear": lambda z: z,
    "dark_tanh": lambda z: OUTPUT_RANGE * torch.tanh(z),
}
"""How the last convolution becomes RGB in [0, 1]: scaled tanh round grey as in the paper; as it is, as in most PyTorch
implementations; or scaled tanh round black, as in rrmina/fast-neural-style-pytorch's TransformerNetworkTanh."""


class TransformerNetwork(nn.Module):
    """c9s1-32, d64, d128, five residual blocks, u64, u32, c9s1-3, scaled tanh (arXiv 1603.08155, supplement, table 1).

    The convolutions keep their biases although instance normalisation cancels most of them, so that the parameter
    count (1,679,235) and the released state dictionaries of the field's PyTorch implementations correspond to ours.

    Args:
        width: channels after the first convolution; 32 is the paper's (twice and four times as many follow).
        residual_blocks: number of residual blocks, at most :data:`MOST_BLOCKS`; the paper's is 5.
        upsampling: ``"nearest"`` (nearest neighbour, then convolution) or ``"transposed"`` (the paper's).
        grain: deviation of the fixed noise on the input, in units of [0, 1], see
            :class:`~fastnst.networks.grain.Grain`; the paper's is 0.
        output: ``"tanh"``, ``"linear"`` or ``"dark_tanh"``, see :data:`OUTPUTS`; the paper's is the first.
        epsilon: added to the variances by instance normalisation.
        trunk: channels of the residual blocks; None: four times ``width``, the paper's.
        kernel: side of the first and the last convolution's kernels, odd, 9 or less; the paper's is 9.
        separable: the residual blocks' convolutions are depthwise separable.
        styles: how many styles share the convolutions, each with its own parameters of the normalisations (Dumoulin,
            Shlens & Kudlur 2017, arXiv 1610.07629), at most :data:`MOST_STYLES`; None: one style.

    Raises:
        InputError: an argument has no meaning.
    """

    name = "transformer"
    """Under which a model file's card lists this network."""

    def __init__(
        self,
        width: int = 32,
        residual_blocks: int = 5,
        upsampling: str = "nearest",
        grain: float = 0.0,
        output: str = "tanh",
        epsilon: float = 1e-5,
        trunk: int | None = None,
        kernel: int = 9,
        separable: bool = False,
        styles: int | None = None,
    ) -> None:
        super().__init__()
        if width < 1 or not 0 <= residual_blocks <= MOST_BLOCKS or not 0 <= grain <= 1 or not 0 < epsilon < 1:
            raise InputError(
                f"network width={width}, residual_blocks={residual_blocks}, grain={grain}, epsilon={epsilon}: expected "
                f"width >= 1, residual_blocks from 0 to {MOST_BLOCKS}, grain from 0 to 1, epsilon between 0 and 1."
            )
        if upsampling not in ("nearest", "transposed"):
            raise InputError(f"network upsampling={upsampling!r}: expected 'nearest' or 'transposed'.")
        if output not in OUTPUTS:
            raise InputError(f"network output={output!r}: expected one of {', '.join(OUTPUTS)}.")
        if (trunk is not None and trunk < 1) or kernel not in (1, 3, 5, 7, 9):
            raise InputError(
                f"network trunk={trunk}, kernel={kernel}: expected trunk >= 1 (or null), kernel 1, 3, 5, 7 or 9."
            )
        if styles is not None and not 1 <= styles <= MOST_STYLES:
            raise InputError(f"network styles={styles}: expected 1 to {MOST_STYLES} styles (or null).")
        up = UpsampleBlock if upsampling == "nearest" else TransposedBlock
        self.arguments: dict[str, Any] = {
            "width": width, "residual_blocks": residual_blocks, "upsampling": upsampling, "grain": grain,
            "output": output, "epsilon": epsilon, "trunk": trunk, "kernel": kernel, "separable": separable,
            "styles": styles,
        }  # fmt: skip
        trunk = 4 * width if trunk is None else trunk
        self.grain = Grain(grain)
        self.encoder = Chain(
            ConvBlock(3, width, kernel, styles=styles),
            ConvBlock(width, 2 * width, 3, stride=2, styles=styles),
            ConvBlock(2 * width, trunk, 3, stride=2, styles=styles),
        )
        self.residual = Chain(*(ResidualBlock(trunk, separable, styles) for _ in range(residual_blocks)))
        self.decoder = Chain(up(trunk, 2 * width, styles), up(2 * width, width, styles))
        self.to_rgb = reflected_conv(width, 3, kernel)
        for norm in self.modules():
            if isinstance(norm, InstanceNorm):
                norm.eps = epsilon

    def forward(self, content: Tensor, origin: tuple[int, int] = (0, 0), style: Tensor | None = None) -> Tensor:
        """Stylize pictures of any size from 16x16 up.

        Args:
            content: (N, 3, H, W), RGB in [0, 1].
            origin: of the grain.
            style: (N, S), the share of each style in each picture; None for a network of one style.

        Returns:
            (N, 3, H, W), RGB; with the paper's tanh in [-0.09, 1.09]; to be clamped to [0, 1] before it is shown.

        Raises:
            ValueError: height or width is under 16, or ``style`` is missing or too much.
        """
        return self.to_unit_range(self.preactivation(content, origin, style))

    def to_unit_range(self, z: Tensor) -> Tensor:
        """What the last convolution gives, as RGB; by default the scaled tanh 0.5 + 150/255 tanh(z). Any shape."""
        return OUTPUTS[self.arguments["output"]](z)

    def preactivation(self, content: Tensor, origin: tuple[int, int] = (0, 0), style: Tensor | None = None) -> Tensor:
        """What the last convolution gives, (N, 3, H, W): training keeps it where the tanh still has a gradient."""
        return self.convolve(self.grain(content, origin), style)

    def convolve(self, grainy: Tensor, style: Tensor | None = None) -> Tensor:
        """All layers for pictures (N, 3, H, W) that have their grain, up to the last convolution."""
        if (style is None) != (self.arguments["styles"] is None):
            raise ValueError(f"style: expected {'none' if style is not None else 'the share of each style, (N, S)'}.")
        height, width = grainy.shape[-2:]
        if height < MINIMUM_SIZE or width < MINIMUM_SIZE:
            raise ValueError(
                f"a picture of {width}x{height} is under {MINIMUM_SIZE}x{MINIMUM_SIZE}: enlarge or pad it."
            )
        # -width % 4 by another way: torch 2.15 cannot compile a remainder of a negative size that varies.
        right, below = 3 - (width + 3) % 4, 3 - (height + 3) % 4
        x = F.pad(2.0 * grainy - 1.0, (0, right, 0, below), mode="reflect")
        x = self.decoder(self.residual(self.encoder(x, style), style), style)
        return self.to_rgb(x)[..., :height, :width]

    @torch.no_grad()
    def of_style(self, shares: Tensor, single: TransformerNetwork | None = None) -> TransformerNetwork:
        """A network of one style from one of many: its convolutions, and the normalisations of a mixture of styles.

        Args:
            shares: (S,), the share of each style.
            single: what this has given before, on any device: only its normalisations change.

        Returns:
            ``single``, or a network that shares no memory with this one.
        """
        own, known = self.state_dict(), single is not None
        if single is None:
            single = type(self)(**{**self.arguments, "styles": None}).to(self.to_rgb.weight).train(self.training)
        for name, value in single.state_dict().items():  # in place
            rows = own[name]
            if rows.ndim > value.ndim:
                value.copy_(shares.to(rows) @ rows)
            elif not known:
                value.copy_(rows)
        return single
