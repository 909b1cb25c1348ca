"""The Lightning module: where the transformation network and the objective meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.images.made_motion import MadeMotion
from fastnst.losses import Objective, PerceptualLoss
from fastnst.losses.functional import stability_loss
from fastnst.losses.perceptual import mean
from fastnst.networks import TransformerNetwork, adapted
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
        network: the network to train, ours or any module that makes pictures of pictures, see
            :class:`~fastnst.networks.OwnNetwork`.
        loss: the objective, with the style inside; it never enters a checkpoint. Any callable will do that takes the
            stylized and the content pictures (N, 3, H, W) and gives a scalar, or an :class:`~fastnst.losses.Objective`.
        steps: optimiser steps of the whole run; the schedule ends there.
        learning_rate: the optimiser's highest learning rate.
        optimizer: ``"adam"`` (Johnson et al. 2016), ``"muon"`` (:class:`~fastnst.training.muon.Muon`), or what makes
            one of the parameters and ``lr=``, such as a class of ``torch.optim``.
        schedule: ``"constant"`` (Johnson et al. 2016), ``"one_cycle"`` (see :func:`one_cycle`), or what makes one of
            ``torch.optim.lr_scheduler`` of an optimiser: its learning rates are tabulated, see :func:`tabulate`.
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
        logs: whether Lightning's loggers get the curves; :class:`~fastnst.training.callbacks.tensorboard.Curves` writes
            them itself.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss | Callable[[Tensor, Tensor], Objective | Tensor],
        steps: int,
        learning_rate: float = 1e-3,
        schedule: str | Callable[[torch.optim.Optimizer], Any] = "constant",
        range_weight: float = 0.0,
        range_limit: float = 1.2,
        seed: int = 0,
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adam",
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
        if not callable(schedule) and schedule not in SCHEDULES:
            raise InputError(f"schedule={schedule!r}: expected one of {', '.join(SCHEDULES)}.")
        if not callable(optimizer) and optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer={optimizer!r}: expected one of {', '.join(OPTIMIZERS)}.")
        if not any(one.requires_grad for one in network.parameters()):
            raise InputError("the network has nothing to train: no weights, or all are frozen (requires_grad_(True)).")
        self.network = adapted(network)
        self.loss: Any = loss
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
        self.logs = True

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Stylize, compare, log: the loss to descend on for a batch, see :func:`pictures_in`."""
        content = pictures_in(batch)
        styles = self.styles_of(self.global_step, len(content))
        stylized, excess = self.stylize(content, styles)
        if self.teacher is not None and self.global_step < self.teacher_steps:
            objective = self.imitation(stylized, content)
        elif styles:
            each = self.loss.each(stylized, content, styles)
            objective = mean(each)
            self._record_styles("train", styles, each)
        else:
            objective = self.compare(stylized, content)
        if weight := getattr(self.loss, "stability_weight", 0.0):
            objective = objective.plus("stability", self.stability(stylized, content, styles), weight)
        penalty = self.range_weight * objective.total.detach() * excess
        self._record("train", objective, penalty)
        return objective.total + penalty

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """The objective on held-out photographs, as ``held_out/...``."""
        content = pictures_in(batch)
        if not self.styles:
            self._record("held_out", self.compare(self.network(content).float().clamp(0, 1), content))
            return
        targets, each = self.loss.content_features(content), []
        for number in range(len(self.styles)):
            shares = self.shares([number] * len(content))
            each.append(self.loss(self.network(content, style=shares).float().clamp(0, 1), targets, number))
        self._record("held_out", mean(each))
        self._record_styles("held_out", range(len(self.styles)), each)

    def compare(self, stylized: Tensor, content: Tensor) -> Objective:
        """The objective of stylized pictures (N, 3, H, W); a loss that gives a number alone has no terms to show."""
        found = self.loss(stylized, content)
        if isinstance(found, Objective):
            return found
        if not isinstance(found, Tensor) or found.ndim > 0:
            what = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f"the loss gives {what}: expected a scalar tensor, or an Objective.")
        return Objective(found, {}, {}, {})

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
        parameters = [one for one in self.network.parameters() if one.requires_grad]
        optimizer: torch.optim.Optimizer
        if callable(self.optimizer):
            optimizer = self.optimizer(parameters, lr=self.learning_rate)
        elif self.optimizer == "muon":
            optimizer = Muon(parameters, self.learning_rate)
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
        self.log_dict(values, sync_dist=stage == "held_out", logger=self.logs)

    def _record_styles(self, stage: str, styles: Sequence[int], each: Sequence[Objective]) -> None:
        """The objective of each style, as ``train/styles/candy``; in training of those that this device just saw."""
        values = {f"{stage}/styles/{self.styles[n]}": one.total.detach() for n, one in zip(styles, each, strict=True)}
        self.log_dict(values, sync_dist=stage == "held_out", logger=self.logs)


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
