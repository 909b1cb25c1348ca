"""What a file holds, told by its name and its head: a still picture, an animation or a video."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fastnst.images.numbered import is_numbered, numbers_of, picture_number
from fastnst.stylization.moving.video_reader import VIDEO_EXTENSIONS

ANIMATED = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG", ".avif": "AVIF"}
"""Extensions that hold animations, and Pillow's name of the format."""

STILL, ANIMATION, VIDEO = "still", "animation", "video"


class Probe(NamedTuple):
    """What a file holds.

    Attributes:
        path: the file.
        kind: :data:`STILL`, also where it is not a picture; :data:`ANIMATION`, numbered pictures (``%05d.png``)
            included, but not the pages of a TIFF or the sizes of an icon; :data:`VIDEO`, by its extension alone, with
            the other attributes as of an empty file.
        size: width and height in pixels, not yet turned as EXIF says; (0, 0) where it is not a picture.
        frames: their number; 1 where the file tells nothing sensible.
        first: number of the first frame: 1 for an APNG with a picture for those who do not know animations, else 0.
        loop: how often it is played, 0 without end; None where the file does not say (a GIF is then played once).
    """

    path: Path
    kind: str
    size: tuple[int, int] = (0, 0)
    frames: int = 1
    first: int = 0
    loop: int | None = None


def probe(path: str | os.PathLike) -> Probe:
    """Open a file and read its head; what is not a picture is refused by who reads it.

    Raises:
        InputError: numbered pictures that are not there, or not all of them.
    """
    path = Path(path)
    extension = path.suffix.lower()
    if extension in VIDEO_EXTENSIONS:
        return Probe(path, VIDEO)
    if is_numbered(path) and not path.exists():
        numbers = numbers_of(path)
        first = probe(picture_number(path, numbers[0]))
        return Probe(path, ANIMATION, first.size, len(numbers))
    found = Probe(path, STILL)
    with suppress(Exception), Image.open(path) as picture:
        found = found._replace(size=picture.size, first=1 if picture.info.get("default_image") else 0)
        found = found._replace(frames=max(1, int(getattr(picture, "n_frames", 1)) - found.first))
        if found.frames > 1 and extension in ANIMATED and picture.format in ANIMATED.values():
            found = found._replace(kind=ANIMATION)
        if (loop := picture.info.get("loop")) is not None:
            found = found._replace(loop=int(loop))
    return found
