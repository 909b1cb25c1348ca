"""Where the files that come with fastnst lie, and those that it keeps for its user."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """``configs/`` or ``checkpoints/``: inside the package when it is installed, beside it in a checkout."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def home() -> Path:
    """``$FASTNST_HOME``, else ``$XDG_CACHE_HOME/fastnst``, else ``~/.cache/fastnst``."""
    given = os.environ.get("FASTNST_HOME")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastnst"


def python_path() -> str:
    """``$PYTHONPATH`` with which another Python finds this package, too."""
    places = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.pathsep.join(dict.fromkeys(places))
