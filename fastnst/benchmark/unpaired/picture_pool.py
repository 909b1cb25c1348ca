"""A history of generated pictures, of which a discriminator is shown some."""

from __future__ import annotations

import torch
from torch import Tensor

SIZE = 50
"""Pictures; of Zhu et al. 2017, section 4, after Shrivastava et al. 2017 (arXiv 1612.07828)."""


class PicturePool:
    """Keeps up to ``size`` pictures (3, H, W); random numbers are torch's own."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.pictures: list[Tensor] = []

    def exchange(self, picture: Tensor) -> Tensor:
        """The picture itself; or, half of the time once the pool is full, one from it, whose place it takes."""
        if len(self.pictures) < self.size:
            self.pictures.append(picture)
            return picture
        if torch.rand(()) < 0.5:
            return picture
        place = int(torch.randint(self.size, ()))
        kept, self.pictures[place] = self.pictures[place], picture
        return kept
