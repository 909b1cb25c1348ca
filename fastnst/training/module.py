"""The Lightning module: where the transformation network and the objective meet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.made_motion import MadeMotion
from fastnst.losses import Objective, PerceptualLoss
from fastnst.losses.functional import stability_loss
from fastnst.losses.perceptual import mean
from fastnst.networks import TransformerNetwork
from fastnst.training.muon import Muon

SCHEDULES = ("constant", "one_cycle")
OPTIMIZERS = ("adam", "muon")
FROZEN = ("loss.", "teacher.")
"""How names of values begin that no training changes."""
IMITATION_WEIGHT = 100.0
"""Of the mean squared difference to the teacher's picture in [0, 1]: makes the term as large as the objective (some 3
at the beginning, 1 when the pictures differ by 25 of 255 levels), which the optimiser's memory asks for."""

MOTION = 1
"""Tells the random numbers of a step's motion from those of its grain."""


class StyleTransferModule(pl.LightningModule):
    """Train a transformation network on one style, or one of many styles on all of them in turn.

    Args:
        network: the network to train.
        loss: the objective, with the style inside; it never enters a checkpoint.
        steps: optimiser steps of the whole run; the schedule ends there.
        learning_rate: the optimiser's highest learning rate.
        optimizer: ``"adam"`` (Johnson et al. 2016) or ``"muon"`` (:class:`~fastnst.training.muon.Muon`).
        schedule: ``"constant"`` (Johnson et al. 2016) or ``"one_cycle"`` (see :func:`one_cycle`).
        range_weight: weight of the penalty on what enters the tanh beyond ``range_limit``, mean of the squared excess,
            in units of the objective (1: an excess of 1 costs as much as the whole objective): beyond, the tanh is flat
            and white or black patches would stay for good.
        range_limit: in units of the tanh's argument.
        seed: of the grain's place and the styles' order, which depend on it and on the step only, so that a resumed run
            sees the same.
        teacher: a trained network whose pictures this one imitates first (distillation, Hinton, Vinyals & Dean 2015,
            arXiv 1503.02531); such a step needs no loss network and takes about a third of the time.
        teacher_steps: how many steps do that.
        styles: names of a network's many styles, in the order of its rows; none for a network of one style.

    Attributes:
        learning_rate_scale: multiplies the schedule from the next step on; lowered by whoever finds it too fast.
        last_objective: of the newest training step.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        network: TransformerNetwork,
        loss: PerceptualLoss,
        steps: int,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        range_weight: float = 0.0,
        range_limit: float = 1.2,
        seed: int = 0,
        optimizer: str = "adam",
        teacher: TransformerNetwork | None = None,
        teacher_steps: int = 0,
        styles: Sequence[str] = (),
    ) -> None:
        super().__init__()
        numbers = {"learning_rate": learning_rate, "range_weight": range_weight}
        for name, value in (numbers | {"range_limit": range_limit}).items():
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise InputError(f"{name}={value!r}: expected a number of at least 0.")
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
        self.range_weight = range_weight
        self.range_limit = range_limit
        self.seed = seed
        self.teacher = None if teacher is None else teacher.eval().requires_grad_(False)
        self.teacher_steps = teacher_steps
        self.styles = list(styles)
        self.learning_rate_scale = 1.0
        self.last_objective: Objective | None = None

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        """Stylize, compare, log: the loss to descend on for a batch ``{"images": (N, 3, H, W) in [0, 1]}``."""
        content = batch["images"]
        styles = self.styles_of(self.global_step, len(content))
        stylized, excess = self.stylize(content, styles)
        if self.teacher is not None and self.global_step < self.teacher_steps:
            objective = self.imitation(stylized, content)
        elif styles:
            each = self.loss.each(stylized, content, styles)
            objective = mean(each)
            self._record_styles("train", styles, each)
        else:
            objective = self.loss(stylized, content)
        if self.loss.stability_weight:
            objective = objective.plus(
                "stability", self.stability(stylized, content, styles), self.loss.stability_weight
            )
        penalty = self.range_weight * objective.total.detach() * excess
        self._record("train", objective, penalty)
        return objective.total + penalty

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """The objective on held-out photographs, as ``held_out/...``."""
        content = batch["images"]
        if not self.styles:
            self._record("held_out", self.loss(self.network(content).float().clamp(0, 1), content))
            return
        targets, each = self.loss.content_features(content), []
        for number in range(len(self.styles)):
            shares = self.shares([number] * len(content))
            each.append(self.loss(self.network(content, style=shares).float().clamp(0, 1), targets, number))
        self._record("held_out", mean(each))
        self._record_styles("held_out", range(len(self.styles)), each)

    def stylize(self, content: Tensor, styles: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """The network's picture of ``content`` (N, 3, H, W), and the mean squared excess of what enters the tanh."""
        shares = self.shares(styles) if styles else None
        z = self.network.preactivation(content, self.grain_origin(), shares).float()
        return self.network.to_unit_range(z), torch.relu(z.abs() - self.range_limit).square().mean()

    def styles_of(self, step: int, pictures: int) -> list[int]:
        """The style of each of a step's pictures on this device: all styles in turn, each time in another order."""
        if not self.styles:
            return []
        world, rank = (self.trainer.world_size, self.global_rank) if self._trainer is not None else (1, 0)
        places = range(
            step * pictures * world + rank, (step + 1) * pictures * world, world
        )  # as photographs are shared
        rounds = [divmod(place, len(self.styles)) for place in places]
        return [int(np.random.default_rng((self.seed, turn)).permutation(len(self.styles))[k]) for turn, k in rounds]

    def shares(self, styles: Sequence[int]) -> Tensor:
        """One style for each of N pictures as the network takes it, (N, S)."""
        return torch.eye(len(self.styles), device=self.device)[list(styles)]

    def imitation(self, stylized: Tensor, content: Tensor) -> Objective:
        """How far the network's pictures (N, 3, H, W) are from those that the teacher makes of ``content``."""
        assert self.teacher is not None
        with torch.no_grad():
            target = self.teacher(content, self.grain_origin()).float()
        difference = (stylized - target).square().mean()
        weighted = IMITATION_WEIGHT * difference
        return Objective(weighted, {"imitation": difference}, {"imitation": weighted}, {})

    def stability(self, stylized: Tensor, content: Tensor, styles: Sequence[int] = ()) -> Tensor:
        """How far the picture of ``content`` (N, 3, H, W), moved, is from its picture ``stylized``, moved likewise."""
        motion = MadeMotion.draw(np.random.default_rng((self.seed, self.global_step, MOTION)))
        moved, _ = self.stylize(motion.film(content), styles)
        visible = motion.visible(*content.shape[-2:]).to(content.device)
        return stability_loss(moved, motion.carry(stylized), visible)

    def grain_origin(self) -> tuple[int, int]:
        """Of this step: one for the network and its teacher, who must see the same picture."""
        row, column = np.random.default_rng((self.seed, self.global_step)).integers(4096, size=2)
        return int(row), int(column)

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

    def _record(self, stage: str, objective: Objective, penalty: Tensor | None = None) -> None:
        values = {f"{stage}/{name}": value for name, value in objective.terms.items()}
        values |= {f"{stage}/layers/{name}": value for name, value in objective.layers.items()}
        values |= {f"{stage}/weighted/{name}": value for name, value in objective.weighted.items()}
        values[f"{stage}/total"] = objective.total
        if stage == "train" and self.teacher is not None:
            values.setdefault("train/imitation", objective.total.new_zeros(()))  # not in the objective any more
        if penalty is not None:
            values[f"{stage}/weighted/range"] = penalty.detach()
            values[f"{stage}/total"] = objective.total + penalty
            self.last_objective = objective
            if self._trainer is not None and self.trainer.world_size > 1:  # all of them in one exchange
                mean = self.trainer.strategy.reduce(torch.stack(list(values.values())), reduce_op="mean")
                values = dict(zip(values, mean, strict=True))
        self.log_dict(values, sync_dist=stage == "held_out", logger=False)  # Curves writes them

    def _record_styles(self, stage: str, styles: Sequence[int], each: Sequence[Objective]) -> None:
        """The objective of each style, as ``train/styles/candy``; in training of those that this device just saw."""
        values = {f"{stage}/styles/{self.styles[n]}": one.total.detach() for n, one in zip(styles, each, strict=True)}
        self.log_dict(values, sync_dist=stage == "held_out", logger=False)


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
