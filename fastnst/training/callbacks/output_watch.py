"""Warns of pictures that come out constant or saturated."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn


class OutputWatch(pl.Callback):
    """Warns once when held-out pictures come out constant or saturated.

    Args:
        least_deviation: of the pixels of a picture, in units of [0, 1]; below, the picture is called constant.
        most_saturated: part of the pixels outside [0, 1]; above, the picture is called saturated.
    """

    def __init__(self, least_deviation: float = 0.02, most_saturated: float = 0.25) -> None:
        self.least_deviation = least_deviation
        self.most_saturated = most_saturated
        self.warned: set[str] = set()

    def examine(self, stylized: torch.Tensor, step: int) -> None:
        """Look at stylized pictures (N, 3, H, W) before they are clamped; N may be 0."""
        if len(stylized) == 0:
            return
        deviation = stylized.std(dim=(1, 2, 3)).min().item()
        saturated = ((stylized < 0) | (stylized > 1)).float().mean().item()
        if deviation < self.least_deviation:
            self._warn(
                "constant", f"step {step}: a stylized picture is nearly one colour (deviation {deviation:.3f}). Early "
                "on this passes; if it stays, raise loss.content_weight or lower learning_rate."
            )  # fmt: skip
        if saturated > self.most_saturated:
            self._warn(
                "saturated", f"step {step}: {saturated:.0%} of the values are outside the range that can be shown. "
                "Raise range_weight or lower learning_rate."
            )  # fmt: skip

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self.warned:
            self.warned.add(kind)
            rank_zero_warn(message)
