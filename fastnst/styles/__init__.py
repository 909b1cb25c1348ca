"""Ten style pictures that this project painted itself, and the code that paints them.

The pictures ship as JPEG files beside this module; every one is made by the module of the same
name, so it can be painted again, larger, or with another seed.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

NAMES = (
    *("mosaic", "stained_glass", "starry_flow", "waves", "ink", "candy"),  # energetic: hard edges, strong contrasts
    *("oil", "watercolour", "pastel", "woodcut"),  # quiet: features about as strong as photographs'
)
SHIPPED_SIZE = 768
SMALLEST_SIZE, LARGEST_SIZE = 64, 3072  # above, the samples no longer fit into a few GB


def _check(name: str) -> None:
    if name not in NAMES:
        raise InputError(f"no style picture is called {name!r}; choose one of {', '.join(NAMES)}")


def picture_path(name: str) -> Path:
    """Path of the shipped picture, a 768 x 768 JPEG.

    Raises:
        InputError: ``name`` is not one of ``NAMES``.
    """
    _check(name)
    return Path(__file__).with_name(f"{name}.jpg")


def paint(name: str, size: int = SHIPPED_SIZE, seed: int | None = None) -> Image.Image:
    """Paint one picture afresh.

    Args:
        name: one of ``NAMES``.
        size: pixels along one side, 64 to 3072; the composition is the same at every size.
        seed: another seed gives another picture of the same kind; None gives the shipped one.

    Raises:
        InputError: unknown name or a size out of range.
    """
    _check(name)
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise InputError(f"cannot paint {size} pixels square; give a size from {SMALLEST_SIZE} to {LARGEST_SIZE}")
    painter = importlib.import_module(f"fastnst.styles.{name}")
    return painter.paint(size) if seed is None else painter.paint(size, seed)
