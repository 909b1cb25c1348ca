"""The networks of Zhu et al. 2017 (arXiv 1703.10593), section 7.2; pictures are RGB in [0, 1], as everywhere here."""

from __future__ import annotations

from torch import Tensor, nn

from fastnst.networks.blocks import reflected_conv

DEVIATION = 0.02
"""Of the first weights, normally distributed round 0 (section 7.1)."""


class Generator(nn.Sequential):
    """c7s1-64, d128, d256, R256 several times, u128, u64, c7s1-3: (N, 3, H, W) to the same, sides multiples of 4.

    Convolutions keep their biases, as in the released code: 11,378,179 weights with 9 blocks. It also has the tanh at
    the end, in the place of the paper's normalisation and ReLU.

    Args:
        width: channels after the first convolution; the paper's is 64.
        blocks: residual blocks: 6 for pictures of 128 pixels, 9 for 256 and more.
    """

    def __init__(self, width: int = 64, blocks: int = 6) -> None:
        super().__init__(
            *_normalised(reflected_conv(3, width, 7)),
            *_normalised(nn.Conv2d(width, 2 * width, 3, 2, 1)),
            *_normalised(nn.Conv2d(2 * width, 4 * width, 3, 2, 1)),
            *(Residual(4 * width) for _ in range(blocks)),
            *_normalised(nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, output_padding=1)),
            *_normalised(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1)),
            reflected_conv(width, 3, 7),
            nn.Tanh(),
        )
        begin(self)

    def forward(self, pictures: Tensor) -> Tensor:
        return 0.5 + 0.5 * super().forward(2.0 * pictures - 1.0)


class Residual(nn.Module):
    """R256: two 3x3 convolutions, padded by reflection, and the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (reflected_conv(channels, channels, 3) for _ in range(2))
        self.body = nn.Sequential(*_normalised(first), *_normalised(second)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Discriminator(nn.Sequential):
    """C64, C128, C256, C512 and a convolution to one channel: for patches of 70x70, how much like a real picture's.

    (N, 3, H, W) from 24 pixels a side up to (N, 1, H/8 - 2, W/8 - 2): 1 is real, 0 is not. The strides are the released
    code's, 2, 2, 2, 1 and 1, for which the patches have 70 pixels. 2,764,737 weights.

    Args:
        width: channels after the first convolution; the paper's is 64.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            *_normalised(nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2)),
            *_normalised(nn.Conv2d(2 * width, 4 * width, 4, 2, 1), nn.LeakyReLU(0.2)),
            *_normalised(nn.Conv2d(4 * width, 8 * width, 4, 1, 1), nn.LeakyReLU(0.2)),
            nn.Conv2d(8 * width, 1, 4, 1, 1),
        )
        begin(self)

    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(2.0 * pictures - 1.0)


def begin(network: nn.Module) -> None:
    """First weights: deviation :data:`DEVIATION`, no biases."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, DEVIATION)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module | None = None) -> list[nn.Module]:
    """With instance normalisation, which has no weights, and an activation (default: ReLU) behind it."""
    return [convolution, nn.InstanceNorm2d(convolution.out_channels), activation or nn.ReLU(inplace=True)]
