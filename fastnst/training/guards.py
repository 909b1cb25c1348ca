"""Callbacks that notice what goes wrong in a training and say what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from fastnst.errors import InputError
from fastnst.losses import Objective
from fastnst.training.module import StyleTransferModule
from fastnst.training.processes import shared


class NonFiniteGuard(pl.Callback):
    """Skips and counts steps whose losses or gradients are not finite; too many in a row stop the run.

    Args:
        patience: this many in a row stop the run.

    Attributes:
        skipped: steps skipped in all.
    """

    def __init__(self, patience: int = 10) -> None:
        self.patience = patience
        self.skipped = 0
        self.in_a_row = 0

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        values = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        objective = pl_module.last_objective if isinstance(pl_module, StyleTransferModule) else None
        if objective is not None:
            values.append(objective.total)
        finite = bool(torch.stack([value.isfinite().all() for value in values]).all())  # one wait for a GPU, not many
        if trainer.strategy.reduce_boolean_decision(finite, all=True):  # all processes skip, or none
            self.in_a_row = 0
            return
        self.skipped += 1
        self.in_a_row += 1
        optimizer.zero_grad(set_to_none=True)
        broken = "a gradient (the losses are finite)" if objective is None else self._broken_term(objective)
        rank_zero_warn(
            f"step {trainer.global_step}: {broken} is not finite; the step is skipped ({self.skipped} so far)."
        )
        if self.in_a_row >= self.patience:
            raise InputError(
                f"{self.in_a_row} steps in a row were not finite, first broken: {broken}. The weights are still those "
                "before; lower learning_rate or the weight of that term, or use trainer.precision=32-true, and go on "
                "with ckpt_path=last."
            )

    @staticmethod
    def _broken_term(objective: Objective) -> str:
        for name, value in {**objective.layers, **objective.terms}.items():
            if not value.isfinite():
                return f"the loss term {name}"
        return "a gradient (the losses are finite)"

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped"]


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


class SkippedPhotos(pl.Callback):
    """Counts and names the photographs that could not be read; writes them to ``skipped_photos.txt`` in the run folder.

    Attributes:
        paths: each bad file once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: set[str] = set()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._add(set(batch["skipped"]))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._add(shared(self.paths))

    def state_dict(self) -> dict[str, Any]:
        self._add(shared(self.paths))  # Lightning asks all processes at the same step
        return {"paths": sorted(self.paths)}

    def _add(self, paths: set[str]) -> None:
        new = sorted(paths - self.paths)
        self.paths.update(new)
        if new and rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # the others' reach it with `shared`
            for path in new:
                rank_zero_warn(f"photograph skipped, it cannot be read: {path}")
            with open(self.folder / "skipped_photos.txt", "a", encoding="utf-8") as file:
                file.writelines(f"{path}\n" for path in new)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.paths = set(state_dict["paths"])
