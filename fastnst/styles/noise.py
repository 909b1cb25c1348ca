"""Smooth random fields over the sheet that do not depend on the number of pixels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_LATTICE = 64


def _weights(points: np.ndarray) -> np.ndarray:
    """Cubic B-splines at ``points`` ``(n,)`` of the lattice: ``(64, n)``, four of them above 0 at each point."""
    low = np.floor(points).astype(np.int64)
    t = points - low
    weights = np.zeros((_LATTICE, len(points)))
    parts = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3)
    for step, part in enumerate(parts, -1):
        weights[(low + step) % _LATTICE, np.arange(len(points))] = part / 6.0
    return weights


def smooth_noise(x: np.ndarray, y: np.ndarray, cell: float, seed: int) -> np.ndarray:
    """Random values on a lattice, interpolated with cubic splines.

    Args:
        x: sheet coordinates, any shape.
        y: sheet coordinates, same shape.
        cell: lattice step in sheet units; blobs are about this wide.
        seed: the same seed gives the same field.

    Returns:
        float32, shape of ``x``, mean about 0, nearly all within -1..1.
    """
    lattice = np.random.default_rng(seed).uniform(-1.0, 1.0, (_LATTICE, _LATTICE)).astype(np.float32)
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 2 and (x == x[:1]).all() and (y == y[:, :1]).all():
        # A grid: spline interpolation is a matrix product along each axis, and much quicker.
        knots = ndimage.spline_filter(lattice, order=3, mode="grid-wrap")
        return (_weights(y[:, 0] / cell).T @ knots @ _weights(x[0] / cell)).astype(np.float32)
    points = np.stack([y / cell, x / cell])
    return ndimage.map_coordinates(lattice, points, order=3, mode="grid-wrap", output=np.float32)


def cloud(x: np.ndarray, y: np.ndarray, cell: float, seed: int, octaves: int = 3) -> np.ndarray:
    """Sum of ``smooth_noise`` at halving cells and amplitudes; about -1..1, shape of ``x``."""
    total = np.zeros(np.shape(x), np.float32)
    for octave in range(octaves):
        total += smooth_noise(x, y, cell / 2**octave, seed + 7919 * octave) / 2**octave
    return total / (2.0 - 0.5 ** (octaves - 1))
