"""Currents with eddies, for strokes to follow."""

from __future__ import annotations

import numpy as np


def whirl(x: np.ndarray, y: np.ndarray, eddies: np.ndarray, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Velocity of a current with eddies.

    Args:
        x: sheet coordinates, any shape.
        y: sheet coordinates, same shape.
        eddies: ``(n, 4)`` rows of centre x, centre y, radius (sheet units), strength (its sign is the sense).
        drift: strength of the even current along x.

    Returns:
        ``(along x, along y)``, shape of ``x``; the length is arbitrary.
    """
    along_x, along_y = np.full(np.shape(x), drift, np.float64), np.zeros(np.shape(x), np.float64)
    for cx, cy, radius, strength in eddies:
        dx, dy = (x - cx) / radius, (y - cy) / radius
        # Solid rotation inside, fading outside.
        speed = strength * np.exp(0.5 - 0.5 * (dx**2 + dy**2))
        along_x -= speed * dy
        along_y += speed * dx
    return along_x, along_y
