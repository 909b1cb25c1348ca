"""Directions for brush and needle: fields of curl that strokes follow."""

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


def trace(
    x: np.ndarray, y: np.ndarray, direction: np.ndarray, length: float | np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Follow a field of directions from many starts at once.

    Args:
        x: ``(n,)`` starts in sheet units.
        y: ``(n,)``.
        direction: ``(rows, columns, 2)`` unit vectors (x, y) that cover a sheet of 768 units.
        length: arc length of every line, sheet units.
        steps: segments per line.

    Returns:
        ``x`` and ``y`` of the lines, each ``(n, steps + 1)``; the start is the first point.
    """
    rows, columns = direction.shape[:2]
    lines_x, lines_y = [np.asarray(x, np.float64)], [np.asarray(y, np.float64)]
    step = np.asarray(length) / steps
    for _ in range(steps):
        r = np.clip((lines_y[-1] * (rows / 768.0)).astype(np.int64), 0, rows - 1)
        c = np.clip((lines_x[-1] * (columns / 768.0)).astype(np.int64), 0, columns - 1)
        lines_x.append(lines_x[-1] + step * direction[r, c, 0])
        lines_y.append(lines_y[-1] + step * direction[r, c, 1])
    return np.stack(lines_x, 1), np.stack(lines_y, 1)
