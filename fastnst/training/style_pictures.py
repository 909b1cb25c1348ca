"""The style pictures of a run: one, or many for a network of many styles."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fastnst.errors import InputError, one_line, require_whole
from fastnst.images.listing import list_images
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize_long_side, resize_short_side
from fastnst.networks.transformer import MOST_STYLES
from fastnst.untrusted import is_plain_name

SMALLEST_STYLE = 32
"""Pixels of a style picture's shorter side; less has no texture that the deepest layer could measure."""
THUMBNAIL = 96
"""Pixels of the longer side of what a model file shows of its style; of many styles squares."""


def read_style(path: str | os.PathLike, size: int) -> Tensor:
    """The style picture (3, H, W) in [0, 1], its shorter side ``size`` pixels long.

    Raises:
        InputError: it cannot be read, or it or ``size`` is too small.
    """
    require_whole("style.size", size, SMALLEST_STYLE)
    picture = read_image(path)
    height, width = picture.shape[-2:]
    if min(height, width) < SMALLEST_STYLE:
        raise InputError(f"the style picture {path} is {width}x{height}: expected at least {SMALLEST_STYLE} a side.")
    return resize_short_side(picture, size)


def find_styles(images: str | os.PathLike | Sequence[str]) -> list[Path]:
    """The pictures of ``style.images``: a list of files, or all those of a folder.

    Raises:
        InputError: they are fewer than two or too many, two have one name, or a model file could not hold a name.
    """
    paths = list_images(images, recursive=False) if isinstance(images, str | os.PathLike) else [*map(Path, images)]
    if not 2 <= len(paths) <= MOST_STYLES:
        raise InputError(f"style.images has {len(paths)} pictures: expected 2 to {MOST_STYLES}.")
    names = [path.stem for path in paths]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"style.images has two pictures called {double!r}: a style's name is its file's; rename one.")
    if odd := next((name for name in names if not is_plain_name(name)), None):
        raise InputError(f"style.images has a picture called {odd!r}, which is no name for a style: rename it.")
    return paths


def read_styles(paths: Iterable[Path], size: int) -> dict[str, Tensor]:
    """The style pictures by name; one that cannot be read is named and left out.

    Raises:
        InputError: fewer than two can be read.
    """
    pictures, problems = {}, []
    for path in paths:
        try:
            pictures[path.stem] = read_style(path, size)
        except InputError as error:
            problems.append(f"style {path.stem} is left out: {error}")
    if len(pictures) < 2:
        raise InputError(f"style.images: expected at least 2 pictures that can be read; {problems[0]}")
    for problem in problems:
        print(one_line(f"warning: {problem}"), file=sys.stderr, flush=True)
    return pictures


def thumbnail(styles: Sequence[Tensor]) -> Tensor:
    """What a model file shows: the style picture (3, H, W), small; of many styles squares (S, 3, side, side)."""
    if len(styles) == 1:
        return resize_long_side(styles[0], THUMBNAIL)
    squares = []
    for style in styles:
        small = resize_short_side(style, THUMBNAIL)
        top, left = (small.shape[1] - THUMBNAIL) // 2, (small.shape[2] - THUMBNAIL) // 2
        squares.append(small[:, top : top + THUMBNAIL, left : left + THUMBNAIL])
    return torch.stack(squares)


def fingerprint(paths: Iterable[str | os.PathLike]) -> str:
    """Identifies style pictures, whatever their names and places."""
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in paths)).hexdigest()
