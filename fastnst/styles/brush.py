"""A loaded bristle brush: strokes bent along an arc, with ridges of paint that catch the light."""

from __future__ import annotations

import numpy as np

from fastnst.styles.sheet import SHEET, smoothstep


class Canvas:
    """Wet paint on a square sheet: its colour ``(3, size, size)`` and the height of its relief ``(size, size)``.

    Args:
        size: samples along one side.
        ground: ``(3,)`` colour of the primed canvas.
    """

    def __init__(self, size: int, ground: np.ndarray) -> None:
        self.scale = size / SHEET
        self.centres = centres(size)
        self.colour = np.broadcast_to(ground[:, None, None], (3, size, size)).astype(np.float32)
        self.height = np.zeros((size, size), np.float32)

    def stroke(
        self,
        x: float,
        y: float,
        angle: float,
        bend: float,
        length: float,
        width: float,
        colour: np.ndarray,
        second: np.ndarray,
        bristles: np.ndarray,
        pointed: bool = False,
    ) -> None:
        """Lay one stroke, centred on (x, y).

        Args:
            x: sheet units.
            y: sheet units.
            angle: direction at the centre, radians.
            bend: change of direction per sheet unit, radians.
            length: sheet units.
            width: sheet units.
            colour: ``(3,)`` the paint on the brush.
            second: ``(3,)`` the paint picked up before it, which shows between the bristles.
            bristles: ``(n,)`` load of every bristle across the brush, 0..1.
            pointed: a dab, oval instead of a band.
        """
        soft = max(0.6, 0.6 / self.scale)
        # In the soft rim the load goes on beyond 0..1, and the ends of the bristles with it.
        past = soft + 0.15 * length * soft / width * (len(bristles) - 1)
        found = around_stroke(self.centres, x, y, angle, bend, length, width, past, soft)
        if found is None:
            return
        window, along, across = found
        half, half_length = 0.5 * width, 0.5 * length
        position = along / half_length
        bristle = (across / width + 0.5) * (len(bristles) - 1)
        number = np.minimum(np.maximum(bristle.astype(np.int64), 0), len(bristles) - 2)
        part = bristle - number
        load = bristles.take(number) * (1 - part) + bristles.take(number + 1) * part
        late = np.minimum(np.maximum(position, 0.0), 1.0)
        behind = position > 0
        aside = np.abs(across)
        # Bristles touch down and lift off at different places, the dry ones first.
        end = 1.0 - 0.30 * (1.0 - load) * behind - 0.12 * load * (position < 0)
        tip = (end - np.abs(position)) * half_length
        if pointed:
            edge = half * np.sqrt(np.maximum(1.0 - position**2, 0.0)) - aside
        else:  # narrower towards the tail
            edge = half * (1.0 - 0.28 * late**2) - aside
        cover = smoothstep(-soft, soft, tip) * smoothstep(-soft, soft, edge)
        cover = cover * np.minimum(np.maximum(1.15 - 0.5 * late * (1.3 - load), 0.0), 1.0)

        paint = second[:, None, None] + (colour - second)[:, None, None] * smoothstep(0.15, 0.7, load)
        rows, columns = window
        under = self.colour[:, rows, columns]
        under += (paint - under) * cover
        # Paint is pushed to the sides and piles up at the end of the stroke.
        bank = 0.55 * np.exp(-((edge / 1.5) ** 2)) + 0.5 * np.exp(-((tip / 2.2) ** 2)) * behind
        ridge = 0.25 + 0.75 * load + bank
        height = self.height[window]
        height += (0.4 * height + ridge - height) * cover

    def lit(self, relief: float = 0.2, shine: float = 0.16) -> np.ndarray:
        """The colour under a lamp at the upper left; ``(size, size, 3)``."""
        slope_y, slope_x = np.gradient(self.height)
        slope = (slope_x + slope_y) * self.scale
        shade = np.clip(1.0 + relief * slope, 0.45, 1.6)[..., None]
        gleam = shine * smoothstep(0.5, 1.8, slope)[..., None]
        return np.moveaxis(self.colour, 0, -1) * shade + gleam


def centres(size: int) -> np.ndarray:
    """Where the pixels of a row lie, sheet units; float32 ``(size,)``."""
    return (np.arange(size, dtype=np.float32) + 0.5) / (size / SHEET)


def around_stroke(
    row: np.ndarray, x: float, y: float, angle: float, bend: float, length: float, width: float, past: float, rim: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """The pixels that a stroke may reach, as rows and columns, and where each lies along and across the stroke.

    Args:
        row: :func:`centres` of the sheet's pixels, ``(n,)``.
        past: how far it may reach beyond its ends, sheet units.
        rim: how far it may reach beyond its sides.

    The others are those of :meth:`Canvas.stroke`, and places are in sheet units, too. None where the stroke lies
    outside of the sheet.
    """
    size, scale = len(row), len(row) / SHEET
    cos, sin = np.cos(angle), np.sin(angle)
    reach = 0.5 * length + past
    aside = 0.5 * width + rim + 0.5 * abs(bend) * reach**2
    most = 0.5 * length + 0.5 * width + 1.0
    wide, high = (min(reach * abs(a) + aside * abs(b) + 1.0 / scale, most) for a, b in ((cos, sin), (sin, cos)))
    left, right = (min(max(int((x + d) * scale), 0), size) for d in (-wide, wide))
    top, bottom = (min(max(int((y + d) * scale), 0), size) for d in (-high, high))
    if left >= right or top >= bottom:
        return None
    px, py = row[None, left:right] - x, row[top:bottom, None] - y
    along = px * cos + py * sin
    across = py * cos - px * sin
    # A short arc is a parabola to the eye.
    return (slice(top, bottom), slice(left, right)), along, across - 0.5 * bend * along**2
