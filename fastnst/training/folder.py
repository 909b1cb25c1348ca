"""The run folder: one training's settings, events, pictures, ``last.ckpt`` and ``model.ckpt``."""

from __future__ import annotations

import os
from pathlib import Path

from fastnst.errors import InputError
from fastnst.training.files import LAST, MODEL


def open_run_folder(folder: Path, resuming: bool) -> None:
    """Make the run folder; one that already holds a run is only gone on with, never trained over.

    Raises:
        InputError: it holds a run and this one does not resume, or it cannot be written.
    """
    if not resuming and any((folder / name).exists() for name in (LAST, MODEL)):
        raise InputError(
            f"output_dir={folder} already holds a training: add ckpt_path=last to go on, or give another folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output_dir={folder} cannot be made ({error.strerror}): give another folder.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"output_dir={folder} cannot be written: give another folder or change its permissions.")


def find_checkpoint(ckpt_path: str, folder: Path, folder_given: bool) -> Path:
    """The file that ``ckpt_path`` means: itself, or for ``last`` that of ``folder`` or of this style's newest run.

    Args:
        folder: where this run will write; its parent holds the other runs of the style.
        folder_given: somebody chose ``folder``: then only a ``last.ckpt`` in it counts.

    Raises:
        InputError: there is none.
    """
    if ckpt_path != "last":
        if not Path(ckpt_path).is_file():
            raise InputError(f"ckpt_path={ckpt_path}: there is no such file; give a last.ckpt, or `last`.")
        return Path(ckpt_path)
    candidates = [folder / LAST] if folder_given else sorted(folder.parent.glob(f"*/{LAST}"), key=_age)
    candidates = [path for path in candidates if path.is_file()]
    if not candidates:
        where = folder if folder_given else folder.parent
        raise InputError(f"ckpt_path=last: no {LAST} in {where}; train without ckpt_path first, or give its path.")
    return candidates[-1]


def _age(path: Path) -> float:
    return path.stat().st_mtime
