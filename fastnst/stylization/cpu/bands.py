"""A picture in horizontal bands, which go through a network side by side, one on each processor core at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from fastnst.stylization.cpu.workers import T, Workers

LEAST_ROWS = 8
"""Of the smallest map, in a band: below, threads wait for each other longer than they compute."""

MOST_PIXELS = 8192
"""Of the smallest map, in a band, if it has more than ``LEAST_ROWS``: what Winograd's transforms write in between stays
in the processor's cache, and is not so large that the system takes it back each time. Measured at 512, 1024 and 2048
pixels with 2048, 4096, 8192, 16384 and no limit: 1.9, 1.5, 1.4, 1.4 and 1.5 seconds at 1024."""


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
