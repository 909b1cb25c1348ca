"""Numbered pictures, as editors exchange films: ``frames/%05d.png``."""

from __future__ import annotations

import re
from pathlib import Path

from fastnst.errors import InputError

NUMBER = re.compile(r"%(?:0\d+)?d")


def is_numbered(path: Path) -> bool:
    """Whether a path stands for numbered pictures: its name has one ``%d`` or ``%05d``."""
    return len(NUMBER.findall(path.name)) == 1 and path.name.count("%") == 1


def picture_number(path: Path, number: int) -> Path:
    return path.with_name(path.name % number)


def numbers_of(path: Path) -> list[int]:
    """The numbers of the pictures that are there, from the lowest up.

    Raises:
        InputError: there are none, or one between them is missing.
    """
    before, after = (re.escape(part) for part in NUMBER.split(path.name))
    shape = re.compile(f"{before}(\\d+){after}")
    names = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    found = (shape.fullmatch(name) for name in names)
    numbers = sorted(int(match[1]) for match in found if match and path.name % int(match[1]) == match[0])
    if not numbers:
        raise InputError(f"{path}: no picture has a name like {path.name % 1}; check folder and number of digits.")
    missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
    if missing:
        raise InputError(
            f"{path}: {path.name % missing[0]} is missing ({len(missing)} in all): add it, or number the pictures anew."
        )
    return numbers
