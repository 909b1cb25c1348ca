"""What the commands share whose options argparse reads, how all of them are called, and stopped while they start."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fastnst.errors import InputError
from fastnst.places import PACKAGE


class ArgumentParser(argparse.ArgumentParser):
    """Answers a wrong command line as any other input that a person can mend: in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help.")


def called(command: str) -> str:
    """A command and perhaps its options, as somebody writes it who has called the running one as it was called.

    ``fastnst stylize``, ``python -m fastnst stylize`` or ``python scripts/stylize.py``.
    """
    program = Path(sys.argv[0])
    name, *options = command.split(maxsplit=1)
    if program == PACKAGE / "__main__.py":
        return f"python -m fastnst {command}"
    if (script := program.with_name(f"{name}.py")).is_file() and script.parent.resolve().name == "scripts":
        return " ".join(["python", shlex.quote(str(script)), *options])
    return f"fastnst {command}"


@contextmanager
def ctrl_c_ends_at_once() -> Iterator[None]:
    """End the process on Ctrl-C with the line "Stopped." and exit code 130, up to :func:`ctrl_c_raises`.

    A KeyboardInterrupt that is raised within an import or within OmegaConf's reading of settings may get lost there, or
    come out as another error.
    """
    ours = threading.current_thread() is threading.main_thread()  # no other may set what a signal does
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
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
