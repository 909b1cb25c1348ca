"""The sheet every picture is painted on: its coordinates, and the way back to an image.

A sheet is ``SHEET`` units wide and high whatever the number of pixels, so a picture has the same
composition and the same relative texture at every size; at the shipped size one unit is one pixel.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SHEET = 768.0


def grid(size: int, supersample: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Sheet coordinates of the pixel centres.

    Args:
        size: pixels along one side of the final image.
        supersample: samples per pixel along one side.

    Returns:
        ``x`` (rightwards) and ``y`` (downwards), each float32 ``(size * supersample,) * 2`` in (0, SHEET).
    """
    samples = size * supersample
    axis = ((np.arange(samples, dtype=np.float32) + 0.5) * (SHEET / samples)).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def to_image(rgb: np.ndarray, size: int) -> Image.Image:
    """Average the samples of every pixel and round to 8 bits.

    Args:
        rgb: ``(size * k, size * k, 3)`` values in 0..1; values outside are clipped.
        size: pixels along one side of the image.
    """
    k = rgb.shape[0] // size
    pixels = np.clip(rgb, 0.0, 1.0).reshape(size, k, size, k, 3).mean(axis=(1, 3))
    return Image.fromarray(np.round(pixels * 255.0).astype(np.uint8))


def sample(field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Read a square field that covers the sheet at sheet coordinates (nearest cell)."""
    scale = field.shape[0] / SHEET
    rows = np.clip((y * scale).astype(np.int64), 0, field.shape[0] - 1)
    columns = np.clip((x * scale).astype(np.int64), 0, field.shape[1] - 1)
    return field[rows, columns]


def window(x: np.ndarray, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
    """Rows and columns of a square grid ``x`` inside a box (sheet units), cut at the edges of the sheet."""
    n = x.shape[0]
    first, last, upper, lower = (min(max(int(v / SHEET * n), 0), n) for v in (left, right, top, bottom))
    return slice(upper, lower), slice(first, last)


def smoothstep(low: float | np.ndarray, high: float | np.ndarray, value: np.ndarray) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, a smooth ramp between (``low > high`` gives a falling ramp)."""
    t = np.minimum(np.maximum((value - low) / (high - low), 0.0), 1.0)  # np.clip is slow for small arrays
    return t * t * (3.0 - 2.0 * t)
