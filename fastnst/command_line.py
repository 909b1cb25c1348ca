"""What the commands share whose options argparse reads."""

from __future__ import annotations

import argparse
from typing import NoReturn

from fastnst.errors import InputError


class ArgumentParser(argparse.ArgumentParser):
    """Answers a wrong command line as any other input that a person can mend: in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help.")
