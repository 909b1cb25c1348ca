"""Models that do not come with the package: downloaded by name, checked, and kept for the next time."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

from fastnst.errors import InputError, reason
from fastnst.writing import written_whole

ADDRESS = "FASTNST_RELEASES"
"""Environment variable with the URL of a folder that holds the files. The project has no public one yet."""
TIMEOUT = 30.0
"""Seconds without an answer."""


class Release(NamedTuple):
    size: int  # bytes
    sha256: str


RELEASES = {
    "candy": Release(3420070, "7e8aadabd4aaf6772d60e3e36886c54368e7111c4bf6bb4ba86b50c72fe199cf"),
    "paintings_steady": Release(3786726, "4b49e4157eac40bf13e17dd581a76dd918e1ea3bfbb08f0c92e7c4178c147272"),
}
"""Those of checkpoints/ in a checkout that pyproject.toml leaves out of the wheel."""


def download(name: str, folder: Path) -> Path:
    """Download ``NAME.ckpt`` into ``folder``, whole or not at all.

    Raises:
        InputError: there is no address, nobody answers there, or with another file; or it cannot be written.
    """
    expected, file = RELEASES[name], f"{name}.ckpt"
    address = os.environ.get(ADDRESS)
    if not address:
        raise InputError(
            f"model {name!r} does not come with the installed package: put {file}, from checkpoints/ of the "
            f"repository, into {folder}, or set {ADDRESS} to the address of a folder with it."
        )
    url = f"{address.rstrip('/')}/{file}"
    print(f"Downloading {url} ({expected.size / 1e6:.1f} MB) ...", file=sys.stderr, flush=True)
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT) as answer:
            content = answer.read(expected.size + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(
            f"{url} cannot be downloaded ({reason(error)}): check {ADDRESS}, or put {file} into {folder}."
        ) from None
    if Release(len(content), hashlib.sha256(content).hexdigest()) != expected:
        raise InputError(f"{url} is not the {file} of this fastnst (its SHA-256 differs): check {ADDRESS}.")
    with written_whole(folder / file) as beside:
        beside.write_bytes(content)
    return folder / file
