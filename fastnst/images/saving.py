"""Save pictures; the format follows from the extension."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image

from fastnst.errors import InputError, reason
from fastnst.images.srgb import on_white
from fastnst.images.tensors import to_bytes, to_pil
from fastnst.writing import written_whole

# What a picture may be saved as, and whether that keeps transparency.
_SAVED_AS = {
    ".png": ("PNG", True),
    ".jpg": ("JPEG", False),
    ".jpeg": ("JPEG", False),
    ".webp": ("WEBP", True),
    ".avif": ("AVIF", True),
    ".tif": ("TIFF", True),
    ".tiff": ("TIFF", True),
    ".bmp": ("BMP", False),
}


def save_image(
    image: torch.Tensor,
    path: str | os.PathLike,
    *,
    alpha: torch.Tensor | None = None,
    quality: int = 95,
    overwrite: bool = False,
    exif: bytes | None = None,
) -> None:
    """Write ``(3, H, W)`` in [0, 1] to a file whose format follows from the extension.

    The file appears under its name only when it is complete. Missing folders are made.

    Args:
        image: ``(3, H, W)``; values outside [0, 1] are clamped.
        path: ends in .png, .jpg, .webp, .avif, .tif or .bmp.
        alpha: ``(1, H, W)`` in [0, 1]; kept where the format can, laid on white in JPEG and BMP.
        quality: 1 to 100, for JPEG, WebP and AVIF; colour is stored at full resolution in JPEG.
        overwrite: replace a file that is there already.
        exif: from :func:`read_image_with_exif`, kept where the format can.

    Raises:
        InputError: unknown extension, the file exists, the folder cannot be written to, the disk is full, or the
            picture is too large for the format.
    """
    path = Path(path)
    extension = path.suffix.lower()
    if extension not in savable_extensions():
        given = f"ends in {path.suffix}" if path.suffix else "has no extension"
        raise InputError(f"{path} {given}; pictures are saved as one of {', '.join(savable_extensions())}")
    if not 1 <= quality <= 100:
        raise InputError(f"quality {quality} is outside 1 to 100; 95 is a good value")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a picture file")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another name or ask to overwrite it")

    file_format, keeps_alpha = _SAVED_AS[extension]
    picture = to_pil(image)
    if alpha is not None:
        if tuple(alpha.shape) != (1, *image.shape[1:]):
            raise InputError(
                f"alpha has shape {tuple(alpha.shape)}; expected {(1, *image.shape[1:])} as of the picture"
            )
        mask = Image.fromarray(to_bytes(alpha)[0].numpy())
        if keeps_alpha:
            picture.putalpha(mask)
        else:
            picture = on_white(picture, mask)
    options: dict[str, object] = {} if file_format in ("PNG", "BMP", "TIFF") else {"quality": quality}
    if file_format == "JPEG":
        options["subsampling"] = 0  # strokes of pure colour smear at half colour resolution
    if exif and file_format != "BMP":
        options["exif"] = exif

    advice = "check folder, disk space and size"
    with written_whole(path, advice) as beside, open(beside, "wb") as file:
        try:
            picture.save(file, file_format, **options)
        except ValueError as error:  # too large for the format
            raise InputError(f"{path} cannot be written ({reason(error)}): {advice}.") from error


@lru_cache(maxsize=1)
def savable_extensions() -> list[str]:
    """Extensions that :func:`save_image` writes; .webp and .avif only where the installed Pillow can."""
    Image.init()
    return [extension for extension, (name, _) in _SAVED_AS.items() if name in Image.SAVE]
