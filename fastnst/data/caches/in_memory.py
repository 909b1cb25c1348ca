"""Decoded photographs that stay in memory: small crops of large files are then no work."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from fastnst.data.photos import OpenPhoto


class InMemory:
    """Reads each photograph once, as long as there is room; every epoch takes them in another order, so none leaves.

    Args:
        open_photo: reads a photograph, whole.
        room: bytes.
    """

    def __init__(self, open_photo: OpenPhoto, room: int) -> None:
        self._open, self._room = open_photo, room
        self._kept: dict[str, Image.Image] = {}

    def open_photo(self, path: str | os.PathLike, **options: Any) -> Image.Image:
        """As :func:`~fastnst.images.reading.open_image`; the picture is not to be changed."""
        name = os.fspath(path)
        if (kept := self._kept.get(name)) is not None:
            return kept
        picture = self._open(path, **{**options, "draft_size": None})
        size = 3 * picture.width * picture.height
        if size <= self._room:
            self._room -= size
            self._kept[name] = picture
        return picture
