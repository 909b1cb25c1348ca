"""An endless supply of style pictures: any of the painters, in other colours, at another scale, loud or quiet.

For training a start from which any painting is learnt fast; nothing here is shipped as a picture.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from fastnst.styles import NAMES, paint

GREY = np.full(3, 3**-0.5)
SHEETS = 24
"""Compositions of each painter: cut, turned and coloured differently they are never the same picture twice."""


def painting(seed: int, size: int = 512) -> Image.Image:
    """Paint a picture that only ``seed`` determines, ``size`` pixels square.

    The painter, its composition, a part of the sheet of 0.45 to 1 of its side, its place, mirroring and quarter turns,
    and the colours are drawn at random.
    """
    rng = np.random.default_rng(seed)
    name = NAMES[rng.integers(len(NAMES))]
    part = rng.uniform(0.45, 1.0)
    sheet = round(size / part)
    picture = paint(name, min(sheet, 1024), seed=int(rng.integers(SHEETS)))
    left, top = (rng.uniform(0, 1 - part, 2) * picture.width).astype(int)
    side = int(part * picture.width)
    picture = picture.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    turned = np.rot90(np.asarray(picture, np.float32) / 255, int(rng.integers(4)))
    if rng.uniform() < 0.5:
        turned = turned[:, ::-1]
    coloured = recoloured(turned, rng) if rng.uniform() < 0.85 else turned
    return Image.fromarray(np.round(255 * np.clip(coloured, 0, 1)).astype(np.uint8))


def recoloured(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn the hues of (H, W, 3) in [0, 1], change saturation, contrast and mean colour, at times to a negative."""
    mean = picture.mean((0, 1))
    colours = turn_hue(rng.uniform(0, 2 * np.pi))
    grey = np.outer(GREY, GREY)
    colours = grey + rng.uniform(0.2, 1.3) * (colours - grey)
    contrast = rng.uniform(0.5, 1.3) * (-1 if rng.uniform() < 0.25 else 1)
    centre = colours @ mean + rng.normal(0, 0.08, 3)
    return np.clip(centre, 0.15, 0.85) + contrast * (picture - mean) @ colours.T


def turn_hue(angle: float) -> np.ndarray:
    """The rotation (3, 3) of RGB round the axis of greys (Rodrigues' formula)."""
    cross = np.cross(np.eye(3), GREY)
    return np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(GREY, GREY)
