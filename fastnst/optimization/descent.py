"""One step after another on the pixels: L-BFGS or Adam, scaled and bounded so that float32 carries it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.losses import Objective, PerceptualLoss

STARTING_OBJECTIVE = 1e3
"""The objective is scaled to this at the start. L-BFGS in float32 depends on the scale although its mathematics does
not: torch's first step is 1 / (sum of the gradient's absolute values) and steps whose curvature is below 1e-10 are
forgotten, so that a very large objective never moves and a very small one never learns its curvature."""
HISTORY = 100
"""Steps that L-BFGS remembers (torch's and Lua Torch's default)."""
FIRST_STEP = 0.02
"""Mean change of a pixel in the first L-BFGS step, in units of [0, 1]. Torch's own rule moves 200,000 values by 1 in
all, which shows nothing of the curvature: the steps after it overshoot."""
LONGEST_STEP = 0.05
"""Largest root mean square change of the pixels in one L-BFGS step, which replaces a line search. Measured with
0.01, 0.1 and neither, at 56 pixels from content and from noise: these two were lowest after 3 to 12 iterations, about
equal after 40, and at 48 pixels ahead of a strong Wolfe line search, which costs twice the time."""
RUNAWAY = 10.0
"""An objective this many times its start is given up: back to the best picture, with half the learning rate."""
LARGEST_LOGIT = 6.0
"""Where the sigmoid parametrisation starts for black and white: sigmoid(6) = 0.9975; beyond, gradients vanish."""


class Descent:
    """The state of one optimisation: what is optimised, the optimiser, the curve and the best picture."""

    def __init__(
        self,
        loss: PerceptualLoss,
        content: Tensor,
        start: Tensor,
        optimizer: str,
        learning_rate: float,
        pixel_range: str,
        line_search: bool,
    ) -> None:
        self.loss = loss
        self.targets = loss.content_features(content[None])
        self.sigmoid = pixel_range == "sigmoid"
        self.unit = 4.0 if self.sigmoid else 1.0  # of what is optimised, for a change of 1 of a grey pixel
        self.lbfgs, self.line_search = optimizer == "lbfgs", line_search
        self.learning_rate = learning_rate
        self.scale: float | None = None
        self.curve: list[float] = []
        self.best, self.best_total = start.detach().clamp(0, 1).clone(), math.inf
        self._begin_at(self.best)

    def _begin_at(self, picture: Tensor) -> None:
        free = picture.logit().clamp(-LARGEST_LOGIT, LARGEST_LOGIT) if self.sigmoid else picture.clone()
        self.free = free.requires_grad_()
        self.optimizer: torch.optim.Optimizer
        if not self.lbfgs:
            self.optimizer = torch.optim.Adam([self.free], lr=self.learning_rate)
        else:
            # max_iter=1: one iteration per call; the memory of past steps stays. The tolerances are ours (stalling).
            self.optimizer = torch.optim.LBFGS(
                [self.free],
                lr=self.learning_rate,
                max_iter=1,
                max_eval=25,
                tolerance_grad=0,
                tolerance_change=0,
                history_size=HISTORY,
                line_search_fn="strong_wolfe" if self.line_search else None,
            )

    def picture(self) -> Tensor:
        return torch.sigmoid(self.free) if self.sigmoid else self.free

    def step(self, factor: float) -> None:
        """Record the present picture and take one step from it, with ``factor`` times the learning rate."""
        fresh_lbfgs = self.lbfgs and not self.optimizer.state
        first_step = FIRST_STEP * self.unit * self.free.numel() if fresh_lbfgs and not self.line_search else 1.0
        self.optimizer.param_groups[0]["lr"] = factor * self.learning_rate * first_step
        before = self.free.detach().clone()
        first = True

        def closure() -> Tensor:
            nonlocal first
            self.optimizer.zero_grad()
            picture = self.picture()
            objective = self.loss(picture[None], self.targets)
            if first:  # a line search evaluates further pictures, which are its own affair
                self._record(objective, picture)
                first = False
            assert self.scale is not None
            total = self.scale * objective.total
            total.backward()
            self._hold_at_the_bounds()
            return total.detach()

        try:
            self.optimizer.step(closure)  # type: ignore[arg-type]  # the loss as a tensor, which L-BFGS takes too
        except _Runaway:
            self.learning_rate /= 2
            self._begin_at(self.best)
            self.curve[-1] = self.best_total
            return
        self._bound(before)

    @torch.no_grad()
    def _bound(self, before: Tensor) -> None:
        """Shorten too long a step, clamp, and tell L-BFGS what step was really taken."""
        if self.lbfgs and not self.line_search:
            length = (self.free - before).square().mean().sqrt().item()
            if length > LONGEST_STEP * self.unit:
                self.free.copy_(torch.lerp(before, self.free, LONGEST_STEP * self.unit / length))
        if not self.sigmoid:
            self.free.clamp_(0, 1)
        if self.lbfgs and (state := self.optimizer.state.get(self.free)):
            state["d"], state["t"] = (self.free - before).flatten(), 1.0

    @torch.no_grad()
    def evaluate(self) -> None:
        """Record the present picture without a step."""
        picture = self.picture()
        try:
            self._record(self.loss(picture[None], self.targets), picture)
        except _Runaway:
            self.curve[-1] = self.best_total

    @torch.no_grad()
    def _hold_at_the_bounds(self) -> None:
        """A clamped pixel that is pushed outwards has nowhere to go: its gradient would only mislead L-BFGS."""
        if self.free.grad is None or self.sigmoid:
            return
        outwards = ((self.free <= 0) & (self.free.grad > 0)) | ((self.free >= 1) & (self.free.grad < 0))
        self.free.grad.masked_fill_(outwards, 0.0)

    def _record(self, objective: Objective, picture: Tensor) -> None:
        total = objective.total.item()
        if self.scale is None:
            if not math.isfinite(total):
                raise InputError("the objective of the starting picture is not finite: lower the loss weights.")
            self.scale = STARTING_OBJECTIVE / total if total > 0 else 1.0
        self.curve.append(total)
        if not math.isfinite(total) or total > RUNAWAY * max(self.curve[0], self.best_total):
            if self.learning_rate < 1e-6:
                raise InputError("the objective stays not finite: lower learning_rate or the loss weights.")
            raise _Runaway
        self.objective = _detached(objective)
        self.seen = picture.detach().clone()  # the step that follows changes the pixels in place
        if total < self.best_total:
            self.best, self.best_total = self.seen, total


class _Runaway(Exception):
    """The objective is not finite, or far above its start."""


def _detached(objective: Objective) -> Objective:
    terms = ({name: value.detach() for name, value in part.items()} for part in objective[1:])
    return Objective(objective.total.detach(), *terms)
