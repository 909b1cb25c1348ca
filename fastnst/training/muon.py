"""Muon: momentum whose direction is made orthogonal, for the kernels; Adam for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of X <- aX + (bA + cA^2)X with A = XX^T (Jordan et al. 2024, "Muon: an optimizer for hidden
layers in neural networks", kellerjordan.github.io/posts/muon): five rounds bring singular values near 1."""
ROUNDS = 5
MOMENTUM = 0.95
ADAM_SIZE = 0.2
"""Root mean square of an update, as Adam's typically is, so that one learning rate serves both (Liu et al. 2025, "Muon
is scalable for LLM training", arXiv 2502.16982, section 2.2)."""
ROW_RATE = 6.0
"""Learning rate of ``rows`` over that of all else. Eight styles begun from one network, 128 steps of four pictures:
held-out objectives of 8.1 to 10.1 with it, of 9.3 to 11.1 without (docs/many_styles.md)."""
BETAS, EPS = (0.9, 0.999), 1e-8


def orthogonal(direction: Tensor) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns, whichever are fewer.

    Args:
        direction: (rows, columns), any scale.

    Returns:
        The same shape; singular values between about 0.7 and 1.2 for those that are not far below the largest.
    """
    wide = direction.shape[0] <= direction.shape[1]
    x = direction if wide else direction.T
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.T


class Muon(torch.optim.Optimizer):
    """Kernels (O, I, h, w) are stepped as matrices (O, I*h*w) along :func:`orthogonal` momentum, all else by Adam.

    ``torch.optim.Muon`` takes matrices only, and Lightning one optimiser for one loss; this is both in one.

    Args:
        parameters: of a network.
        lr: highest learning rate, of the size that Adam's would have.
        rows: those of ``parameters`` that have a row for each of many styles, of which a step sees only some.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, rows: Iterable[nn.Parameter] = ()) -> None:
        given = list(parameters)
        kernels = [one for one in given if one.ndim == 4 and one.shape[1] > 1]  # not those of single channels
        rows = list(rows)
        chosen = set(map(id, [*kernels, *rows]))
        others = [one for one in given if id(one) not in chosen]
        groups = [{"params": kernels, "kernels": True}, {"params": others, "kernels": False}]
        if rows:
            groups.append({"params": rows, "kernels": False, "rate": ROW_RATE})
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; ``closure`` computes the loss and its gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._muon if group["kernels"] else self._adam
                    rate = group["lr"] * group.get("rate", 1.0)  # all groups have the schedule's learning rate
                    parameter.sub_(rate * update(parameter.grad, self.state[parameter]))
        return loss

    def _muon(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        momentum = state.setdefault("momentum", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        direction = gradient.lerp(momentum, MOMENTUM).flatten(1)  # Nesterov
        size = ADAM_SIZE * math.sqrt(max(direction.shape))
        return (size * orthogonal(direction)).view_as(gradient)

    def _adam(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        mean = state.setdefault("mean", torch.zeros_like(gradient))
        square = state.setdefault("square", torch.zeros_like(gradient))
        if not isinstance(state.get("steps"), Tensor):  # files of 0.1.0 have a number
            state["steps"] = gradient.new_tensor(state.get("steps", 0))
        steps = state["steps"].add_(1)  # on the device, where a step may be undone
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        seen = [-torch.expm1(steps * math.log(beta)) for beta in BETAS]  # 1 - beta^steps, exact for few steps, too
        return mean / seen[0] / ((square / seen[1]).sqrt() + EPS)
