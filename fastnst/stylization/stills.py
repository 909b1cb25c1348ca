"""One still picture from file to file."""

from __future__ import annotations

import os
from contextlib import suppress

import torch
from PIL import Image
from torch import Tensor

from fastnst.images.color import luma
from fastnst.images.files import MAX_PIXELS, read_exif, read_image_with_alpha, save_image
from fastnst.images.grids import side_by_side
from fastnst.images.resizing import resize
from fastnst.stylization.controls import Controls
from fastnst.stylization.stylizer import Stylizer
from fastnst.stylization.tiling import Progress


def stylize_still(
    source: str | os.PathLike,
    output: str | os.PathLike,
    stylizer: Stylizer,
    controls: Controls,
    *,
    quality: int = 95,
    overwrite: bool = False,
    compare: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor, list[str]]:
    """Read, stylize and save a picture; transparency and camera data are kept.

    Args:
        source: any picture file.
        output: its format follows from the extension.
        stylizer: paints.
        controls: how.
        quality: 1 to 100.
        overwrite: replace a file that is there already.
        compare: save before and after side by side instead.
        max_pixels: larger files are refused before they are decoded.
        progress: is told the finished part of a picture in tiles.

    Returns:
        The picture as read and as stylized, (3, H, W) in [0, 1], and what there is to be said about it.

    Raises:
        InputError: the source cannot be read, or the output not be written.
    """
    content, alpha = read_image_with_alpha(source, max_pixels=max_pixels)
    stylized = stylizer(content, controls, progress)
    if compare:
        saved, alpha = side_by_side(controls.reduce(content), stylized), None
    else:
        saved = stylized
        alpha = None if alpha is None else resize(alpha, stylized.shape[-2], stylized.shape[-1])
    save_image(saved, output, alpha=alpha, quality=quality, overwrite=overwrite, exif=read_exif(source))
    frames = count_frames(source)
    return content, stylized, [f"the first of {frames} frames was taken"] if frames > 1 else []


def count_frames(path: str | os.PathLike) -> int:
    """Frames or pages of a picture file; 1 where it does not tell."""
    with suppress(Exception), Image.open(path) as picture:
        return int(getattr(picture, "n_frames", 1))
    return 1


def read_mask(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Brightness of a picture file, (1, H, W): white where to stylize, black where not; what is transparent is black.

    Raises:
        InputError: it cannot be read.
    """
    picture, alpha = read_image_with_alpha(path, max_pixels=max_pixels)
    mask = luma(picture)
    return torch.as_tensor(mask if alpha is None else mask * alpha)
