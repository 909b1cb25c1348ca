"""The run folder: one training's settings, events, pictures, resume files and ``model.ckpt``, and one training only."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TextIO

from fastnst.errors import InputError
from fastnst.models.model_file import STYLE, plain_name

LAST, PREVIOUS, MODEL = "last.ckpt", "previous.ckpt", "model.ckpt"


def style_path(folder: Path, style: str) -> Path:
    """Where a run leaves its style file."""
    return folder / f"{plain_name(style)}{STYLE}"


try:
    import fcntl
except ImportError:  # Windows: two trainings in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


def open_run_folder(folder: Path, resuming: bool) -> TextIO:
    """Make the run folder and hold it; one that already holds a run is only resumed, never trained over.

    Returns:
        What holds the folder until it is closed or the process ends, however it ends.

    Raises:
        InputError: it holds a run and this one does not resume, another training is at work in it, or it cannot be
            written.
    """
    _require_new_or_resumed(folder, resuming)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output_dir={folder} cannot be made ({error.strerror}): give another folder.") from None
    lock = _hold(folder)
    try:
        _require_new_or_resumed(folder, resuming)  # whoever held it until now may have left one
    except InputError:
        lock.close()
        raise
    for half_written in folder.rglob(".*.part*"):  # by a run that was killed
        half_written.unlink(missing_ok=True)
    return lock


def _require_new_or_resumed(folder: Path, resuming: bool) -> None:
    if not resuming and any((folder / name).exists() for name in (LAST, PREVIOUS, MODEL)):
        raise InputError(
            f"output_dir={folder} already holds a training: add ckpt_path=last to go on, or give another folder."
        )


def _hold(folder: Path) -> TextIO:
    """A POSIX record lock: gone with the process that holds it, and not inherited by its loading processes."""
    try:
        lock = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115  # for as long as the training runs
    except OSError as error:
        raise InputError(
            f"output_dir={folder} cannot be written ({error.strerror}): give another folder or change its permissions."
        ) from None
    try:
        if fcntl is not None:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # what the two families of systems answer when it is taken
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise InputError(
            f"output_dir={folder} is being trained in by {holder}: wait for its end or give another folder."
        ) from None
    except OSError:
        return lock  # a file system without locks
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    lock.flush()
    return lock


def find_checkpoint(ckpt_path: str, folder: Path, folder_given: bool) -> Path | None:
    """The file that ``ckpt_path`` means.

    Args:
        ckpt_path: a path; ``last`` for that of ``folder`` or of this style's newest run; ``auto`` for that of
            ``folder`` if it holds one.
        folder: where this run will write; its parent holds the other runs of the style.
        folder_given: somebody chose ``folder``: then only what is in it counts.

    Returns:
        A file, maybe a damaged one; None for ``auto`` where there is nothing to resume from.

    Raises:
        InputError: there is none.
    """
    if ckpt_path not in ("last", "auto"):
        if not Path(ckpt_path).is_file():
            raise InputError(f"ckpt_path={ckpt_path}: there is no such file; give a last.ckpt, or `last`.")
        return Path(ckpt_path)
    if ckpt_path == "auto" and not folder_given:
        raise InputError("ckpt_path=auto needs a folder that is the same at the next start: add output_dir=DIR.")
    folders = [folder] if folder_given else [path for path in folder.parent.glob("*") if path.is_dir()]
    candidates = [newest for each in folders if (newest := _newest(each)) is not None]
    if not candidates and ckpt_path == "auto":
        return None
    if not candidates:
        where = folder if folder_given else folder.parent
        raise InputError(f"ckpt_path=last: no {LAST} in {where}; train without ckpt_path first, or give its path.")
    return max(candidates, key=_age)


def set_aside(damaged: Path) -> None:
    """Take a damaged ``last.ckpt`` out of the way, or the next save would put it in the place of the whole one."""
    if damaged.is_file():
        os.replace(damaged, damaged.with_name("damaged.ckpt"))


def _newest(folder: Path) -> Path | None:
    return next((folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()), None)


def _age(path: Path) -> float:
    return path.stat().st_mtime
