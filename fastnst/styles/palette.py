"""Pigments: colours by hex code, and the few operations a painter does with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pigments(*codes: str) -> np.ndarray:
    """Hex codes such as ``"1b3f8f"`` as a float32 array ``(n, 3)`` in 0..1 (sRGB)."""
    return np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in codes], np.float32) / 255.0


def ramp(stops: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Blend along a row of colours.

    Args:
        stops: ``(n, 3)`` colours, evenly spaced over 0..1.
        position: any shape, clipped to 0..1.

    Returns:
        float32, ``position.shape + (3,)``.
    """
    place = np.minimum(np.maximum(position, 0.0), 1.0) * (len(stops) - 1)
    low = np.minimum(place.astype(np.int64), len(stops) - 2)
    part = place - low
    blend = np.empty((*np.shape(position), 3), np.float32)
    for k, channel in enumerate(stops.T):  # much quicker than to look up whole colours
        blend[..., k] = channel.take(low) * (1.0 - part) + channel.take(low + 1) * part
    return blend


def mix(under: np.ndarray, over: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Lay ``over`` on ``under``: ``cover`` (0..1, without the colour axis) is how much of it hides."""
    return under + (over - under) * cover[..., None]


def between(choices: Sequence[tuple[np.ndarray, ...]], rng: np.random.Generator) -> list[np.ndarray]:
    """One of several choices of colours, with up to a third of another one mixed in; they are alike in shape."""
    first, other = rng.choice(len(choices), 2, replace=False)
    part = np.float32(rng.uniform(0.0, 0.34))
    return [a + part * (b - a) for a, b in zip(choices[first], choices[other], strict=True)]
