"""Mean and variance of a map that is seen part by part."""

from __future__ import annotations

import torch
from torch import Tensor


class RunningStatistics:
    """Mean and biased variance of each channel over parts of a map, joined in double precision (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None
        self.squares: Tensor | None = None  # sum of squared deviations

    def add(self, part: Tensor) -> None:
        """Take in the pixels of (1, C, h, w)."""
        variance, mean = torch.var_mean(part, dim=(2, 3), correction=0, keepdim=True)
        count, mean, squares = part.shape[-2] * part.shape[-1], mean.cpu().double(), variance.cpu().double()
        squares = squares * count
        if self.mean is None or self.squares is None:
            self.count, self.mean, self.squares = count, mean, squares
            return
        total = self.count + count
        difference = mean - self.mean
        self.squares = self.squares + squares + difference**2 * (self.count * count / total)
        self.mean = self.mean + difference * (count / total)
        self.count = total

    def result(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and variance, (1, C, 1, 1) each, float32."""
        assert self.mean is not None and self.squares is not None
        return self.mean.float().to(device), (self.squares / self.count).float().to(device)
