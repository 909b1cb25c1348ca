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


def require_whole(name: str, value: object, least: int) -> None:
    """Refuse what is not a whole number from ``least`` up; ``name`` is the option as a person writes it."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name}={value!r}: expected a whole number, {least} or more.")


LONGEST_LINE = 1000
"""Characters of a message; what a hostile file put into it is cut off there."""


def one_line(message: object) -> str:
    """A message on one line that a terminal only shows: without line ends, escape sequences and the like."""
    text = " ".join(str(message).split())
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE // 2]} ... {text[-LONGEST_LINE // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


@contextmanager
def input_errors_end_with_code_2() -> Iterator[None]:
    """Turn an :class:`InputError` into one line on stderr and exit code 2, without a traceback."""
    try:
        yield
    except InputError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
