"""A picture in horizontal bands, which go through a network side by side, one on each processor core at a time."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

LEAST_ROWS = 8
"""Of the smallest map, in a band: below, threads wait for each other longer than they compute."""
MOST_PIXELS = 8192
"""Of the smallest map, in a band, if it has more than ``LEAST_ROWS``: what Winograd's transforms write in between stays
in the processor's cache, and is not so large that the system takes it back each time. Measured at 512, 1024 and 2048
pixels with 2048, 4096, 8192, 16384 and no limit: 1.9, 1.5, 1.4, 1.4 and 1.5 seconds at 1024."""


class Workers:
    """Threads in which torch uses one core each.

    Torch's own threads divide every single operation, and wait for the next one by spinning, which takes the core from
    NNPACK's: at 256 pixels two of both kinds were no faster than one. Here a thread takes a band through several
    operations before it meets the others.

    Args:
        count: how many; 1 works in the thread that asks.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.present: object = None  # the run in the leader's thread
        self.abandoned: object = None  # the last one that nobody waits for any more
        if count > 1:
            ready = threading.Barrier(count)
            self.leader, self.helpers = (
                ThreadPoolExecutor(threads, "fastnst-bands", _use_one_thread) for threads in (1, count - 1)
            )
            starts = [self.leader.submit(ready.wait), *(self.helpers.submit(ready.wait) for _ in range(count - 1))]
            wait(starts)
            torch.set_num_threads(count)  # the workers have set it for threads that begin later, too

    def run(self, work: Callable[[], T]) -> T:
        """``work()`` in a thread that may call :meth:`map`, one at a time; interrupted if this wait for it is."""
        if self.count == 1:
            return work()
        mine = object()
        future = self.leader.submit(self._begin, mine, work)
        try:
            return future.result()
        except BaseException:
            if not future.cancel() and not future.done():
                self.abandoned = mine
                wait([future])
            raise

    @torch.inference_mode()  # a thread's own setting
    def _begin(self, run: object, work: Callable[[], T]) -> T:
        self.present = run
        return work()

    def map(self, work: Callable[..., T], *parts: Iterable[Any]) -> list[T]:
        """``list(map(work, *parts))`` side by side; ends when all of them have, and raises the first error."""
        if self.present is not None and self.present is self.abandoned:
            raise InterruptedError("nobody waits for this picture any more.")
        calls = list(zip(*parts, strict=True))
        results: list[Any] = [None] * len(calls)
        left = deque(range(len(calls)))

        @torch.inference_mode()  # a thread's own setting
        def work_on() -> None:
            while left:
                try:
                    number = left.popleft()
                except IndexError:  # another thread was faster
                    return
                try:
                    results[number] = work(*calls[number])
                except BaseException:
                    left.clear()
                    raise

        futures = [self.helpers.submit(work_on) for _ in range(min(self.count, len(calls)) - 1)]
        try:
            work_on()
        finally:
            wait(futures)
        for future in futures:
            future.result()
        return results


def _use_one_thread() -> None:
    torch.get_num_threads()  # takes over what is set for all: later it would undo what is set here
    torch.set_num_threads(1)


@cache
def _workers(count: int, process: int) -> Workers:
    return Workers(count)


def workers() -> Workers:
    """As many as torch may use threads; the same ones for all who ask, but not those of a parent process."""
    return _workers(torch.get_num_threads(), os.getpid())


