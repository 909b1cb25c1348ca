"""Steps whose losses or gradients are not finite are skipped, and what to do about many of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from fastnst.errors import InputError
from fastnst.losses import Objective
from fastnst.training.steps.training_module import TrainingModule


class NonFiniteGuard(pl.Callback):
    """Skips and counts steps whose losses or gradients are not finite.

    Too many in a row: the weights and the optimiser go back to the last good ones, the learning rate is halved. When
    that did not help ``tries`` times, the run stops and says what to change.

    Args:
        patience: this many in a row are too many.
        tries: how often the weights go back before the run stops; ``keep_every`` good steps in a row count afresh.
        keep_every: steps between copies of good weights.

    Attributes:
        skipped: steps skipped in all.
        in_a_row: steps skipped since the last good one.
        halvings: how often the learning rate was halved, until somebody gives another one.
    """

    def __init__(self, patience: int = 10, tries: int = 2, keep_every: int = 100) -> None:
        self.patience = patience
        self.tries = tries
        self.keep_every = keep_every
        self.skipped = 0
        self.in_a_row = 0
        self.halvings = 0
        self._tried = 0
        self._good_in_a_row = 0
        self._learning_rate: float | None = None
        self._kept: dict[str, Any] | None = None  # weights and optimiser

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        if self._learning_rate != pl_module.learning_rate:
            self.halvings, self._learning_rate = 0, pl_module.learning_rate
        pl_module.learning_rate_scale = 0.5**self.halvings
        if self._kept is None:
            self._keep(trainer, pl_module)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        values = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        objective = pl_module.last_objective if isinstance(pl_module, TrainingModule) else None
        if objective is not None:
            values.append(objective.total)
        finite = bool(torch.stack([value.isfinite().all() for value in values]).all())  # one wait for a GPU, not many
        if trainer.strategy.reduce_boolean_decision(finite, all=True):  # all processes skip, or none
            self.in_a_row = 0
            self._good_in_a_row += 1
            if self._good_in_a_row >= self.keep_every:
                self._tried = 0
            if trainer.global_step % self.keep_every == 0 and self._good_in_a_row > self.patience:
                self._keep(trainer, pl_module)
            return
        self.skipped += 1
        self.in_a_row += 1
        self._good_in_a_row = 0
        optimizer.zero_grad(set_to_none=True)
        broken = "a gradient (the losses are finite)" if objective is None else self._broken_term(objective)
        rank_zero_warn(
            f"step {trainer.global_step}: {broken} is not finite; the step is skipped ({self.skipped} so far)."
        )
        if self.in_a_row < self.patience:
            return
        self.in_a_row = 0
        if self._tried < self.tries:
            self._go_back(trainer, pl_module)
            return
        self._tried = 0
        rate = self.learning_rate(pl_module)
        raise InputError(
            f"{self.patience} steps in a row were not finite, again after going back to good weights {self.tries} times"
            f", first broken: {broken}. The saved weights are good ones; lower learning_rate (now "
            f"{rate:g}) or the weight of that term, or use "
            "trainer.precision=32-true, and resume with ckpt_path=last."
        )

    def learning_rate(self, pl_module: pl.LightningModule) -> float:
        """The highest one of the schedule, as it is now."""
        assert isinstance(pl_module, TrainingModule)
        return pl_module.learning_rate * 0.5**self.halvings

    def _keep(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        state = {"network": pl_module.network.state_dict(), "optimizer": trainer.optimizers[0].state_dict()}
        self._kept = {"step": trainer.global_step, **deepcopy(state)}

    def _go_back(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule) and self._kept is not None
        self._tried += 1
        self.halvings += 1
        pl_module.learning_rate_scale = 0.5**self.halvings  # from the next step on; this one has no gradients
        pl_module.network.load_state_dict(self._kept["network"])
        trainer.optimizers[0].load_state_dict(deepcopy(self._kept["optimizer"]))  # it would take the tensors themselves
        rank_zero_warn(
            f"step {trainer.global_step}: {self.patience} steps in a row were not finite; continuing with the weights "
            f"of step {self._kept['step']} and half the learning rate ({self.learning_rate(pl_module):g})."
        )

    @staticmethod
    def _broken_term(objective: Objective) -> str:
        for name, value in {**objective.layers, **objective.terms}.items():
            if not value.isfinite():
                return f"the loss term {name}"
        return "a gradient (the losses are finite)"

    def state_dict(self) -> dict[str, Any]:
        return {
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
            "halvings": self.halvings,
            "tried": self._tried,
            "good_in_a_row": self._good_in_a_row,
            "learning_rate": self._learning_rate,
            "kept": self._kept,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped"]
        self.in_a_row = state_dict.get("in_a_row", 0)
        self.halvings = state_dict.get("halvings", 0)
        self._tried = state_dict.get("tried", 0)
        self._good_in_a_row = state_dict.get("good_in_a_row", 0)
        self._learning_rate = state_dict.get("learning_rate")
        self._kept = state_dict.get("kept")
