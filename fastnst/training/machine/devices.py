"""One GPU for each of several trainings on a machine: the first that is free, kept until the training ends."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout


@contextmanager
def free_device(pause: float = 2.0) -> Iterator[int | None]:
    """The number of a GPU that no other training uses that asked in this way; waits until there is one.

    Held by locks on files, which the system gives back whatever becomes of a process.

    Args:
        pause: seconds between looks.

    Yields:
        The number, as torch counts; None where there is no GPU.
    """
    names = visible_devices()
    if not names:
        yield None
        return
    folder = Path(tempfile.gettempdir(), f"fastnst-devices-{getpass.getuser()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        for number, name in enumerate(names):
            lock = FileLock(folder / f"{name.replace('/', '_')}.lock", thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield number
            finally:
                lock.release()
            return
        time.sleep(pause)


def visible_devices() -> list[str]:
    """What this process may use, by names that mean the same in every process of the machine."""
    count = torch.cuda.device_count()
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return given[:count] if len(given) >= count > 0 else [str(number) for number in range(count)]
