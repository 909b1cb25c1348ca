"""What a painter has before the first stroke: the colour of every place, the way strokes run there, and what it is."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fastnst.styles.palette import mix
from fastnst.styles.sheet import SHEET, grid

Window = tuple[slice, slice]
EVERYWHERE = (slice(None), slice(None))


class Sketch:
    """A plan with one sample per sheet unit; areas are laid from back to front.

    Attributes:
        x, y: sheet coordinates, ``(768, 768)``.
        colour: ``(768, 768, 3)``.
        angle: direction of the strokes, radians, ``(768, 768)``.
        area: number of the area that is seen, from 0, ``(768, 768)`` int.
        strokes: for every area, how large its strokes are and how long for their width; 1 is usual.
    """

    def __init__(self) -> None:
        self.x, self.y = grid(int(SHEET))
        self.colour = np.zeros((*self.x.shape, 3), np.float32)
        self.angle = np.zeros(self.x.shape, np.float32)
        self.area = np.zeros(self.x.shape, np.int64)
        self.strokes: list[tuple[float, float]] = []

    def lay(
        self,
        cover: np.ndarray,
        colour: np.ndarray,
        angle: np.ndarray | float,
        scale: float = 1.0,
        long: float = 1.0,
        at: Window = EVERYWHERE,
    ) -> None:
        """Lay one area over what is there.

        Args:
            cover: 0..1, ``(768, 768)``, or the shape of ``at``.
            colour: ``(3,)`` or the shape of ``cover`` and ``(3,)``.
            angle: radians, one or the shape of ``cover``.
            scale: size of its strokes.
            long: their length for their width.
            at: rows and columns outside of which nothing changes.
        """
        laid = mix(self.colour[at], colour, cover)
        self.colour = self.colour.astype(np.float32, copy=False)
        self.colour[at] = laid
        self.angle[at] = np.where(cover > 0.5, angle, self.angle[at])
        self.area[at] = np.where(cover > 0.5, len(self.strokes), self.area[at])
        self.strokes.append((scale, long))

    def darken(self, cover: np.ndarray, left: np.ndarray, at: Window) -> None:
        """Cast a shadow: where it ``cover``s (0..1, the shape of ``at``), ``left`` ``(3,)`` of the colour is left.

        Until the next area is laid the colours keep the precision of ``cover``.
        """
        dark = mix(self.colour[at], self.colour[at] * left, cover)
        self.colour = self.colour.astype(dark.dtype, copy=False)
        self.colour[at] = dark

    def places(self, area: int, spacing: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Random places in what is seen of an area, one for every square of ``spacing``: x and y, ``(n,)`` each."""
        seen = np.flatnonzero(self.area == area)
        offset_x, offset_y, part = rng.uniform(size=(3, round(len(seen) / spacing**2)))
        rows, columns = np.divmod(seen[(part * len(seen)).astype(np.int64)], int(SHEET))
        return columns + offset_x, rows + offset_y

    def detail(self) -> np.ndarray:
        """How much the colour changes at a place, 0..1, ``(768, 768)``."""
        soft = ndimage.gaussian_filter(self.colour, (1.5, 1.5, 0))
        change = sum(np.hypot(*np.gradient(soft[..., k])) for k in range(3))
        change = ndimage.gaussian_filter(change, 3.0)
        return np.clip(change / np.percentile(change, 92), 0.0, 1.0)


def along(field: np.ndarray) -> np.ndarray:
    """Direction of the level lines of a field, radians, its shape."""
    slope_y, slope_x = np.gradient(field)
    return np.arctan2(-slope_x, slope_y)


def lit(field: np.ndarray, strength: float) -> np.ndarray:
    """Light from the upper left on a relief, 0..1 with 0.5 for level ground, shape of ``field``."""
    slope_y, slope_x = np.gradient(field)
    return np.clip(0.5 - strength * (slope_x + 1.2 * slope_y), 0.0, 1.0)
