"""An optimiser's step that counts only if a device finds it good, without anybody waiting for what it found."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def undo_unless(good: Tensor, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Prepare for one step of an optimiser that has stepped before; what is returned is to be called after it.

    Then weights and state are what they were where ``good`` (a boolean scalar on their device) is false. torch's fused
    optimisers leave out such a step themselves, by what ``torch.amp.GradScaler`` tells them. What an optimiser keeps
    elsewhere stays changed: torch's own that are not fused count their steps on the CPU, for GPUs, too.
    """
    if all(group.get("fused") for group in optimizer.param_groups):
        optimizer.found_inf = 1 - good.float()  # type: ignore[attr-defined]
        return lambda: delattr(optimizer, "found_inf")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    values = [*parameters, *(value for state in optimizer.state.values() for value in state.values())]
    changing = [value.detach() for value in values if isinstance(value, Tensor) and value.device == good.device]
    before = [value.clone() for value in changing]

    @torch.no_grad()
    def undo() -> None:
        for value, old in zip(changing, before, strict=True):
            value.copy_(torch.where(good, value, old))

    return undo
