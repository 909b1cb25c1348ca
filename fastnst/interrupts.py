"""Ctrl-C while a command starts, before there is anything to save."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ctrl_c_ends_at_once() -> Iterator[None]:
    """End the process on Ctrl-C with the line "Stopped." and exit code 130, up to :func:`ctrl_c_raises`.

    A KeyboardInterrupt that is raised within an import or within OmegaConf's reading of settings may get lost there, or
    come out as another error.
    """
    if threading.current_thread() is threading.main_thread():  # signals are nobody else's
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        ctrl_c_raises()


def ctrl_c_raises() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, as Python does by itself."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Stopped.\n")
    os._exit(128 + signal.SIGINT)
