"""Two generators and two discriminators, their losses, and a step of their training (Zhu et al. 2017, section 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastnst.benchmark.unpaired.cycle_networks import Discriminator, Generator
from fastnst.benchmark.unpaired.picture_pool import PicturePool
from fastnst.hardware import computes_in_bfloat16

CYCLE_WEIGHT = 10.0
"""Lambda of section 4."""
IDENTITY_WEIGHT = 0.5 * CYCLE_WEIGHT
"""Of section 5.2, for painters' pictures."""
LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)
"""Adam's; the paper names Adam and the rate, the released code the first beta."""


def judged_real(judgement: Tensor) -> Tensor:
    """Least-squares loss of what should pass for real (Mao et al. 2017, arXiv 1611.04076): mean of (D - 1)^2."""
    return (judgement - 1.0).square().mean()


def discriminator_loss(of_real: Tensor, of_made: Tensor) -> Tensor:
    """Half of mean (D(real) - 1)^2 + mean D(made)^2; halved so that it learns more slowly (section 7.1)."""
    return 0.5 * (judged_real(of_real) + of_made.square().mean())


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of pictures in [0, 1], in the paper's unit: its pictures are in [-1, 1]."""
    return 2.0 * (a - b).abs().mean()


class CycleGan(nn.Module):
    """``paint`` makes paintings of photographs, ``unpaint`` photographs of paintings.

    Args:
        width: of all networks; the paper's is 64.
        blocks: residual blocks of the generators.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.paint, self.unpaint = Generator(width, blocks), Generator(width, blocks)
        self.judge_paintings, self.judge_photos = Discriminator(width), Discriminator(width)
        self.generators = [*self.paint.parameters(), *self.unpaint.parameters()]
        self.judges = [*self.judge_paintings.parameters(), *self.judge_photos.parameters()]
        self.optimizers = [torch.optim.Adam(one, LEARNING_RATE, BETAS) for one in (self.generators, self.judges)]
        self.pools = [PicturePool(), PicturePool()]  # of paintings, of photographs

    def step(self, photo: Tensor, painting: Tensor, rate: float) -> dict[str, float]:
        """Learn from one photograph and one painting, (1, 3, H, W) each; the losses, unweighted.

        Args:
            rate: a factor of the learning rate.
        """
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * LEARNING_RATE
        with torch.autocast(photo.device.type, torch.bfloat16, enabled=computes_in_bfloat16(photo.device.type)):
            painted, unpainted, losses = self._generate(photo, painting)
        weights = {"cycle": CYCLE_WEIGHT, "identity": IDENTITY_WEIGHT}
        self._descend(0, sum(weights.get(name, 1.0) * value for name, value in losses.items()))
        with torch.autocast(photo.device.type, torch.bfloat16, enabled=computes_in_bfloat16(photo.device.type)):
            losses["judges"] = self._judge(photo, painting, painted.detach(), unpainted.detach())
        self._descend(1, losses["judges"])
        return {name: value.item() for name, value in losses.items()}

    def _generate(self, photo: Tensor, painting: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        self._judges_learn(False)
        painted, same_painting = self.paint(torch.cat([photo, painting])).float().chunk(2)
        unpainted, same_photo = self.unpaint(torch.cat([painting, photo])).float().chunk(2)
        photo_again, painting_again = self.unpaint(painted).float(), self.paint(unpainted).float()
        return (
            painted,
            unpainted,
            {
                "painted": judged_real(self.judge_paintings(painted).float()),
                "unpainted": judged_real(self.judge_photos(unpainted).float()),
                "cycle": distance(photo_again, photo) + distance(painting_again, painting),
                "identity": distance(same_painting, painting) + distance(same_photo, photo),
            },
        )

    def _judge(self, photo: Tensor, painting: Tensor, painted: Tensor, unpainted: Tensor) -> Tensor:
        self._judges_learn(True)
        total = torch.zeros((), device=photo.device)
        for judge, real, made, pool in (
            (self.judge_paintings, painting, painted, self.pools[0]),
            (self.judge_photos, photo, unpainted, self.pools[1]),
        ):
            of_real, of_made = judge(torch.cat([real, pool.exchange(made[0])[None]])).float().chunk(2)
            total = total + discriminator_loss(of_real, of_made)
        return total

    def _judges_learn(self, learn: bool) -> None:
        for parameter in self.judges:
            parameter.requires_grad_(learn)

    def _descend(self, which: int, loss: Any) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()

    def progress(self) -> dict[str, Any]:
        """What a training goes on from, as plain values and tensors; :meth:`go_on` takes it."""
        return {
            "weights": self.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "pools": [[picture.cpu() for picture in pool.pictures] for pool in self.pools],
            "random": torch.get_rng_state(),
        }

    def go_on(self, progress: dict[str, Any]) -> None:
        """Take up a training where :meth:`progress` was asked for.

        Raises:
            KeyError, ValueError, RuntimeError: it is of other networks, or of something else.
        """
        self.load_state_dict(progress["weights"])
        device = next(self.parameters()).device
        for optimizer, state in zip(self.optimizers, progress["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        for pool, pictures in zip(self.pools, progress["pools"], strict=True):
            pool.pictures = [picture.to(device) for picture in pictures]
        torch.set_rng_state(progress["random"])
