"""Low resolution from high: what a network that enlarges learns to undo."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from fastnst.errors import InputError
from fastnst.images.resizing import resize
from fastnst.images.tensors import to_pil, to_tensor

DEGRADATIONS = ("bicubic", "gaussian", "camera")
BLUR = 1.0
"""Deviation in pixels of the paper's blur (Johnson et al. 2016, section 4.2)."""
MOST_NOISE = 6 / 255
"""Deviation of the noise of a camera at high sensitivity, in units of [0, 1]."""
JPEG_QUALITY = (50, 95)


def reduce(pictures: Tensor, factor: int, degradation: str = "bicubic", seed: int | tuple[int, ...] = 0) -> Tensor:
    """Pictures (N, 3, H, W) in [0, 1] at a ``factor``-th of their size, (N, 3, H / factor, W / factor).

    They come out as files hold them, rounded to 8 bits.

    Args:
        factor: divides height and width.
        degradation: ``"bicubic"``: antialiased, as the benchmarks of super-resolution are made; ``"gaussian"``: a blur
            of deviation 1 and bicubic interpolation, as the paper's; ``"camera"``: a blur of up to that deviation,
            antialiased bicubic, noise, and JPEG, each drawn anew for every picture.
        seed: of what is drawn.

    Raises:
        InputError: an unknown degradation.
    """
    if degradation not in DEGRADATIONS:
        raise InputError(f"degradation={degradation!r}: expected one of {', '.join(DEGRADATIONS)}.")
    height, width = pictures.shape[-2] // factor, pictures.shape[-1] // factor
    if degradation == "gaussian":
        low = F.interpolate(gaussian_blur(pictures, 7, BLUR), size=(height, width), mode="bicubic")
        return _in_bytes(low)
    if degradation == "bicubic":
        return _in_bytes(resize(pictures, height, width))
    random = np.random.default_rng(seed)
    return torch.stack([_photographed(one, height, width, random) for one in pictures])


def _photographed(picture: Tensor, height: int, width: int, random: np.random.Generator) -> Tensor:
    blur, noise, quality = random.random(3)
    low = resize(gaussian_blur(picture, 7, max(1e-3, BLUR * blur)), height, width)
    low = low + MOST_NOISE * noise * torch.from_numpy(random.standard_normal(low.shape, np.float32)).to(low)
    file = io.BytesIO()
    to_pil(low).save(file, "JPEG", quality=round(JPEG_QUALITY[0] + quality * (JPEG_QUALITY[1] - JPEG_QUALITY[0])))
    return to_tensor(Image.open(file)).to(picture)


def _in_bytes(pictures: Tensor) -> Tensor:
    return pictures.clamp(0, 1).mul(255).round().div(255)


def whole_multiple(pictures: Tensor, factor: int) -> Tensor:
    """(..., H, W) without the last rows and columns that no multiple of ``factor`` has room for."""
    height, width = pictures.shape[-2:]
    return pictures[..., : height // factor * factor, : width // factor * factor]
