"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastnst.errors import InputError

ADVICE = "choose another folder or make room"


@contextmanager
def written_whole(path: str | os.PathLike, advice: str = ADVICE, keep: Path | None = None) -> Iterator[Path]:
    """A file beside ``path``, empty and with the same ending, that becomes ``path`` if nothing fails.

    It is on the disk before it gets the name. Where it fails, and where the process is killed, what was there stays; a
    killed one leaves a hidden ``.*.part*`` behind. A file that is replaced hands on its permissions; missing folders
    are made.

    Args:
        path: replaced if it exists; who must not replace a file asks first.
        advice: what to do where it cannot be written, the end of the message.
        keep: a name for the file that is there now.

    Raises:
        InputError: ``path`` cannot be written.
    """
    path = Path(path)
    beside = None
    try:
        beside = _begin(path)
        yield beside
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
            if keep is not None:
                os.replace(path, keep)
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}): {advice}.") from None
    finally:
        if beside is not None:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def require_writable(path: str | os.PathLike, advice: str = ADVICE) -> None:
    """Raise now what :func:`written_whole` would raise after hours; the folder is made."""
    try:
        _begin(Path(path)).unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}): {advice}.") from None


def _begin(path: Path) -> Path:
    if path.is_dir():
        raise IsADirectoryError(0, "it is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex}.part{path.suffix}")
    open(beside, "xb").close()
    return beside
