"""Numbered pictures as films, in and out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.numbered import numbers_of, picture_number
from fastnst.images.reading import MAX_PIXELS
from fastnst.images.saving import save_image
from fastnst.stylization.moving.animation import Frame, frame_of
from fastnst.stylization.moving.tone_mapping import srgb_signal
from fastnst.stylization.moving.video_reader import import_av

RATE = Fraction(25)
"""Frames a second; pictures do not say."""


class SequenceReader:
    """Numbered pictures, from the lowest number up.

    Attributes:
        count, loop: as of an animation.
        numbers: of the pictures.
        problem: None: what cannot be read is refused.

    Raises:
        InputError: there are none, one between them is missing or cannot be read, or they are not of one size.
    """

    problem: str | None = None
    loop: int | None = None
    rate = RATE

    def __init__(self, path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> None:
        self.path, self.max_pixels = Path(path), max_pixels
        self.numbers = numbers_of(self.path)
        self.count = len(self.numbers)

    def __iter__(self) -> Iterator[Frame]:
        first: tuple[int, int] | None = None
        for number in self.numbers:
            file = picture_number(self.path, number)
            try:
                with opened(file, self.max_pixels) as picture:
                    first = first or picture.size
                    if picture.size == first and picture.width * picture.height <= self.max_pixels:
                        yield frame_of(picture)._replace(duration=float(1000 / RATE))
                        continue
            except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error and more
                raise InputError(f"{file} cannot be read as a picture ({error}).") from None
            raise InputError(
                f"{file} has {picture.width} x {picture.height} pixels: expected {first[0]} x {first[1]} as the first, "
                f"and {self.max_pixels:,} at most."
            )


def opened(file: Path, max_pixels: int) -> Image.Image:
    """A picture, of OpenEXR too, which FFmpeg decodes: linear light becomes sRGB, and what is brighter than 1 white.

    Raises:
        InputError: PyAV is needed and not installed, or an OpenEXR file has more than ``max_pixels``.
    """
    if file.suffix.lower() != ".exr":
        return Image.open(file)
    with import_av().open(str(file)) as container:
        size = container.streams.video[0]
        if size.width * size.height > max_pixels:
            raise InputError(f"{size.width} x {size.height} pixels, {max_pixels:,} at most")
        linear = next(container.decode(video=0)).to_ndarray(format="gbrapf32le")  # (H, W, 4), in the order RGBA
    alpha = np.clip(linear[..., 3:], 0, 1)
    light = np.clip(linear[..., :3] / np.maximum(alpha, 1e-6), 0, 1)  # colours are stored multiplied by alpha
    return Image.fromarray((255 * np.dstack((srgb_signal(light), alpha)) + 0.5).astype(np.uint8))


def write_sequence(
    path: str | os.PathLike, frames: Iterable[Frame], first: int = 1, *, quality: int = 95, overwrite: bool = False
) -> int:
    """Save each frame as it comes, numbered from ``first`` on; returns how many there were.

    Raises:
        InputError: a picture is there already, or cannot be written.
    """
    number = first - 1
    for number, frame in enumerate(frames, start=first):
        file = picture_number(Path(path), number)
        save_image(frame.picture, file, alpha=frame.alpha, quality=quality, overwrite=overwrite)
    return number - first + 1
