"""What surrounds a band: its neighbours' rows, and reflections where the picture ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


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
