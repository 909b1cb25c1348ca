"""The pictures in a folder, and which files are pictures."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from PIL import Image

from fastnst.errors import InputError, reason

# Formats that Pillow lists but cannot decode by itself (they need a plug-in, Windows or Ghostscript), or that are no
# pictures. EPS and PS would moreover be handed to an outside program.
NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}


def list_images(folder: str | os.PathLike, recursive: bool = True) -> list[Path]:
    """List the pictures in a folder by their extension, sorted, without opening any.

    Hidden files and folders are passed over; linked folders are followed, each once.

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is {'a file' if folder.exists() else 'not there'}; give a folder of pictures")
    extensions = tuple(readable_extensions())
    found: list[str] = []
    visited: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({reason(error)}); check its permissions") from error

    for where, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        status = os.stat(where)
        if (status.st_dev, status.st_ino) in visited:  # a link back up would go round for ever
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        found.extend(
            os.path.join(where, name)
            for name in files
            if name.lower().endswith(extensions) and not name.startswith(".")
        )
    return [Path(name) for name in sorted(found)]


@lru_cache(maxsize=1)
def readable_extensions() -> list[str]:
    """Extensions (lower case, with the dot) of the still pictures that the installed Pillow can open."""
    known = Image.registered_extensions()
    return sorted(extension for extension, name in known.items() if name in Image.OPEN and name not in NOT_PICTURES)
