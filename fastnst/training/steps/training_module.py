"""What every training of a network here has: its optimiser, its schedule, and what enters a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.losses import Objective
from fastnst.networks import Network
from fastnst.training.muon import Muon

SCHEDULES = ("constant", "one_cycle")
OPTIMIZERS = ("adam", "muon")
FROZEN = ("loss.", "teacher.")
"""How names of values begin that no training changes."""


class TrainingModule(pl.LightningModule):
    """A network and the objective that it descends on.

    Args:
        network: the network to train.
        loss: the objective; it never enters a checkpoint.
        steps: optimiser steps of the whole run; the schedule ends there.
        learning_rate: the optimiser's highest learning rate.
        optimizer: ``"adam"`` (Johnson et al. 2016) or ``"muon"`` (:class:`~fastnst.training.muon.Muon`).
        schedule: ``"constant"`` (Johnson et al. 2016) or ``"one_cycle"`` (see :func:`one_cycle`).
        seed: of what a step draws, which depends on it and on the step only, so that a resumed run sees the same.

    Attributes:
        learning_rate_scale: multiplies the schedule from the next step on; lowered by whoever finds it too fast.
        last_objective: of the newest training step.

    Raises:
        InputError: an argument is out of range.
    """

    network: Network

    def __init__(
        self,
        network: Network,
        loss: nn.Module,
        steps: int,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        seed: int = 0,
        optimizer: str = "adam",
    ) -> None:
        super().__init__()
        require_numbers(learning_rate=learning_rate)
        if learning_rate == 0:
            raise InputError("learning_rate=0: nothing would be learnt; the paper's value is 1e-3.")
        if schedule not in SCHEDULES:
            raise InputError(f"schedule={schedule!r}: expected one of {', '.join(SCHEDULES)}.")
        if optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer={optimizer!r}: expected one of {', '.join(OPTIMIZERS)}.")
        self.network = network
        self.loss = loss
        self.steps = steps
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.optimizer = optimizer
        self.seed = seed
        self.learning_rate_scale = 1.0
        self.last_objective: Objective | None = None

    def configure_optimizers(self) -> Any:
        """The optimiser with the schedule, stepped every batch."""
        parameters = self.network.parameters()
        optimizer: torch.optim.Optimizer
        if self.optimizer == "muon":
            optimizer = Muon(parameters, self.learning_rate)
        else:
            optimizer = torch.optim.Adam(parameters, lr=self.learning_rate, fused=self.device.type == "cuda")

        def factor(step: int) -> float:
            return self.learning_rate_scale * (one_cycle(step / self.steps) if self.schedule == "one_cycle" else 1.0)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """A resumed run has the learning rate and the schedule of its settings, not those of the file."""
        schedule = self.lr_schedulers()
        assert isinstance(schedule, torch.optim.lr_scheduler.LambdaLR)
        for group, factor in zip(schedule.optimizer.param_groups, schedule.lr_lambdas, strict=True):
            group["initial_lr"], group["lr"] = self.learning_rate, self.learning_rate * factor(schedule.last_epoch)
        schedule.base_lrs = [self.learning_rate for _ in schedule.base_lrs]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen, the loss network, the Gram matrices, a teacher: the settings say what they are."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if not name.startswith(FROZEN)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what is frozen in this run where the checkpoint left it out."""
        own = {name: value for name, value in self.state_dict().items() if name.startswith(FROZEN)}
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **own}

    def record(self, stage: str, objective: Objective, more: Mapping[str, Tensor] = {}) -> None:
        """Log the terms of an objective, and ``more``, as ``STAGE/...``."""
        values = {f"{stage}/{name}": value for name, value in objective.terms.items()}
        values |= {f"{stage}/layers/{name}": value for name, value in objective.layers.items()}
        values |= {f"{stage}/weighted/{name}": value for name, value in objective.weighted.items()}
        values |= {f"{stage}/{name}": value for name, value in {"total": objective.total, **more}.items()}
        if stage == "train":
            self.last_objective = objective
            if self._trainer is not None and self.trainer.world_size > 1:  # all of them in one exchange
                mean = self.trainer.strategy.reduce(torch.stack(list(values.values())), reduce_op="mean")
                values = dict(zip(values, mean, strict=True))
        self.log_dict(values, sync_dist=stage == "held_out", logger=False)  # Curves writes them


def require_numbers(**numbers: float) -> None:
    """Raises:
    InputError: one of them is none, or under 0."""
    for name, value in numbers.items():
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise InputError(f"{name}={value!r}: expected a number of at least 0.")


def one_cycle(progress: float, warm_up: float = 0.15, start: float = 0.04) -> float:
    """Learning rate factor of the one-cycle policy (Smith & Topin 2017, arXiv 1708.07120), cosine in both halves.

    Args:
        progress: 0 at the first step, 1 after the last one.
        warm_up: part of the run in which the factor rises from ``start`` to 1; it then falls to 0.
        start: factor of the first step.
    """
    if progress < warm_up:
        return start + (1 - start) * (0.5 - 0.5 * math.cos(math.pi * progress / warm_up))
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warm_up) / (1 - warm_up)))
