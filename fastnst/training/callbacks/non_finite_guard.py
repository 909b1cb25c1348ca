"""Steps whose losses or gradients are not finite are skipped, and what to do about many of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from fastnst.errors import InputError
from fastnst.training.steps.training_module import TrainingModule
from fastnst.training.steps.undoing import undo_unless


class NonFiniteGuard(pl.Callback):
    """Skips and counts steps whose losses or gradients are not finite.

    Too many in a row: the weights and the optimiser go back to the last good ones, the learning rate is halved. When
    that did not help ``tries`` times, the run stops and says what to change.

    Each step is judged on the device, where a broken one changes nothing, so that no weights are ever broken. Reading
    what was found waits for a GPU: it is done every ``read_every`` steps, before every save, in the first step, and
    after a broken one in each until a good one comes. So with ``read_every`` up to ``patience`` the run goes back and
    stops in the very step where it would if every step were read, else at the next reading.

    Args:
        read_every: steps between readings.
        patience: this many in a row are too many.
        tries: how often the weights go back before the run stops; ``keep_every`` good steps in a row count afresh.
        keep_every: least steps between copies of good weights.

    Attributes:
        skipped: steps skipped in all.
        in_a_row: steps skipped since the last good one.
        halvings: how often the learning rate was halved, until somebody gives another one.
    """

    def __init__(self, read_every: int = 1, patience: int = 10, tries: int = 2, keep_every: int = 100) -> None:
        self.read_every = read_every
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
        self._unread: list[Judgement] = []
        self._undo: Callable[[], None] | None = None  # after the optimiser's step
        self._broken = ""  # what was not finite in the last broken step

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
        judgement = judge(trainer, pl_module)
        self._unread.append(judgement)
        step = trainer.global_step
        if (step + 1) % self.read_every and not self.in_a_row and optimizer.state:
            self._undo = undo_unless(judgement.finite[0] > 0, optimizer)
            return
        self._read()
        if not self.in_a_row:
            assert self._kept is not None
            if step - self._kept["step"] >= self.keep_every and self._good_in_a_row > self.patience:
                self._keep(trainer, pl_module)
            return
        optimizer.zero_grad(set_to_none=True)
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
            f", first broken: {self._broken}. The saved weights are good ones; lower learning_rate (now "
            f"{rate:g}) or the weight of that term, or use "
            "trainer.precision=32-true, and resume with ckpt_path=last."
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._undo is not None:
            self._undo()
            self._undo = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._read()

    def _read(self) -> None:
        """Count the steps since the last reading, in their order, and name the broken ones."""
        unread, self._unread = self._unread, []
        if not unread:
            return
        values = iter(torch.cat([judgement.finite for judgement in unread]).tolist())  # the one wait for a GPU
        for step, _, names in unread:
            finite, *parts = (next(values) > 0 for _ in range(1 + len(names)))
            if finite:
                self.in_a_row = 0
                self._good_in_a_row += 1
                if self._good_in_a_row >= self.keep_every:
                    self._tried = 0
                continue
            self.skipped += 1
            self.in_a_row += 1
            self._good_in_a_row = 0
            terms = (f"the loss term {name}" for name, good in zip(names, parts, strict=True) if not good)
            self._broken = next(terms, "a gradient (the losses are finite)")
            rank_zero_warn(f"step {step}: {self._broken} is not finite; the step is skipped ({self.skipped} so far).")

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

    def state_dict(self) -> dict[str, Any]:
        self._read()
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


class Judgement(NamedTuple):
    """What a device found of one step.

    Attributes:
        step: its number.
        finite: 1 or 0, of the step as a whole and of each loss term.
        names: of the terms.
    """

    step: int
    finite: Tensor
    names: list[str]


def judge(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Judgement:
    """Whether the gradients, the loss and each of its terms are finite, in all processes; nobody waits for it."""
    parameters = [parameter for parameter in pl_module.parameters() if parameter.grad is not None]
    largest = torch.nn.utils.clip_grad_norm_(parameters, math.inf, math.inf)  # which clips none
    objective = pl_module.last_objective if isinstance(pl_module, TrainingModule) else None
    named = {} if objective is None else {**objective.layers, **objective.terms}
    parts = [] if objective is None else [objective.total, *named.values()]
    finite = torch.stack([part.detach().float() for part in (largest, *parts)]).isfinite()
    both = finite[:2].all()[None]
    finite = torch.cat([both, finite[2:]]).float()
    if trainer.world_size > 1:  # all processes skip, or none
        finite = trainer.strategy.reduce(finite, reduce_op="min")
    return Judgement(trainer.global_step, finite, list(named))
