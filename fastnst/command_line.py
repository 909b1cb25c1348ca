"""What the commands share whose options argparse reads, and how all of them are called."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
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
