"""From Pillow pictures to tensors (3, H, W) in [0, 1], and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.srgb import on_white, to_rgb_and_alpha

_STRIP = 512  # rows that are converted at once, so that a large picture is not held twice


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """Turn a Pillow picture into ``(3, H, W)`` float32 in [0, 1]; modes other than RGB are converted first."""
    if picture.mode != "RGB":
        rgb, alpha = to_rgb_and_alpha(picture)
        picture = rgb if alpha is None else on_white(rgb, alpha)
    return from_bytes(np.array(picture).transpose(2, 0, 1))


def to_tensor_and_alpha(picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Colour and transparency apart, as :func:`fastnst.images.reading.read_image_with_alpha` gives them."""
    rgb, alpha = to_rgb_and_alpha(picture)
    if alpha is None:
        return to_tensor(rgb), None
    invisible = alpha.point(lambda value: 255 if value == 0 else 0)
    rgb.paste((255, 255, 255), mask=invisible)
    return to_tensor(rgb), from_bytes(np.array(alpha)[None])


def to_pil(image: torch.Tensor) -> Image.Image:
    """Turn ``(3, H, W)`` into an RGB picture: clamped to [0, 1], rounded half up to 8 bits; any float type, any device.

    Raises:
        InputError: another shape, or NaN in the picture.
    """
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise InputError(f"a tensor of shape {tuple(image.shape)} is not one picture; give (3, H, W)")
    return Image.fromarray(to_bytes(image).permute(1, 2, 0).contiguous().numpy())


def from_bytes(array: np.ndarray) -> torch.Tensor:
    """Turn ``(C, H, W)`` bytes into float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(array)).float().div_(255)


def to_bytes(image: torch.Tensor) -> torch.Tensor:
    """Clamp and round half up (not half to even, as ``round`` would) to uint8 on the CPU, without a second copy."""
    channels, height, width = image.shape
    result = torch.empty(height, width, channels, dtype=torch.uint8).permute(2, 0, 1)  # in memory as Pillow has it
    for rows in range(0, image.shape[-2], _STRIP):
        part = image[..., rows : rows + _STRIP, :].detach().to("cpu", torch.float32)
        if part.isnan().any():
            raise InputError("the picture holds NaN; the network that made it has diverged or its weights are damaged")
        result[..., rows : rows + _STRIP, :] = part.clamp(0, 1).mul_(255).add_(0.5).floor_().to(torch.uint8)
    return result
