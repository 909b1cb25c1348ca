"""A loaded bristle brush: strokes bent along an arc, with ridges of paint that catch the light."""

from __future__ import annotations

import numpy as np

from fastnst.styles.sheet import SHEET, smoothstep


class Canvas:
    """Wet paint on a square sheet: its colour and the height of its relief.

    Args:
        size: samples along one side.
        ground: ``(3,)`` colour of the primed canvas.
    """

    def __init__(self, size: int, ground: np.ndarray) -> None:
        self.scale = size / SHEET
        self.colour = np.broadcast_to(ground, (size, size, 3)).astype(np.float32).copy()
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
        found = around_stroke(self.height.shape[0], self.scale, x, y, angle, bend, length, width)
        if found is None:
            return
        window, along, across = found
        half = 0.5 * width
        position = along / (0.5 * length)
        bristle = (across / width + 0.5) * (len(bristles) - 1)
        number = np.clip(bristle.astype(np.int64), 0, len(bristles) - 2)
        part = bristle - number
        load = bristles[number] * (1 - part) + bristles[number + 1] * part
        # Bristles touch down and lift off at different places, the dry ones first.
        end = 1.0 - 0.30 * (1.0 - load) * (position > 0) - 0.12 * load * (position < 0)
        tip = (end - np.abs(position)) * 0.5 * length
        # Narrower towards the tail.
        edge = half * (1.0 - 0.28 * np.clip(position, 0, 1) ** 2) - np.abs(across)
        if pointed:
            edge = half * np.sqrt(np.clip(1.0 - position**2, 0.0, 1.0)) - np.abs(across)
        soft = max(0.6, 0.6 / self.scale)
        cover = smoothstep(-soft, soft, tip) * smoothstep(-soft, soft, edge)
        cover = cover * np.clip(1.15 - 0.5 * np.clip(position, 0, 1) * (1.3 - load), 0, 1)

        paint = second + (colour - second) * smoothstep(0.15, 0.7, load)[..., None]
        self.colour[window] += (paint - self.colour[window]) * cover[..., None]
        # Paint is pushed to the sides and piles up at the end of the stroke.
        bank = 0.55 * np.exp(-((edge / 1.5) ** 2)) + 0.5 * np.exp(-((tip / 2.2) ** 2)) * (position > 0)
        ridge = 0.25 + 0.75 * load + bank
        self.height[window] += (0.4 * self.height[window] + ridge - self.height[window]) * cover

    def lit(self, relief: float = 0.2, shine: float = 0.16) -> np.ndarray:
        """The colour under a lamp at the upper left; ``(size, size, 3)``."""
        slope_y, slope_x = np.gradient(self.height)
        slope = (slope_x + slope_y) * self.scale
        shade = np.clip(1.0 + relief * slope, 0.45, 1.6)[..., None]
        gleam = shine * smoothstep(0.5, 1.8, slope)[..., None]
        return self.colour * shade + gleam


def around_stroke(
    size: int, scale: float, x: float, y: float, angle: float, bend: float, length: float, width: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """The pixels that a stroke may reach, as rows and columns, and where each lies along and across the stroke.

    Args:
        size: pixels of the sheet's side.
        scale: pixels for each sheet unit.

    The others are those of :meth:`Canvas.stroke`, and places are in sheet units, too. None where the stroke lies
    outside of the sheet.
    """
    reach = 0.5 * length + 0.5 * width + 1.0
    left, right = (min(max(int((x + d) * scale), 0), size) for d in (-reach, reach))
    top, bottom = (min(max(int((y + d) * scale), 0), size) for d in (-reach, reach))
    if left >= right or top >= bottom:
        return None
    px = (np.arange(left, right, dtype=np.float32)[None, :] + 0.5) / scale - x
    py = (np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5) / scale - y
    along = px * np.cos(angle) + py * np.sin(angle)
    across = py * np.cos(angle) - px * np.sin(angle)
    # A short arc is a parabola to the eye.
    return (slice(top, bottom), slice(left, right)), along, across - 0.5 * bend * along**2
