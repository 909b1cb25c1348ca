"""PSNR and SSIM as the literature of super-resolution measures them: of the luminance, without the border."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.color import luma

WINDOW, DEVIATION = 11, 1.5
"""Side and Gaussian deviation in pixels of SSIM's window."""


def luminance(picture: Tensor) -> Tensor:
    """Y of YCbCr with the range of television, in whole numbers from 16 to 235 (Recommendation ITU-R BT.601).

    Both roundings, of the colours and of Y, are those of MATLAB's ``rgb2ycbcr`` for pictures of 8 bits, with which the
    published figures were made; without them bicubic enlargement of Set5 by 4 has 28.43 dB, not 28.42.

    Args:
        picture: (N, 3, H, W), RGB in [0, 1]; values outside are clamped.

    Returns:
        (N, 1, H, W), float64, on the CPU: Apple's GPUs have none.
    """
    stored = picture.cpu().double().clamp(0, 1).mul(255).round()
    return (16 + 219 / 255 * luma(stored)).round()


def quality(picture: Tensor, original: Tensor, border: int) -> dict[str, float]:
    """``{"psnr": dB, "ssim": at most 1}``, means over pictures; equal ones have a PSNR of infinity.

    SSIM is that of Wang et al. 2004 (IEEE Transactions on Image Processing 13): a Gaussian window of 11x11 pixels and
    deviation 1.5, constants 0.01 and 0.03, dynamic range 255, where the window lies within the picture.

    Args:
        picture: (N, 3, H, W), RGB in [0, 1].
        original: what it should be.
        border: rows and columns left out at each side; by custom the factor of enlargement.

    Raises:
        InputError: within the border is less than SSIM's window.
    """
    height, width = picture.shape[-2:]
    if min(height, width) < WINDOW + 2 * border:
        raise InputError(
            f"a picture of {width}x{height} is too small to measure: at least {WINDOW + 2 * border} a side."
        )
    rows, columns = slice(border, height - border), slice(border, width - border)
    a, b = luminance(picture)[..., rows, columns], luminance(original)[..., rows, columns]
    psnr = 10 * torch.log10(255**2 / (a - b).square().mean(dim=(1, 2, 3))).mean()
    return {"psnr": psnr.item(), "ssim": ssim(a, b).item()}


def ssim(a: Tensor, b: Tensor, most: float = 255.0) -> Tensor:
    """Structural similarity of (N, 1, H, W) with values up to ``most``, mean over pictures and places."""
    places = torch.arange(WINDOW, dtype=a.dtype, device=a.device) - WINDOW // 2
    weights = torch.exp(-0.5 * (places / DEVIATION) ** 2)
    weights = weights / weights.sum()

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, weights[None, None, None]), weights[None, None, :, None])

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * most) ** 2, (0.03 * most) ** 2
    brightness = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (brightness * (2 * covariance + c2) / (variance_a + variance_b + c2)).mean()
