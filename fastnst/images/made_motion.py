"""Motion made on still pictures: where every pixel comes from is known exactly, and what could not be seen before."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT, ZOOM, TURN, GAIN, NOISE = 12.0, 0.08, 0.07, 0.15, 0.04
"""The most that :meth:`MadeMotion.draw` draws, either way: pixels, parts of 1, radians (4 degrees), parts of 1, and
the noise's deviation in units of [0, 1]. A hand-held film has less from frame to frame; over a second it has this."""
FAINT = 3
"""Power of the noise's even distribution: half of it is under an eighth of the most, as in compressed films, where flat
areas hold little else."""
GRAINS = (1, 2, 4, 8)
"""Sides of the noise's grains in pixels: a sensor's has 1, a compressed film's errors are as large as its blocks."""


class MadeMotion(NamedTuple):
    """A motion of whole pictures, and what light and sensor change between two frames.

    Attributes:
        shift: where the picture's centre goes, right and down, in pixels.
        zoom: factor.
        turn: clockwise, in radians.
        gain: factor of the brightness.
        noise: its deviation, in units of [0, 1].
        grain: side of the noise's grains in pixels.
        seed: of the noise.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    turn: float = 0.0
    gain: float = 1.0
    noise: float = 0.0
    grain: int = 1
    seed: int = 0

    @classmethod
    def draw(cls, random: np.random.Generator) -> MadeMotion:
        """All of it at once, each evenly distributed, small motions as often as large ones, and faint noise oftener."""
        length, angle = SHIFT * random.random(), 2 * math.pi * random.random()
        zoom, turn, gain = (most * random.uniform(-1, 1) for most in (ZOOM, TURN, GAIN))
        shift, noise = (length * math.cos(angle), length * math.sin(angle)), NOISE * random.random() ** FAINT
        grain, seed = int(random.choice(GRAINS)), int(random.integers(2**31))
        return cls(shift, 1 + zoom, turn, 1 + gain, noise, grain, seed)

    def carry(self, pictures: Tensor) -> Tensor:
        """Pictures (N, C, H, W) moved; bicubic, and what comes in from outside is mirrored."""
        grid = self._sources(*pictures.shape[-2:]).to(pictures.device, non_blocking=True)
        return F.grid_sample(
            pictures.float(), grid.expand(len(pictures), -1, -1, -1), "bicubic", "reflection", align_corners=False
        )

    def film(self, pictures: Tensor) -> Tensor:
        """The next frame of pictures (N, C, H, W) in [0, 1]: moved, in another light, with noise."""
        n, c, height, width = pictures.shape
        small = (n, c, -(-height // self.grain), -(-width // self.grain))
        noise = torch.randn(small, generator=torch.Generator().manual_seed(self.seed))
        if self.grain > 1:
            noise = noise.repeat_interleave(self.grain, 2).repeat_interleave(self.grain, 3)[..., :height, :width]
        noise = self.noise * noise.to(pictures.device, non_blocking=True)
        return (self.gain * self.carry(pictures) + noise).clamp(0, 1)

    def visible(self, height: int, width: int) -> Tensor:
        """1 where a moved picture shows what was within the picture before, 0 elsewhere: (1, 1, H, W)."""
        sources = self._sources(height, width) * torch.tensor([width / 2, height / 2])
        edge = torch.tensor([(width - 1) / 2, (height - 1) / 2]) + 1e-3  # of an unmoved picture all of it, rounded
        return (sources.abs() <= edge).all(dim=-1).float()[:, None]

    def _sources(self, height: int, width: int) -> Tensor:
        """Where each pixel comes from, (1, H, W, 2), as x and y from -1 to 1 as ``grid_sample`` has them."""
        cosine, sine = math.cos(self.turn) / self.zoom, math.sin(self.turn) / self.zoom
        (x, y), aspect = self.shift, height / width
        back_x, back_y = cosine * x + sine * y, cosine * y - sine * x
        theta = torch.tensor(
            [[cosine, sine * aspect, -2 * back_x / width], [-sine / aspect, cosine, -2 * back_y / height]]
        )
        return F.affine_grid(theta[None], [1, 1, height, width], align_corners=False)
