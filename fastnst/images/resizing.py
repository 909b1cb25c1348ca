"""Change the size of pictures, always antialiased; tensors stay tensors and Pillow pictures stay Pillow pictures."""

from __future__ import annotations

from typing import overload

import torch
import torch.nn.functional as F
from PIL import Image

from fastnst.errors import InputError


@overload
def resize_short_side(image: torch.Tensor, size: int) -> torch.Tensor: ...
@overload
def resize_short_side(image: Image.Image, size: int) -> Image.Image: ...


def resize_short_side(image: torch.Tensor | Image.Image, size: int) -> torch.Tensor | Image.Image:
    """Resize so that the shorter side is ``size`` pixels long; the shape of the picture is kept.

    Args:
        image: ``(3, H, W)`` or ``(N, 3, H, W)`` in [0, 1], or a Pillow picture.
        size: pixels, at least 1.

    Raises:
        InputError: ``size`` below 1.
    """
    height, width = _height_and_width(image)
    short = min(height, width)
    return resize(image, _scaled(height, size, short), _scaled(width, size, short))


@overload
def resize_long_side(image: torch.Tensor, size: int) -> torch.Tensor: ...
@overload
def resize_long_side(image: Image.Image, size: int) -> Image.Image: ...


def resize_long_side(image: torch.Tensor | Image.Image, size: int) -> torch.Tensor | Image.Image:
    """Resize so that the longer side is ``size`` pixels long; see :func:`resize_short_side`."""
    height, width = _height_and_width(image)
    long = max(height, width)
    return resize(image, _scaled(height, size, long), _scaled(width, size, long))


@overload
def resize(image: torch.Tensor, height: int, width: int) -> torch.Tensor: ...
@overload
def resize(image: Image.Image, height: int, width: int) -> Image.Image: ...


def resize(image: torch.Tensor | Image.Image, height: int, width: int) -> torch.Tensor | Image.Image:
    """Resize to exactly ``height`` x ``width`` pixels (bicubic, antialiased); tensors are clamped to [0, 1].

    Raises:
        InputError: a side below 1 pixel.
    """
    if height < 1 or width < 1:
        raise InputError(f"a picture of {height} x {width} pixels was asked for; both sides must be 1 or more")
    if _height_and_width(image) == (height, width):
        return image
    if isinstance(image, Image.Image):
        return image.resize((width, height), Image.Resampling.BICUBIC)
    batch = image if image.ndim == 4 else image[None]
    resized = F.interpolate(batch, size=(height, width), mode="bicubic", antialias=True).clamp(0, 1)
    return resized if image.ndim == 4 else resized[0]


def _height_and_width(image: torch.Tensor | Image.Image) -> tuple[int, int]:
    if isinstance(image, Image.Image):
        return image.height, image.width
    return image.shape[-2], image.shape[-1]


def _scaled(side: int, size: int, reference: int) -> int:
    """``side * size / reference`` rounded half up; a very thin picture keeps one pixel."""
    return size if side == reference or size < 1 else max(1, (2 * side * size + reference) // (2 * reference))
