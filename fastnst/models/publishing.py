"""Copy a trained model to ``checkpoints/``, never over another."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from fastnst.errors import InputError


def publish(model: Path, name: str, folder: Path = Path("checkpoints")) -> Path:
    """Copy a model file to ``checkpoints/NAME.ckpt``; what is there already stays.

    Raises:
        InputError: the name is taken, or is more than a name.
    """
    try:
        target = check_publishable(name, folder)
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as beside:
            copy = Path(beside, target.name)
            shutil.copyfile(model, copy)
            with open(copy, "rb+") as file:
                os.fsync(file.fileno())
            try:
                os.link(copy, target)  # whole, and only one can make it
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                check_publishable(name, folder)
                os.replace(copy, target)
    except (InputError, OSError) as error:  # FileExistsError, too: somebody was faster
        raise InputError(f"publish={name}: {error} The model itself is saved as {model}.") from None
    return target


def check_publishable(name: str, folder: Path = Path("checkpoints")) -> Path:
    """Where :func:`publish` would put a model; asked before the training, not hours later.

    Raises:
        InputError: the name is taken, or is more than a name.
    """
    target = folder / f"{name}.ckpt"
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise InputError(f"publish={name!r}: expected a plain name, for a file in {folder}/.")
    if target.exists():
        raise InputError(f"publish={name}: {target} exists and is not replaced; choose another name.")
    return target
