"""What every training of a network here has: its optimiser, its schedule, and what enters a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.losses import Objective
from fastnst.networks.blocks import InstanceNorm
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
        optimizer: ``"adam"`` (Johnson et al. 2016), ``"muon"`` (:class:`~fastnst.training.muon.Muon`), or what makes
            one of the parameters and ``lr=``, such as a class of ``torch.optim``.
        schedule: ``"constant"`` (Johnson et al. 2016), ``"one_cycle"`` (see :func:`one_cycle`), or what makes one of
            ``torch.optim.lr_scheduler`` of an optimiser: its learning rates are tabulated, see :func:`tabulate`.
        seed: of what a step draws, which depends on it and on the step only, so that a resumed run sees the same.

    Attributes:
        learning_rate_scale: multiplies the schedule from the next step on; lowered by whoever finds it too fast.
        last_objective: of the newest training step.
        logs: whether Lightning's loggers get the curves; :class:`~fastnst.training.callbacks.tensorboard.Curves` writes
            them itself.

    Raises:
        InputError: an argument is out of range.
    """

    network: Any

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[..., Any],
        steps: int,
        learning_rate: float = 1e-3,
        schedule: str | Callable[[torch.optim.Optimizer], Any] = "constant",
        seed: int = 0,
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adam",
    ) -> None:
        super().__init__()
        require_numbers(learning_rate=learning_rate)
        if learning_rate == 0:
            raise InputError("learning_rate=0: nothing would be learnt; the paper's value is 1e-3.")
        if not callable(schedule) and schedule not in SCHEDULES:
            raise InputError(f"schedule={schedule!r}: expected one of {', '.join(SCHEDULES)}.")
        if not callable(optimizer) and optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer={optimizer!r}: expected one of {', '.join(OPTIMIZERS)}.")
        if not any(one.requires_grad for one in network.parameters()):
            raise InputError("the network has nothing to train: no weights, or all are frozen (requires_grad_(True)).")
        self.network = network
        self.loss: Any = loss
        self.steps = steps
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.optimizer = optimizer
        self.seed = seed
        self.learning_rate_scale = 1.0
        self.last_objective: Objective | None = None
        self.logs = True

    def configure_optimizers(self) -> Any:
        """The optimiser with the schedule, stepped every batch."""
        parameters = [one for one in self.network.parameters() if one.requires_grad]
        optimizer: torch.optim.Optimizer
        if callable(self.optimizer):
            optimizer = self.optimizer(parameters, lr=self.learning_rate)
        elif self.optimizer == "muon":
            norms = [norm for norm in self.network.modules() if isinstance(norm, InstanceNorm)]
            rows = [values for norm in norms for values in (norm.weight, norm.bias) if values.ndim > 1]
            optimizer = Muon(parameters, self.learning_rate, rows)
        else:
            optimizer = torch.optim.Adam(parameters, lr=self.learning_rate, fused=self.device.type == "cuda")
        table = tabulate(self.schedule, self.learning_rate, self.steps) if callable(self.schedule) else []

        def factor(step: int) -> float:
            if table:
                return self.learning_rate_scale * table[min(step, self.steps)]
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
        self.log_dict(values, sync_dist=stage == "held_out", logger=self.logs)


def require_numbers(**numbers: float) -> None:
    """Raises:
    InputError: one of them is none, or under 0."""
    for name, value in numbers.items():
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise InputError(f"{name}={value!r}: expected a number of at least 0.")


def pictures_in(batch: Any) -> Tensor:
    """The photographs (N, 3, H, W) of a batch: ``{"images": ...}``, a tensor, or a tuple that begins with one.

    Raises:
        InputError: there are none.
    """
    first = batch["images"] if isinstance(batch, Mapping) and "images" in batch else batch
    first = first[0] if isinstance(first, list | tuple) and first else first
    if not isinstance(first, Tensor) or first.ndim != 4 or first.shape[1] != 3 or not first.is_floating_point():
        what = f"{first.dtype} {tuple(first.shape)}" if isinstance(first, Tensor) else type(first).__name__
        raise InputError(
            f"a batch of {what}: expected photographs (N, 3, H, W) as floats in [0, 1], alone, as the first of a "
            "tuple, or as {'images': ...}."
        )
    return first


def tabulate(schedule: Callable[[torch.optim.Optimizer], Any], learning_rate: float, steps: int) -> list[float]:
    """Learning rate factors for the steps 0 to ``steps`` of one of torch's schedules, followed on an idle optimiser.

    So it can be resumed anywhere, and multiplied where steps were not finite, whatever state it keeps. Only its
    learning rate counts: that some schedules move momentum, too, is lost.

    Raises:
        InputError: it is no schedule, or one that wants to see the loss.
    """
    idle = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=learning_rate)
    made, factors = schedule(idle), []
    if not isinstance(made, torch.optim.lr_scheduler.LRScheduler) or isinstance(
        made, torch.optim.lr_scheduler.ReduceLROnPlateau
    ):
        raise InputError(
            f"schedule makes a {type(made).__name__}: expected one of torch.optim.lr_scheduler that goes by steps "
            "alone."
        )
    for _ in range(steps + 1):
        factors.append(idle.param_groups[0]["lr"] / learning_rate)
        idle.step()
        made.step()
    return factors


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
