"""Film grain for the network's input: without it a flat sky or wall has nothing that a style could grow on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PRIME = 2**30 - 35
"""The largest prime under 2^30: products of two residues stay within 64 bits."""
ROW_STEP, COLUMN_STEP = 668_265_263, 374_761_393
"""How far a pixel is from the one above and the one beside it, in residues; primes without a simple ratio."""


class Grain(nn.Module):
    """Adds fixed noise, the same for every picture, so that stylizing stays a function of the picture.

    Convolutions and instance normalisation turn a constant area into a constant area, whatever they have learnt. The
    noise breaks the tie: in flat areas a network paints its style, in others the grain is too faint to matter. It is
    ours, not the paper's, which has ``amplitude`` 0. The pattern follows from the pixel's place by whole numbers alone:
    it is the same on every device and in every exported model, does not repeat within any picture, and needs no file.

    Args:
        amplitude: deviation of the noise in units of [0, 1].
    """

    def __init__(self, amplitude: float) -> None:
        super().__init__()
        self.amplitude = amplitude

    def pattern(
        self, height: int, width: int, device: torch.device | None = None, origin: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """The grain (H, W) from a row and a column on: uniformly distributed, mean 0, deviation 1.

        A cubic congruential generator (Eichenauer-Herrmann & Herrmann 1997 study the kind), run on a number for each
        pixel.
        """
        rows = (torch.arange(height, device=device) + origin[0]) * ROW_STEP % PRIME
        columns = (torch.arange(width, device=device) + origin[1]) * COLUMN_STEP % PRIME
        number = (rows[:, None] + columns) % PRIME
        number = number * number % PRIME * number % PRIME
        return (number.float() / PRIME - 0.5) * 12**0.5

    def forward(self, pictures: Tensor, origin: tuple[int, int] = (0, 0)) -> Tensor:
        """Pictures (N, 3, H, W) with the grain; unchanged for amplitude 0.

        Args:
            origin: row and column of the pattern at the upper left corner: training draws them anew for each step, a
                part of a picture is given its own place.
        """
        if self.amplitude == 0:
            return pictures
        height, width = pictures.shape[-2:]
        return pictures + self.amplitude * self.pattern(height, width, pictures.device, origin)
