"""One bar with the steps and the time left."""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl
import torch
from tqdm import tqdm

from fastnst.training.steps.training_module import TrainingModule


class TrainingBar(pl.Callback):
    """Steps done and to come, time left, the main terms; validation leaves it alone.

    Args:
        every_n_steps: how often the terms are read; reading waits for a GPU, so not at every step.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        self.every_n_steps = every_n_steps
        self.bar: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.bar = tqdm(
                desc="Training",
                total=trainer.max_steps,
                initial=trainer.global_step,
                unit="step",
                file=sys.stdout,
                dynamic_ncols=True,
                smoothing=0.05,  # of the rate: previews and validation cost some steps more than others
                mininterval=0.5 if sys.stdout.isatty() else 10,  # seconds; a log file wants fewer lines
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None:
            return
        step = trainer.global_step
        first = self.bar.n == self.bar.initial
        objective = pl_module.last_objective if isinstance(pl_module, TrainingModule) else None
        if objective is not None and (first or step % self.every_n_steps == 0 or step == trainer.max_steps):
            shown = ("content", "style", "imitation", "pixel", "feature")
            terms = {name: objective.weighted[name] for name in shown if name in objective.weighted}
            values = torch.stack(list(terms.values())).tolist() if terms else []  # one wait for a GPU, not many
            self.bar.set_postfix({name: f"{one:.4g}" for name, one in zip(terms, values, strict=True)}, refresh=False)
        self.bar.update(step - self.bar.n)
        if first or step == trainer.max_steps:
            self.bar.refresh()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
