"""The one exception for input that a person can mend, and how a command line answers it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """Something a person gave cannot be used.

    The message is one line: what was given, what was expected, what to do next.
    Command lines print it after ``error:`` and end with exit code 2.
    """


@contextmanager
def input_errors_end_with_code_2() -> Iterator[None]:
    """Turn an :class:`InputError` into one line on stderr and exit code 2, without a traceback."""
    try:
        yield
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
