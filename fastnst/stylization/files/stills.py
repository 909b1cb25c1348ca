"""One still picture: read it with all that its copy keeps, and save what was painted."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
from torch import Tensor

from fastnst.images.color import luma
from fastnst.images.reading import MAX_PIXELS, read_image_with_alpha, read_image_with_exif
from fastnst.images.resizing import resize
from fastnst.images.saving import save_image
from fastnst.stylization.controls import Controls
from fastnst.stylization.probe import Probe


class Still(NamedTuple):
    """A picture file's content.

    Attributes:
        content: (3, H, W) in [0, 1].
        alpha: (1, H, W) in [0, 1]; None where nothing is transparent.
        exif: camera data for the copy, None without.
        frames: how many the file has; ``content`` is the first.
    """

    content: Tensor
    alpha: Tensor | None
    exif: bytes | None
    frames: int


def read_still(found: Probe, max_pixels: int = MAX_PIXELS) -> Still:
    """Read a picture file; larger ones than ``max_pixels`` are refused before they are decoded.

    Raises:
        InputError: it cannot be read.
    """
    return Still(*read_image_with_exif(found.path, max_pixels=max_pixels), found.frames)


def save_still(
    still: Still,
    stylized: Tensor,
    output: str | os.PathLike,
    controls: Controls,
    *,
    quality: int = 95,
    overwrite: bool = False,
    compare: bool = False,
) -> None:
    """Save what was painted of a picture; transparency and camera data are kept.

    Args:
        still: as read.
        stylized: (3, H, W) in [0, 1], of its size or that of ``controls.max_side``.
        output: its format follows from the extension.
        controls: how it was painted.
        quality: 1 to 100.
        overwrite: replace a file that is there already.
        compare: save before and after side by side instead.

    Raises:
        InputError: the output cannot be written.
    """
    saved, alpha = stylized, still.alpha
    if compare:
        from fastnst.images.grids import side_by_side  # brings Pillow's fonts, which few need

        before = controls.reduce(still.content)
        if stylized.shape[-1] > before.shape[-1]:  # enlarged
            before = resize(before, *stylized.shape[-2:])
        saved, alpha = side_by_side(before, stylized), None
    elif alpha is not None:
        alpha = resize(alpha, stylized.shape[-2], stylized.shape[-1])
    save_image(saved, output, alpha=alpha, quality=quality, overwrite=overwrite, exif=still.exif)


def read_mask(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Brightness of a picture file, (1, H, W): white where to stylize, black where not; what is transparent is black.

    Raises:
        InputError: it cannot be read.
    """
    picture, alpha = read_image_with_alpha(path, max_pixels=max_pixels)
    mask = luma(picture)
    return torch.as_tensor(mask if alpha is None else mask * alpha)
