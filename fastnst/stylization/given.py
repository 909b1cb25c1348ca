"""Pictures of any kind as tensors, and the stylized ones back as the same kind: what goes in comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.reading import read_image_with_alpha
from fastnst.images.resizing import resize
from fastnst.images.tensors import to_bytes, to_pil, to_tensor_and_alpha

KINDS = (
    "a PIL picture, a NumPy array (H, W, 3) or (N, H, W, 3), a tensor (3, H, W) or (N, 3, H, W), the path of a picture "
    "file, or a list of these"
)
TOLERANCE = 1e-3
"""So far beyond [0, 1] values may lie, after somebody's resizing; the next nearest range is 255 times as wide."""

Back = Callable[[Sequence[Tensor]], Any]
"""Makes of stylized pictures, each (3, H, W) in [0, 1], what was given."""


def as_tensors(picture: Any) -> tuple[Sequence[Tensor], Back]:
    """Pictures of one kind as tensors (3, H, W) in [0, 1], and the way back.

    Args:
        picture: one of :data:`KINDS` but a list. Arrays and tensors are uint8, or of floats in [0, 1]; of a PIL picture
            or a file transparency is kept.

    Raises:
        InputError: it is none of these, or has another shape, type or range; a file cannot be read.
    """
    if isinstance(picture, Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, Image.Image):
        rgb, alpha = to_tensor_and_alpha(picture)
    elif isinstance(picture, str | os.PathLike):
        rgb, alpha = read_image_with_alpha(os.fspath(picture))
    elif isinstance(picture, bytes | bytearray | memoryview):
        raise InputError(
            "a picture was given as bytes: open the file they are of with PIL.Image.open(io.BytesIO(...)), or make an "
            "array (H, W, 3) of them."
        )
    else:
        raise InputError(f"a picture was given as {type(picture).__name__}: expected {KINDS}.")

    def back(stylized: Sequence[Tensor]) -> Image.Image:
        (one,) = stylized
        result = to_pil(one)
        if alpha is not None:
            result.putalpha(Image.fromarray(to_bytes(resize(alpha, *one.shape[-2:]))[0].contiguous().numpy()))
        return result

    return [rgb], back


def _from_tensor(given: Tensor, what: str = "a tensor") -> tuple[Sequence[Tensor], Back]:
    if given.ndim not in (3, 4) or given.shape[-3] != 3 or 0 in given.shape:
        raise InputError(f"a tensor of shape {tuple(given.shape)}: expected (3, H, W) or (N, 3, H, W), RGB.")
    pictures = _in_range(given.detach(), what)

    def back(stylized: Sequence[Tensor]) -> Tensor:
        whole = stylized[0] if given.ndim == 3 else torch.stack(list(stylized))
        if given.dtype == torch.uint8:
            whole = torch.stack([to_bytes(one) for one in whole]) if given.ndim == 4 else to_bytes(whole)
        return whole.to(given.device, given.dtype)

    return [pictures] if given.ndim == 3 else pictures.unbind(), back


def _from_array(given: np.ndarray) -> tuple[Sequence[Tensor], Back]:
    if given.ndim not in (3, 4) or given.shape[-1] != 3 or 0 in given.shape:
        raise InputError(f"an array of shape {given.shape}: expected (H, W, 3) or (N, H, W, 3), RGB.")
    if given.dtype != np.uint8 and given.dtype.kind != "f":
        raise InputError(f"an array of {given.dtype}: expected uint8, or floats in [0, 1].")
    own = np.array(given, np.uint8 if given.dtype == np.uint8 else np.float32)  # torch takes no negative strides
    pictures, back = _from_tensor(torch.from_numpy(own).movedim(-1, -3), "an array")
    return pictures, lambda stylized: back(stylized).movedim(-3, -1).contiguous().numpy().astype(given.dtype)


def _in_range(given: Tensor, what: str) -> Tensor:
    if given.dtype == torch.uint8:
        return given.float() / 255
    if not given.is_floating_point():
        raise InputError(f"{what} of {given.dtype}: expected uint8, or floats in [0, 1].".replace("torch.", ""))
    low, high = (value.item() for value in given.aminmax())
    if not -TOLERANCE <= low <= high <= 1 + TOLERANCE:  # NaN too
        raise InputError(
            f"{what} with values from {low:g} to {high:g}: expected floats in [0, 1] (divide by 255?), or uint8."
        )
    return given.float()
