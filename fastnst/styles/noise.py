"""Smooth random fields over the sheet that do not depend on the number of pixels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_LATTICE = 64


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
    points = np.stack([np.asarray(y) / cell, np.asarray(x) / cell])
    return ndimage.map_coordinates(lattice, points, order=3, mode="grid-wrap", output=np.float32)


def cloud(x: np.ndarray, y: np.ndarray, cell: float, seed: int, octaves: int = 3) -> np.ndarray:
    """Sum of ``smooth_noise`` at halving cells and amplitudes; about -1..1, shape of ``x``."""
    total = np.zeros(np.shape(x), np.float32)
    for octave in range(octaves):
        total += smooth_noise(x, y, cell / 2**octave, seed + 7919 * octave) / 2**octave
    return total / (2.0 - 0.5 ** (octaves - 1))
