"""A film made of one photograph: a hand-held camera that moves over it, comes closer, and has a noisy sensor."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from fastnst.images.made_motion import MadeMotion

NOISE = 0.01
"""Deviation in units of [0, 1]: a telephone's sensor in a room."""


def made_film(photo: Tensor, frames: int, height: int, width: int) -> Iterator[Tensor]:
    """Frames (3, height, width) of a photograph (3, H, W) in [0, 1], which must be larger by a quarter or more.

    The camera follows a flat eight, a frame's tenth to each side, once in 120 frames; light swells by a twentieth.
    """
    top, left = (photo.shape[1] - height) // 2, (photo.shape[2] - width) // 2
    for number in range(frames):
        turn = 2 * math.pi * number / 120
        motion = MadeMotion(
            shift=(0.1 * width * math.sin(turn), 0.05 * height * math.sin(2 * turn)),
            zoom=1.1 + 0.1 * math.sin(turn / 2),
            turn=0.03 * math.sin(turn), gain=1 + 0.05 * math.sin(3 * turn), noise=NOISE, seed=number,
        )  # fmt: skip
        with torch.inference_mode():
            yield motion.film(photo[None])[0, :, top : top + height, left : left + width]