class Bands:
    """Where the maps of a picture are cut.

    Args:
        team: who works on them.
        rows, columns: of the smallest map; larger ones have two and four times as many, and are cut at the same places.
    """

    def __init__(self, team: Workers, rows: int, columns: int) -> None:
        self.team = team
        each = math.ceil(rows * columns / team.count / MOST_PIXELS)
        self.count = max(1, min(each * team.count, rows // LEAST_ROWS))
        self.cuts = [rows * number // self.count for number in range(self.count + 1)]

    def rows(self, scale: int) -> list[slice]:
        """The rows of each band in a map with ``scale`` times the smallest's rows."""
        return [slice(scale * first, scale * last) for first, last in itertools.pairwise(self.cuts)]

    def map(self, work: Callable[..., T], *parts: Iterable[Any]) -> list[T]:
        """``work`` for each band, for its number or for its part of something."""
        return self.team.map(work, *(parts or [range(self.count)]))


class Edge(NamedTuple):
    """How some channels go on beyond the picture: backwards from the edge, these many pixels of it skipped.

    Attributes:
        channels: which of four equal parts of the channels; None: all.
        rows, columns: pixels skipped at the beginning and at the end of that dimension.
    """

    channels: int | None
    rows: tuple[int, int]
    columns: tuple[int, int]


REFLECT = (Edge(None, (1, 1), (1, 1)),)
"""The edge itself is not repeated."""
REPLICATE = (Edge(None, (0, 0), (0, 0)),)
"""With a border of one pixel: what reflection is before the upsampling that repeats pixels."""
REFLECT_PHASES = tuple(Edge(phase, (1 - phase // 2, phase // 2), (1 - phase % 2, phase % 2)) for phase in range(4))
"""Even and odd rows and columns apart, as if reflected together. Pixel -k shows pixel k. Even ones, -2 and -4, lie at
places -1 and -2 and show places 1 and 2; odd ones, -1 and -3, lie at places -1 and -2 and show places 0 and 1. At the
other end, which is odd, it is the other way round."""


def bordered(x: Tensor, border: int, factor: int = 1) -> Tensor:
    """Room for ``factor`` times the height and width of ``x`` (1, C, h, W), for C / factor^2 channels, and a border."""
    channels, height, width = x.shape[1:]
    return x.new_empty(1, channels // factor**2, factor * height + 2 * border, factor * width + 2 * border)


def inside(x: Tensor, border: int) -> Tensor:
    """What lies within the border."""
    return x[..., border:-border, border:-border]


def fill(x: Tensor, border: int, maps: list[Tensor], number: int, write: Callable[[Tensor, Tensor], object]) -> None:
    """Fill a band with its map and, above and below, with the rows that its neighbours have there.

    Args:
        x: (1, C, h + 2 border, W + 2 border).
        maps: of all bands, (1, C, h, W), ``border`` rows or more.
        write: is given some rows of a map and where they belong.
    """
    target = x[..., border:-border]
    write(maps[number], target[..., border:-border, :])
    if number > 0:
        write(maps[number - 1][..., -border:, :], target[..., :border, :])
    if number < len(maps) - 1:
        write(maps[number + 1][..., :border, :], target[..., -border:, :])


def interleave(x: Tensor, maps: list[Tensor], number: int, write: Callable[[Tensor, Tensor], object]) -> None:
    """:func:`fill` for a border of one pixel and maps (1, 4 C, h, W) of even and odd rows and columns.

    Args:
        x: (1, C, 2 h + 2, 2 W + 2).
    """
    phases = [one.chunk(4, 1) for one in maps]
    for phase, part in enumerate(phases[number]):
        row, column = divmod(phase, 2)
        target = x[..., 1 + column : -1 : 2]
        write(part, target[..., 1 + row : -1 : 2, :])
        if row == 1 and number > 0:
            write(phases[number - 1][phase][..., -1:, :], target[..., :1, :])
        if row == 0 and number < len(maps) - 1:
            write(phases[number + 1][phase][..., :1, :], target[..., -1:, :])


def close(x: Tensor, border: int, edges: tuple[Edge, ...], first: bool, last: bool) -> None:
    """Fill the border where the picture ends: left, right, above the ``first`` band and below the ``last`` one."""
    for edge in edges:
        part = x if edge.channels is None else x.chunk(4, 1)[edge.channels]
        if first:
            mirror(part, -2, border, edge.rows[0], at_end=False)
        if last:
            mirror(part, -2, border, edge.rows[1], at_end=True)
        mirror(part, -1, border, edge.columns[0], at_end=False)
        mirror(part, -1, border, edge.columns[1], at_end=True)


def mirror(x: Tensor, dim: int, border: int, skipped: int, at_end: bool) -> None:
    """Fill the border at one end of a dimension with what lies inside, backwards."""
    end = x.shape[dim] - border
    place, source = (end, end - border - skipped) if at_end else (0, border + skipped)
    x.narrow(dim, place, border).copy_(x.narrow(dim, source, border).flip(dim))
