"""Where photographs come from: COCO, a folder of one's own, or the few that scikit-image brings along."""

from __future__ import annotations

import os
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from fastnst.command_line import called
from fastnst.errors import InputError
from fastnst.images.listing import list_images

SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
"""The colour photographs among the pictures in the scikit-image wheel. Left out: the right half of the motorcycle
stereo pair (nearly the same picture), microscopy, a retina, the sky through a telescope, drawings and grey pictures."""


def coco_photos(root: str | os.PathLike) -> list[Path]:
    """List the photographs of COCO's train2017; ``root`` is that folder or the one that holds it.

    Raises:
        InputError: nothing there; the message says what was found instead.
    """
    root = Path(root)
    inside = root / "train2017"
    try:
        return folder_photos(inside if inside.is_dir() else root)
    except InputError as error:
        raise InputError(f"{error}; COCO is downloaded with: {called('download_coco')}") from error


def folder_photos(root: str | os.PathLike) -> list[Path]:
    """List the pictures in a folder and its sub-folders.

    Raises:
        InputError: there is no such folder, or no picture in it; the message says what was found instead.
    """
    photos = list_images(root)
    if not photos:
        raise InputError(f"{root} holds no pictures, only {_contents(Path(root))}; give a folder of photographs")
    return photos


def sample_photos() -> list[Path]:
    """List the colour photographs inside the installed scikit-image: a handful, enough to try things out.

    Raises:
        InputError: scikit-image is not installed, or came without its pictures.
    """
    spec = find_spec("skimage")  # finds the folder without the seconds that importing it takes
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    photos = [path for folder in folders for name in SAMPLES if (path := Path(folder, "data", name)).is_file()]
    if not photos:
        raise InputError("the sample photographs are missing; install them with: pip install scikit-image")
    return sorted(photos)


def find_photo(given: str | os.PathLike) -> Path:
    """A picture file, or a sample photograph by name: ``chelsea`` for ``chelsea.png``.

    Raises:
        InputError: neither; the message lists the samples.
    """
    if Path(given).is_file():
        return Path(given)
    samples = {path.stem: path for path in sample_photos()}
    if str(given) not in samples:
        raise InputError(f"{given}: there is no such picture file, nor a sample photograph ({', '.join(samples)})")
    return samples[str(given)]


def _contents(root: Path) -> str:
    """What lies in a folder, in a few words: ``2 folders, 1 file .zip (unpack it first)``."""
    folders = 0
    extensions: Counter[str] = Counter()
    for _, names, files in os.walk(root):
        folders += len(names)
        extensions.update(os.path.splitext(name)[1].lower() or "without extension" for name in files)
    kinds = [f"{count} file{'s' if count > 1 else ''} {kind}" for kind, count in extensions.most_common(5)]
    if folders:
        kinds.insert(0, f"{folders} folder{'s' if folders > 1 else ''}")
    archives = {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"} & set(extensions)
    return (", ".join(kinds) or "nothing") + (" (unpack the archive first)" if archives else "")
