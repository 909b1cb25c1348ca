"""The step of stylizing: where the transformation network and the objective meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.images.made_motion import MadeMotion
from fastnst.losses import Objective, PerceptualLoss
from fastnst.losses.functional import stability_loss
from fastnst.losses.perceptual import mean
from fastnst.networks import TransformerNetwork, adapted
from fastnst.training.steps.training_module import TrainingModule, pictures_in, require_numbers

IMITATION_WEIGHT = 100.0
"""Of the mean squared difference to the teacher's picture in [0, 1]: makes the term as large as the objective (some 3
at the beginning, 1 when the pictures differ by 25 of 255 levels), which the optimiser's memory asks for."""

MOTION = 1
"""Tells the random numbers of a step's motion from those of its grain."""


class StyleTransferModule(TrainingModule):
    """Train a transformation network on one style, or one of many styles on all of them in turn.

    Args:
        network: the network to train, ours or any module that makes pictures of pictures, see
            :class:`~fastnst.networks.OwnNetwork`.
        loss: the objective, with the style inside; it never enters a checkpoint. Any callable will do that takes the
            stylized and the content pictures (N, 3, H, W) and gives a scalar, or an :class:`~fastnst.losses.Objective`.
        steps, options: see :class:`~fastnst.training.steps.training_module.TrainingModule`.
        range_weight: weight of the penalty on what enters the tanh beyond ``range_limit``, mean of the squared excess,
            in units of the objective (1: an excess of 1 costs as much as the whole objective): beyond, the tanh is flat
            and white or black patches would stay for good.
        range_limit: in units of the tanh's argument.
        teacher: a trained network whose pictures this one imitates first (distillation, Hinton, Vinyals & Dean 2015,
            arXiv 1503.02531); such a step needs no loss network and takes about a third of the time.
        teacher_steps: how many steps do that.
        styles: names of a network's many styles, in the order of its rows; none for a network of one style.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss | Callable[[Tensor, Tensor], Objective | Tensor],
        steps: int,
        range_weight: float = 0.0,
        range_limit: float = 1.2,
        teacher: TransformerNetwork | None = None,
        teacher_steps: int = 0,
        styles: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(adapted(network), loss, steps, **options)
        require_numbers(range_weight=range_weight, range_limit=range_limit)
        self.range_weight = range_weight
        self.range_limit = range_limit
        self.teacher = None if teacher is None else teacher.eval().requires_grad_(False)
        self.teacher_steps = teacher_steps
        self.styles = list(styles)

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
        more = {"weighted/range": penalty.detach(), "total": objective.total + penalty}
        if self.teacher is not None and "imitation" not in objective.terms:
            more["imitation"] = objective.total.new_zeros(())
        self.record("train", objective, more)
        return objective.total + penalty

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """The objective on held-out photographs, as ``held_out/...``."""
        content = pictures_in(batch)
        if not self.styles:
            self.record("held_out", self.compare(self.network(content).float().clamp(0, 1), content))
            return
        targets, each = self.loss.content_features(content), []
        for number in range(len(self.styles)):
            shares = self.shares([number] * len(content))
            each.append(self.loss(self.network(content, style=shares).float().clamp(0, 1), targets, number))
        self.record("held_out", mean(each))
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
        each = torch.eye(len(self.styles), device=self.device)
        return torch.stack([each[style] for style in styles])  # a list as an index would be sent there, and waited for

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
        visible = motion.visible(*content.shape[-2:]).to(content.device, non_blocking=True)
        return stability_loss(moved, motion.carry(stylized), visible)

    def grain_origin(self) -> tuple[int, int]:
        """Of this step: one for the network and its teacher, who must see the same picture."""
        row, column = np.random.default_rng((self.seed, self.global_step)).integers(4096, size=2)
        return int(row), int(column)

    def _record_styles(self, stage: str, styles: Sequence[int], each: Sequence[Objective]) -> None:
        """The objective of each style, as ``train/styles/candy``; in training of those that this device just saw."""
        values = {f"{stage}/styles/{self.styles[n]}": one.total.detach() for n, one in zip(styles, each, strict=True)}
        self.log_dict(values, sync_dist=stage == "held_out", logger=self.logs)
