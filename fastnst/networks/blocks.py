"""The parts of the transformation network: convolution, residual and upsampling blocks, instance normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.convolution import Conv2d


class InstanceNorm(nn.Module):
    """Instance normalisation with affine parameters (Ulyanov et al. 2016, arXiv 1607.08022, equation 4).

    Each channel of each picture is normalised with the mean and the biased variance of its own pixels, or with those
    of another picture, for instance of the whole picture while only a tile of it passes through.

    Args:
        channels: number of channels C.
        eps: added to the variance; 1e-5 as in torch and in the released code of Johnson et al.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Normalise ``x`` (N, C, H, W), with its own mean and biased variance or with others, (N, C, 1, 1) each."""
        if statistics is None:
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        mean, variance = statistics
        scale = self.weight[:, None, None] * torch.rsqrt(variance + self.eps)
        return (x - mean) * scale + self.bias[:, None, None]


class ConvBlock(nn.Sequential):
    """Convolution with reflection padding, instance normalisation, ReLU: (N, C, H, W) to (N, D, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(
            reflected_conv(in_channels, out_channels, kernel_size, stride),
            InstanceNorm(out_channels),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and the identity, without ReLU after the sum (Gross & Wilber 2016, as Johnson et al.).

    Args:
        channels: number of channels C, in and out.
        separable: each convolution is one for each channel by itself (3x3) and one across the channels (1x1), as in
            MobileNet (Howard et al. 2017, arXiv 1704.04861): about a ninth of the multiplications.
    """

    def __init__(self, channels: int, separable: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, separable),
            InstanceNorm(channels),
            nn.ReLU(inplace=True),
            *_convolution(channels, separable),
            InstanceNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x + self.body(x)


class UpsampleBlock(nn.Sequential):
    """Doubles height and width: nearest neighbour, then convolution (Odena et al. 2016: no checkerboard)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.Upsample(scale_factor=2, mode="nearest"), *ConvBlock(in_channels, out_channels, 3))


class TransposedBlock(nn.Sequential):
    """Doubles height and width by a convolution of stride 1/2, as in the paper of Johnson et al."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1),
            InstanceNorm(out_channels),
            nn.ReLU(inplace=True),
        )


def reflected_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> Conv2d:
    """A convolution that pads by reflection, so that the picture's border looks like its inside."""
    padding = kernel_size // 2
    return Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=padding, padding_mode="reflect", groups=groups
    )


def _convolution(channels: int, separable: bool) -> list[nn.Module]:
    if not separable:
        return [reflected_conv(channels, channels, 3)]
    return [reflected_conv(channels, channels, 3, groups=channels), nn.Conv2d(channels, channels, 1)]
