"""The parts of the transformation network: convolution, residual and upsampling blocks, instance normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.convolution import Conv2d


class InstanceNorm(nn.Module):
    """Instance normalisation with affine parameters (Ulyanov et al. 2016, arXiv 1607.08022, equation 4).

    Each channel of each picture is normalised with the mean and the biased variance of its own pixels, or with those
    of another picture, for instance of the whole picture while only a tile of it passes through. With ``styles`` the
    parameters are one row for each style (conditional instance normalisation, Dumoulin, Shlens & Kudlur 2017,
    arXiv 1610.07629, equation 5).

    Args:
        channels: number of channels C.
        styles: number of styles S; None: one, whose parameters have no rows.
        eps: added to the variance; 1e-5 as in torch and in the released code of Johnson et al.
    """

    def __init__(self, channels: int, styles: int | None = None, eps: float = 1e-5) -> None:
        super().__init__()
        shape = (channels,) if styles is None else (styles, channels)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.eps = eps

    def forward(
        self, x: Tensor, style: Tensor | None = None, statistics: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Normalise ``x`` (N, C, H, W).

        Args:
            x: the features.
            style: (N, S), the share of each style in each picture's parameters; None where there are no rows.
            statistics: mean and biased variance, (N, C, 1, 1) each, instead of those of ``x``.
        """
        if statistics is None and x.device.type == "cpu" and _lies_channels_last(x):  # torch would copy to and fro
            shares = x.new_ones(len(x), 1) if style is None else style
            weight, bias = (shares.to(rows) @ rows.view(-1, x.shape[1]) for rows in (self.weight, self.bias))
            each = zip(x.split(1), weight, bias, strict=True)
            return torch.cat([F.batch_norm(one, None, None, w, b, training=True, eps=self.eps) for one, w, b in each])
        if style is not None:
            weight, bias = (style.to(rows) @ rows for rows in (self.weight, self.bias))
            return torch.addcmul(bias[..., None, None], F.instance_norm(x, eps=self.eps), weight[..., None, None])
        if statistics is None:
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        mean, variance = statistics
        scale = self.weight[:, None, None] * torch.rsqrt(variance + self.eps)
        return (x - mean) * scale + self.bias[:, None, None]


def _lies_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class Chain(nn.Sequential):
    """Layers one after the other; those that normalise are given the style."""

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to what the last layer makes of it; ``style`` as in :meth:`InstanceNorm.forward`."""
        for layer in self:
            x = layer(x, style) if isinstance(layer, InstanceNorm | Chain | ResidualBlock) else layer(x)
        return x


class ConvBlock(Chain):
    """Convolution with reflection padding, instance normalisation, ReLU: (N, C, H, W) to (N, D, H/stride, W/stride)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, styles: int | None = None
    ) -> None:
        super().__init__(
            reflected_conv(in_channels, out_channels, kernel_size, stride),
            InstanceNorm(out_channels, styles),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and the identity, without ReLU after the sum (Gross & Wilber 2016, as Johnson et al.).

    Args:
        channels: number of channels C, in and out.
        separable: each convolution is one for each channel by itself (3x3) and one across the channels (1x1), as in
            MobileNet (Howard et al. 2017, arXiv 1704.04861): about a ninth of the multiplications.
        styles: see :class:`InstanceNorm`.
    """

    def __init__(self, channels: int, separable: bool = False, styles: int | None = None) -> None:
        super().__init__()
        self.body = Chain(
            *_convolution(channels, separable),
            InstanceNorm(channels, styles),
            nn.ReLU(inplace=True),
            *_convolution(channels, separable),
            InstanceNorm(channels, styles),
        )

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x + self.body(x, style)


class UpsampleBlock(Chain):
    """Doubles height and width: nearest neighbour, then convolution (Odena et al. 2016: no checkerboard)."""

    def __init__(self, in_channels: int, out_channels: int, styles: int | None = None) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"), *ConvBlock(in_channels, out_channels, 3, styles=styles)
        )


def phases_of_upsampling(kernel: Tensor) -> Tensor:
    """Of a 3x3 kernel (D, C, 3, 3) behind nearest-neighbour upsampling: (4 D, C, 3, 3) on the small map.

    An even row sees row p - 1 once and row p twice, an odd one row p twice and row p + 1 once; columns likewise. The
    result's channels are even-even, even-odd, odd-even, odd-odd.
    """
    even = kernel.new_tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    odd = kernel.new_tensor([[0, 0, 0], [1, 1, 0], [0, 0, 1]])
    return torch.cat([
        torch.einsum("ik,jl,dckl->dcij", rows, columns, kernel) for rows in (even, odd) for columns in (even, odd)
    ])  # fmt: skip


class TransposedBlock(Chain):
    """Doubles height and width by a convolution of stride 1/2, as in the paper of Johnson et al."""

    def __init__(self, in_channels: int, out_channels: int, styles: int | None = None) -> None:
        super().__init__(
            nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1),
            InstanceNorm(out_channels, styles),
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
