"""Says at a run's end whether more steps would have helped."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from fastnst.training.steps.training_module import TrainingModule

SETTLED = 0.03
"""A fall of the objective over the last quarter of a run's steps that no eye sees: as far as two seeds lie apart."""


class Convergence(pl.Callback):
    """Compares the training objective of the last quarter of the steps with that of the quarter before.

    Attributes:
        sums: of the objective over the third and over the last quarter.
        counts: of the steps in each.
    """

    def __init__(self) -> None:
        self.sums = torch.zeros(2)
        self.counts = [0, 0]

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums.tolist(), "counts": self.counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sums, self.counts = torch.tensor(state_dict["sums"]), list(state_dict["counts"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule) and pl_module.last_objective is not None
        half = 4 * (trainer.global_step - 1) // pl_module.steps - 2
        if half in (0, 1):
            total = pl_module.last_objective.total.detach()
            self.sums = self.sums.to(total)  # stays on the device: reading it would wait for the step
            self.sums[half] += total
            self.counts[half] += 1

    def words(self) -> str | None:
        """What is said at the end; None where there is too little to compare, or no number to compare with."""
        if min(self.counts) < 5:
            return None
        before, last = (self.sums.cpu() / torch.tensor(self.counts)).tolist()
        fall = 1 - last / before if before > 0 else 0.0
        if fall < SETTLED:
            return "Converged: the last quarter of the steps hardly lowered the objective."
        return f"The last quarter of the steps still lowered the objective by {fall:.0%}: more steps would help."
