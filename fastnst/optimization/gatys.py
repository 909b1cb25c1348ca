"""Optimise the pixels of one picture (Gatys, Ecker & Bethge 2015, arXiv 1508.06576) on the objective of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from fastnst.errors import InputError, require_whole
from fastnst.losses import Objective, PerceptualLoss
from fastnst.optimization.descent import Descent

OPTIMIZERS = {"lbfgs": 1.0, "adam": 0.02}
"""Optimisers and their default learning rates: L-BFGS takes whole quasi-Newton steps; Adam's is in units of [0, 1]."""
SCHEDULES = ("constant", "cosine", "linear")
PIXEL_RANGES = ("clamp", "sigmoid")

Callback = Callable[[int, Objective, Tensor], object]


class Result(NamedTuple):
    """What an optimisation found.

    Attributes:
        picture: the best picture seen, (3, H, W) in [0, 1], on the device of the content picture.
        objective: its objective.
        curve: the objective after 0, 1, 2, ... iterations.
        stopped: why it ended: ``"steps"`` (all done), ``"stalled"``, ``"interrupted"`` (Ctrl-C) or ``"callback"``.
    """

    picture: Tensor
    objective: float
    curve: list[float]
    stopped: str


def optimize_picture(
    loss: PerceptualLoss,
    content: Tensor,
    start: Tensor,
    steps: int = 300,
    *,
    optimizer: str = "lbfgs",
    learning_rate: float | None = None,
    schedule: str = "constant",
    pixel_range: str = "clamp",
    line_search: bool = False,
    stall_tolerance: float = 1e-4,
    stall_window: int = 25,
    callback: Callback | None = None,
) -> Result:
    """Change a picture's pixels until the objective is low.

    One iteration is one evaluation of the objective and its gradient and one step (more evaluations with a line
    search). Pixels are kept in [0, 1]; Johnson et al. 2016, section 4.1, do the same by clipping at every iteration.

    Args:
        loss: the objective, with the style inside.
        content: (3, H, W), RGB in [0, 1].
        start: first picture, (3, H, W) in [0, 1], the size of ``content``; see :mod:`fastnst.optimization.starts`.
        steps: most iterations.
        optimizer: ``"lbfgs"`` or ``"adam"``.
        learning_rate: None takes the default in :data:`OPTIMIZERS`.
        schedule: ``"constant"``, or ``"cosine"`` or ``"linear"`` down to 0 at the last step.
        pixel_range: ``"clamp"`` (clipped after every step) or ``"sigmoid"`` (of what is optimised).
        line_search: strong Wolfe line search, L-BFGS only.
        stall_tolerance: ends when the best objective fell by less than this part over ``stall_window`` iterations;
            0 never ends early.
        stall_window: iterations.
        callback: called with (iteration, objective, picture) for the start (iteration 0) and after every iteration;
            the picture (3, H, W) is the caller's to keep. It ends the optimisation by raising ``StopIteration``.

    Ctrl-C ends the optimisation too, and the best picture so far is returned.

    Raises:
        InputError: an option is out of range, the pictures differ in size or are too small for the loss network, or
            the objective is not finite.
    """
    learning_rate = check_options(
        optimizer, learning_rate, schedule, pixel_range, line_search, stall_tolerance, stall_window
    )
    require_whole("steps", steps, 1)
    check_pictures(loss, content, start)
    run = Descent(loss, content, start, optimizer, learning_rate, pixel_range, line_search)
    stopped = "steps"
    try:
        for iteration in range(steps + 1):
            if iteration < steps:
                run.step(_factor(schedule, iteration / steps))
            else:
                run.evaluate()
            if callback is not None:
                callback(iteration, run.objective, run.seen.clone())
            if iteration < steps and _stalled(run.curve, stall_tolerance, stall_window):
                stopped = "stalled"
                break
    except StopIteration:
        stopped = "callback"
    except KeyboardInterrupt:
        if not run.curve:
            raise
        stopped = "interrupted"
    return Result(run.best.clone(), run.best_total, run.curve, stopped)


def check_pictures(loss: PerceptualLoss, content: Tensor, start: Tensor) -> None:
    """See that both pictures are (3, H, W), of one size, and large enough for the deepest layer.

    Raises:
        InputError: they are not.
    """
    if content.ndim != 3 or content.shape[0] != 3 or content.shape != start.shape:
        raise InputError(
            f"content {tuple(content.shape)} and start {tuple(start.shape)}: expected both (3, H, W), one size."
        )
    if min(content.shape[-2:]) < loss.vgg.minimum_size:
        height, width = content.shape[-2:]
        raise InputError(
            f"the picture is {width}x{height}: the loss network's {loss.vgg.layers[-1]} needs at least "
            f"{loss.vgg.minimum_size}x{loss.vgg.minimum_size} pixels; give a larger size."
        )


def _factor(schedule: str, progress: float) -> float:
    """Of the learning rate; ``progress`` is 0 at the first step and would be 1 after the last."""
    if schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * progress)
    return 1.0 - progress if schedule == "linear" else 1.0


def _stalled(curve: list[float], tolerance: float, window: int) -> bool:
    if tolerance == 0 or len(curve) <= window:
        return False
    before = min(curve[:-window])
    return before - min(curve) <= tolerance * before


def check_options(
    optimizer: str,
    learning_rate: float | None,
    schedule: str,
    pixel_range: str,
    line_search: bool,
    stall_tolerance: float,
    stall_window: int,
) -> float:
    """The learning rate that these options mean; they are those of :func:`optimize_picture`.

    Raises:
        InputError: one is out of range.
    """
    require_whole("stall_window", stall_window, 1)
    choices = {"optimizer": (optimizer, tuple(OPTIMIZERS)), "schedule": (schedule, SCHEDULES)}
    for name, (value, allowed) in (choices | {"pixel_range": (pixel_range, PIXEL_RANGES)}).items():
        if value not in allowed:
            raise InputError(f"{name}={value!r}: expected one of {', '.join(allowed)}.")
    learning_rate = OPTIMIZERS[optimizer] if learning_rate is None else learning_rate
    if not isinstance(learning_rate, int | float) or not 0 < learning_rate < math.inf:
        raise InputError(f"learning_rate={learning_rate!r}: expected a number above 0, or null for the default.")
    if not isinstance(line_search, bool):
        raise InputError(f"line_search={line_search!r}: expected true or false.")
    if line_search and optimizer != "lbfgs":
        raise InputError("line_search=true belongs to optimizer=lbfgs.")
    if not isinstance(stall_tolerance, int | float) or not 0 <= stall_tolerance < 1:
        raise InputError(f"stall_tolerance={stall_tolerance!r}: expected a number from 0 (never) to below 1.")
    return float(learning_rate)
