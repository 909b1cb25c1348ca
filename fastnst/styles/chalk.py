"""Sticks of soft chalk on rough paper: the colour stays on the tips of the grain."""

from __future__ import annotations

import numpy as np

from fastnst.styles.brush import around_stroke, centres
from fastnst.styles.noise import cloud
from fastnst.styles.sheet import grid, smoothstep


class Chalk:
    """A tinted sheet and the chalk on it.

    Args:
        size: samples along one side.
        paper: ``(3,)`` its tint.
        seed: of its grain.
    """

    def __init__(self, size: int, paper: np.ndarray, seed: int) -> None:
        x, y = grid(size)
        self.centres = centres(size)
        grain = cloud(x, y, 2.6, seed, 2) + 0.35 * cloud(x, 0.6 * y, 7.0, seed + 1, 1)
        self.tooth = np.clip(0.5 + 0.25 * grain / grain.std(), 0.0, 1.0)
        self.colour = (paper * (1.0 + 0.05 * (self.tooth - 0.5))[..., None]).astype(np.float32)

    def rub(self, colour: np.ndarray, cover: np.ndarray) -> None:
        """Rub powder in with the finger; ``colour`` ``(size, size, 3)``, ``cover`` ``(size, size)`` 0..1."""
        cover = cover * (0.8 + 0.35 * (self.tooth - 0.5))
        self.colour += (colour - self.colour) * cover[..., None]

    def stroke(
        self,
        x: float,
        y: float,
        angle: float,
        bend: float,
        length: float,
        width: float,
        colour: np.ndarray,
        press: float,
    ) -> None:
        """Draw one stroke, centred on (x, y).

        Args:
            x: sheet units.
            y: sheet units.
            angle: direction at the centre, radians.
            bend: change of direction per sheet unit, radians.
            length: sheet units.
            width: sheet units.
            colour: ``(3,)``.
            press: 0 touches the highest tips of the grain only, 1 fills it.
        """
        found = around_stroke(self.centres, x, y, angle, bend, length, width, 0.03 * length, 0.05 * width)
        if found is None:
            return
        window, along, across = found
        position = np.abs(along) / (0.5 * length)
        # The hand lands and lifts: less pressure at both ends and at the rims of the stick.
        rim = np.abs(across) / (0.5 * width)
        force = press - 0.45 * position**3 - 0.3 * rim**3
        cover = smoothstep(-0.2, 0.3, force - 1.0 + self.tooth[window]) * smoothstep(1.1, 0.8, rim)
        cover = 0.9 * cover * smoothstep(1.06, 0.94, position)
        under = self.colour[window]
        under += (colour - under) * cover[..., None]
