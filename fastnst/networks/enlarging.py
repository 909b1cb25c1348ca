"""Networks that enlarge pictures: a small one that computes at low resolution, and the paper's."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.convolution import Conv2d
from fastnst.errors import InputError
from fastnst.networks.transformer import MOST_BLOCKS, OUTPUTS

FACTORS = (2, 3, 4, 8)
WIDEST = 1024
"""Channels; a model file may claim any number, and its tensors are laid out before its weights are looked for."""


class EnlargingNetwork(nn.Module):
    """Pictures ``factor`` times as large, by what is missing in a bicubic enlargement.

    Everything is computed at low resolution: a 3x3 convolution, residual blocks of two without normalisation (Lim et
    al. 2017, "EDSR", arXiv 1707.02921), the identity around them all, a last 3x3 convolution whose channels become
    pixels (sub-pixel convolution, Shi et al. 2016, arXiv 1609.05158); added to the bicubic enlargement (Kim et al.
    2016, "VDSR", arXiv 1511.04587). A new network is the bicubic enlargement itself. With ``stages`` all of it is done
    several times with the same weights, each result being the next one's input (Lai et al. 2018, "Fast and Accurate
    Image Super-Resolution with Deep Laplacian Pyramid Networks", arXiv 1710.01992, section 3.2).

    Args:
        factor: one of :data:`FACTORS`.
        width: channels.
        residual_blocks: number of blocks, at most :data:`~fastnst.networks.transformer.MOST_BLOCKS`.
        stages: number of stages; ``factor`` is that power of a whole number.

    Raises:
        InputError: an argument has no meaning.
    """

    name = "enlarging"

    def __init__(self, factor: int = 4, width: int = 32, residual_blocks: int = 8, stages: int = 1) -> None:
        super().__init__()
        check_factor(factor)
        self.step = round(factor ** (1 / stages)) if stages in (1, 2, 3) else 0
        """By how much one stage enlarges."""
        if self.step**stages != factor:
            raise InputError(f"network stages={stages}: factor={factor} is not that power of a whole number.")
        if not 1 <= width <= WIDEST or not 0 <= residual_blocks <= MOST_BLOCKS:
            raise InputError(
                f"network width={width}, residual_blocks={residual_blocks}: expected width from 1 to {WIDEST}, "
                f"residual_blocks from 0 to {MOST_BLOCKS}."
            )
        self.arguments: dict[str, Any] = {
            "factor": factor, "width": width, "residual_blocks": residual_blocks, "stages": stages,
        }  # fmt: skip
        self.factor, self.stages = factor, stages
        self.reach = sum(math.ceil((2 * residual_blocks + 2) / self.step**stage) for stage in range(stages))
        """How many low-resolution pixels away a pixel can still make a difference."""
        self.head = _convolution(3, width)
        self.body = nn.Sequential(*(Block(width) for _ in range(residual_blocks)))
        self.tail = _convolution(width, 3 * self.step**2)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, low: Tensor) -> Tensor:
        """(N, 3, H, W), RGB in [0, 1], to (N, 3, factor H, factor W), RGB, to be clamped before it is shown."""
        picture = low
        for _ in range(self.stages):
            details = F.pixel_shuffle(self.convolve(picture), self.step)
            picture = details + F.interpolate(picture, scale_factor=self.step, mode="bicubic")
        return picture

    def convolve(self, low: Tensor) -> Tensor:
        """All layers of a stage: (N, 3, H, W) to the details (N, 3 step^2, H, W)."""
        first = self.head(2.0 * low - 1.0)
        return self.tail(first + self.body(first))


class Johnson2016Enlarging(nn.Module):
    """The paper's for super-resolution (arXiv 1603.08155, supplement, table 2, right under the one for styles).

    c9s1-64, four residual blocks of 64 channels, a 3x3 convolution of stride 1/2 for each doubling, c9s1-3 and the
    scaled tanh, with batch normalisation and zero padding (the supplement pads by reflection for styles only).

    Args:
        factor: 2, 4 or 8; the paper's are 4 and 8.

    Raises:
        InputError: another factor.
    """

    name = "johnson2016_sr"

    def __init__(self, factor: int = 4) -> None:
        super().__init__()
        check_factor(factor)
        if factor == 3:
            raise InputError(
                "network=johnson2016_sr doubles, once or several times: factor=3 is for network=enlarging."
            )
        self.arguments: dict[str, Any] = {"factor": factor}
        self.factor, doublings = factor, int(math.log2(factor))
        self.reach = 4 + 2 * 4 + 2 + 4
        layers: list[nn.Module] = [
            *_normalized(Conv2d(3, 64, 9, padding=4)),
            *(Block(64, norm=True) for _ in range(4)),
        ]
        for _ in range(doublings):
            layers += _normalized(nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1))
        self.layers = nn.Sequential(*layers, Conv2d(64, 3, 9, padding=4))

    def forward(self, low: Tensor) -> Tensor:
        """As :meth:`EnlargingNetwork.forward`; values in [-0.09, 1.09]."""
        return OUTPUTS["tanh"](self.convolve(low))

    def convolve(self, low: Tensor) -> Tensor:
        """All layers: (N, 3, H, W) to what enters the tanh, (N, 3, factor H, factor W)."""
        return self.layers(2.0 * low - 1.0)


class Block(nn.Module):
    """Two 3x3 convolutions and the identity.

    Args:
        channels: in and out.
        norm: batch normalisation after each convolution.
    """

    def __init__(self, channels: int, norm: bool = False) -> None:
        super().__init__()
        last = [nn.BatchNorm2d(channels)] if norm else []
        first = _convolution(channels, channels)
        self.body = nn.Sequential(
            *(_normalized(first) if norm else [first, nn.ReLU(inplace=True)]), _convolution(channels, channels), *last
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _convolution(in_channels: int, out_channels: int) -> Conv2d:
    return Conv2d(in_channels, out_channels, 3, padding=1)


def _normalized(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]


def check_factor(factor: int) -> None:
    """Refuse what no network here enlarges by.

    Raises:
        InputError: not one of :data:`FACTORS`.
    """
    if factor not in FACTORS or isinstance(factor, bool):
        raise InputError(f"factor={factor!r}: expected one of {', '.join(map(str, FACTORS))}.")
