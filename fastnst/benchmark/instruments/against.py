"""Somebody else's code for ``--against``: an importable module or a file, found and imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnst.errors import InputError


def load_against(given: str, default: str) -> Callable[..., Any]:
    """A function or class by ``MODULE_OR_PATH`` or ``MODULE_OR_PATH:NAME``.

    A file's folder is put on ``sys.path``, so that it finds its neighbours.

    Args:
        default: the name where none is given.

    Raises:
        InputError: there is no such module or file, it cannot be imported, or it lacks the name.
    """
    place, colon, name = given.rpartition(":")
    if not colon or name.endswith(".py") or "/" in name or "\\" in name:
        place, name = given, default
    try:
        if place.endswith(".py"):
            path = Path(place).resolve()
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None or not path.is_file():
                raise InputError(f"--against {given}: there is no file {place}.")
            sys.path.insert(0, str(path.parent))
            module = importlib.util.module_from_spec(spec)
            sys.modules[path.stem] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
    except InputError:
        raise
    except Exception as error:  # anything may go wrong in somebody else's file
        raise InputError(f"--against {given} cannot be imported ({type(error).__name__}: {error}).") from None
    if not callable(found := getattr(module, name, None)):
        raise InputError(f"--against {given}: {place} has no {name}; give {place}:NAME of a class or function.")
    return found
