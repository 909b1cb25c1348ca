"""The one exception for input that a person can mend, and how a command line answers it."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class InputError(Exception):
    """Something a person gave cannot be used.

    The message is one line: what was given, what was expected, what to do next.
    Command lines print it after ``error:`` and end with exit code 2.
    """


def require_whole(name: str, value: object, least: int) -> None:
    """Refuse what is not a whole number from ``least`` up; ``name`` is the option as a person writes it."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name}={value!r}: expected a whole number, {least} or more.")


_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "MemoryError", "failed to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` means that memory has run out, on a GPU or not, here or in a loading process.

    On the CPU, torch says so by a RuntimeError like any other.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


LONGEST_LINE = 1000
"""Characters of a message; what a hostile file put into it is cut off there."""


def one_line(message: object) -> str:
    """A message on one line that a terminal only shows: without line ends, escape sequences and the like."""
    text = " ".join(str(message).split())
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE // 2]} ... {text[-LONGEST_LINE // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def reason(error: BaseException) -> str:
    """An error in a few words, without the path that the message around it names already."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def passed_through(error: BaseException, function: str) -> bool:
    """Whether an error comes from within a function of that name; what its caller did wrong itself does not."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_name != function:
        place = place.tb_next
    return place is not None


@contextmanager
def input_errors_end_with_code_2() -> Iterator[None]:
    """Turn an :class:`InputError` into one line on stderr and exit code 2, without a traceback.

    Where nobody reads what is printed any more (``| head -1``), the program ends as programs do then: without a word,
    with exit code 141, 128 and the number of SIGPIPE.
    """
    try:
        try:
            yield
        except InputError as error:
            print(f"error: {one_line(error)}", file=sys.stderr)
            raise SystemExit(2) from None
        finally:
            _flush(sys.stdout)  # now, while there is somebody to answer
    except BrokenPipeError:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
        if not unread:  # another pipe: not ours to be quiet about
            raise
        for stream in unread:
            _drop(stream)
        raise SystemExit(128 + signal.SIGPIPE) from None


def _flush(stream: TextIO | None) -> None:
    if stream is None or stream.closed:
        return
    try:
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop(stream)
        print(f"error: the standard output cannot be written ({error.strerror}).", file=sys.stderr)
        raise SystemExit(2) from None


def _is_unread(stream: TextIO | None) -> bool:
    """Whether it is a pipe or socket whose other end is closed."""
    try:
        watch = select.poll()  # missing on Windows, which has no SIGPIPE either
        watch.register(stream, 0)  # type: ignore[arg-type]  # None: TypeError
        return any(state & (select.POLLERR | select.POLLHUP) for _, state in watch.poll(0))
    except (AttributeError, TypeError, OSError, ValueError):
        return False


def _drop(stream: TextIO) -> None:
    """Have what is still to be written go nowhere: Python writes it at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
