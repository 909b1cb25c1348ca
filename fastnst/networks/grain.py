"""Film grain for the network's input: without it a flat sky or wall has nothing that a style could grow on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

TILES = ((61, 67), (71, 73))
"""Heights and widths of two noise tiles; their sum repeats only after 61*71 x 67*73 = 4331 x 4891 pixels."""


class Grain(nn.Module):
    """Adds fixed Gaussian noise, the same for every picture, so that stylizing stays a function of the picture.

    Convolutions and instance normalisation turn a constant area into a constant area, whatever they have learnt. The
    noise breaks the tie: in flat areas a network paints its style, in others the grain is too faint to matter. It is
    ours, not the paper's, which has ``amplitude`` 0. The pattern is no parameter and enters no checkpoint.

    Args:
        amplitude: deviation of the noise in units of [0, 1].

    Attributes:
        origin: (row, column) of the pattern at the picture's upper left corner: training draws it anew for each step,
            tiling sets it to where the tile lies.
    """

    def __init__(self, amplitude: float) -> None:
        super().__init__()
        self.amplitude = amplitude
        self.origin = (0, 0)
        random = np.random.RandomState(0)  # its stream is frozen for good, unlike torch's and numpy's newer generators
        for index, shape in enumerate(TILES):
            tile = torch.from_numpy(random.standard_normal(shape).astype(np.float32)) / len(TILES) ** 0.5
            self.register_buffer(f"tile{index}", tile, persistent=False)

    def pattern(self, height: int, width: int) -> Tensor:
        """The grain (H, W) from :attr:`origin` on, of mean 0 and deviation about 1."""
        pattern = torch.zeros((), device=self.tile0.device)
        for tile in (self.tile0, self.tile1):
            rows = (torch.arange(height, device=tile.device) + self.origin[0]) % tile.shape[0]
            columns = (torch.arange(width, device=tile.device) + self.origin[1]) % tile.shape[1]
            pattern = pattern + tile[rows][:, columns]
        return pattern

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) with the grain added; unchanged where the amplitude is 0."""
        if self.amplitude == 0:
            return pictures
        return pictures + self.amplitude * self.pattern(*pictures.shape[-2:])
