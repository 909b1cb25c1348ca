"""The step of enlarging: a photograph is made small, and the network makes it large again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastnst.images.low_resolution.degrading import reduce, whole_multiple
from fastnst.images.low_resolution.quality import quality
from fastnst.images.resizing import resize
from fastnst.losses.reconstruction import ReconstructionLoss
from fastnst.networks import AnyEnlarger
from fastnst.training.steps.training_module import TrainingModule, pictures_in


class SuperResolutionModule(TrainingModule):
    """Train a network to enlarge.

    Args:
        network: the network to train; its factor is the training's.
        loss: the objective.
        steps, options: see :class:`~fastnst.training.steps.training_module.TrainingModule`.
        degradation: see :func:`~fastnst.images.low_resolution.degrading.reduce`.
    """

    network: AnyEnlarger

    def __init__(
        self, network: AnyEnlarger, loss: ReconstructionLoss, steps: int, degradation: str = "bicubic", **options: Any
    ) -> None:
        super().__init__(network, loss, steps, **options)
        self.degradation = degradation
        reduce(torch.zeros(1, 3, 16, 16), network.factor, degradation)  # an unknown one is said now

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Reduce, enlarge, compare, log: the loss for a batch, see :func:`pictures_in`."""
        low, original = self.pair(pictures_in(batch), self.global_step)
        objective = self.loss(self.network(low).float(), original)
        self.record("train", objective)
        return objective.total

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """The objective, PSNR and SSIM on held-out photographs, as ``held_out/...``."""
        low, original = self.pair(pictures_in(batch), batch_idx)
        enlarged = self.network(low).float().clamp(0, 1)
        figures = quality(enlarged, original, self.network.factor)
        plain = quality(resize(low, *original.shape[-2:]), original, self.network.factor)
        figures |= {f"bicubic_{name}": value for name, value in plain.items()}
        self.record(
            "held_out", self.loss(enlarged, original), {key: low.new_tensor(one) for key, one in figures.items()}
        )

    def pair(self, pictures: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, H, W) at low resolution, and as they are, without what the factor does not divide.

        Args:
            number: of the batch: with the run's seed it settles what a camera does.
        """
        original = whole_multiple(pictures, self.network.factor)
        rank = self.global_rank if self._trainer is not None else 0
        return reduce(original, self.network.factor, self.degradation, (self.seed, number, rank)), original
