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
    "ink": Release(6767014, "31f028738fa86f86b6644cdc9dabd6bab15bec1b262e45d39f3691b7e35a678f"),
    "stained_glass": Release(6767078, "64a5764d31513c72e4b7d30315ac2eb96074aba7f9c750c384c74a5adf546079"),
    "starry_flow": Release(6767078, "6d0a7a99c411116a8490622496bd3f7ec9baa4a43e26575d13ff270451753705"),
    "waves": Release(6767014, "3439a1bc14f611184604a821258a59ea5586a45597e19dcc59e0d24486f6f2b3"),
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
