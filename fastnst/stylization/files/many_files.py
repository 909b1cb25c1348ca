"""Many files in turn: while the network paints one picture, the next is decoded and the last one encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from fastnst.errors import InputError, is_out_of_memory
from fastnst.stylization.controls import Controls
from fastnst.stylization.enlarger import Enlarger
from fastnst.stylization.files.one_file import Done, Handling, finish_still, moves_to, stylize_file
from fastnst.stylization.files.stills import Still, read_still
from fastnst.stylization.probe import probe
from fastnst.stylization.stylizer import Stylizer

AHEAD_PIXELS = 16_000_000
"""Larger pictures (192 MB each) are read, painted and saved one at a time, as memory counts more than seconds there."""

Result = TypeVar("Result")
Tell = Callable[[float, int | None], None]


def stylize_files(
    work: Sequence[tuple[Path, Path]],
    stylizer: Stylizer | Enlarger,
    controls: Controls,
    handling: Handling,
    progress: Callable[[], AbstractContextManager[Tell]],
) -> Iterator[Done | InputError]:
    """Stylize files, whatever becomes of the others; what each of them came to, in their order.

    One picture is read ahead and one is saved behind, each in a thread of its own; the network works in the caller's.
    What moves, and what is larger than :data:`AHEAD_PIXELS`, is done alone, after the last result is saved.

    Args:
        work: each file and where its result goes.
        stylizer: paints or enlarges.
        controls: how.
        handling: how files are read and written.
        progress: opened around each painting; gives what
            :func:`~fastnst.stylization.files.one_file.stylize_file` tells.

    Yields:
        For each file what was done, or the error that kept it from being done. A picture that is being saved in the
        meantime comes after the painting of the next.

    Raises:
        KeyboardInterrupt: passed on, after the picture that was being saved is saved and yielded.
    """

    def read(number: int) -> Still | InputError | None:
        return attempt(read_ahead, *work[number], handling)

    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "save") as saver:
        saving: Future[Done | InputError] | None = None
        ahead = reader.submit(read, 0)
        try:
            for number, (source, output) in enumerate(work):
                still = ahead.result()
                if number + 1 < len(work):
                    ahead = reader.submit(read, number + 1)
                stylized: Tensor | InputError | None = still if isinstance(still, InputError) else None
                if isinstance(still, Still):
                    with progress() as tell:
                        stylized = attempt(paint, stylizer, still, controls, tell)
                if saving is not None:
                    saved, saving = saving.result(), None
                    yield saved
                    del saved  # not held while more is painted
                if isinstance(stylized, InputError):
                    yield stylized
                elif isinstance(still, Still) and stylized is not None:
                    saving = saver.submit(attempt, finish_still, source, output, still, stylized, controls, handling)
                else:
                    with progress() as tell:
                        done = attempt(stylize_file, source, output, stylizer, controls, handling, tell)
                    yield done
                    del done
            if saving is not None:
                saved, saving = saving.result(), None
                yield saved
        except KeyboardInterrupt:
            if saving is not None:
                yield saving.result()
            raise


def read_ahead(source: Path, output: Path, handling: Handling) -> Still | None:
    """The picture in a file; None for one that moves or is too large to be held beside another.

    Raises:
        InputError: it cannot be read.
    """
    found = probe(source)
    if moves_to(found, output) or found.size[0] * found.size[1] * handling.grows > AHEAD_PIXELS:
        return None
    return read_still(found, handling.max_pixels)


def paint(stylizer: Stylizer | Enlarger, still: Still, controls: Controls, tell: Tell) -> Tensor:
    """(3, H, W) in [0, 1]."""
    return stylizer(still.content, controls, lambda done: tell(done, 1))


def attempt(function: Callable[..., Result], *arguments: object) -> Result | InputError:
    """What a function returns, or the error that concerns one file only: it cannot be used, or memory ran out."""
    try:
        return function(*arguments)
    except InputError as error:
        return error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return InputError("the picture does not fit into memory; make it smaller first")
