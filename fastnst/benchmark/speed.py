"""Seconds per picture of a network and of the optimisation (Johnson et al. 2016, table 1), all on one device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from fastnst.losses import PerceptualLoss
from fastnst.optimization import optimize_picture

ITERATIONS = (100, 300, 500)

PUBLISHED = {
    256: {"network": 0.015, 100: 3.17, 300: 9.52, 500: 15.86},
    512: {"network": 0.05, 100: 10.97, 300: 32.91, 500: 54.85},
    1024: {"network": 0.21, 100: 42.89, 300: 128.66, 500: 214.44},
}
"""Seconds in table 1 of Johnson et al. 2016, on a GTX Titan X."""


def seconds_per_call(call: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Median seconds of a call after one that does not count; a GPU is waited for."""
    seconds = []
    for _ in range(repeats + 1):
        _wait(device)
        begin = time.perf_counter()
        call()
        _wait(device)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def seconds_per_iteration(loss: PerceptualLoss, content: Tensor, iterations: int = 5) -> float:
    """Median seconds between L-BFGS iterations on a picture (3, H, W); the first two, and the last without a step, are
    left out."""
    device = content.device
    times: list[float] = []

    def note(*_: object) -> None:
        _wait(device)
        times.append(time.perf_counter())

    optimize_picture(loss, content, content, iterations + 3, stall_tolerance=0, callback=note)
    return statistics.median(after - before for before, after in pairwise(times[2:-1]))


@torch.inference_mode()
def forward_seconds(network: nn.Module, size: int, device: torch.device, repeats: int = 5) -> float:
    """Seconds of one pass over a picture of ``size`` x ``size`` pixels."""
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    return seconds_per_call(lambda: network(picture), device, repeats)


def speed_row(
    network: nn.Module, loss: PerceptualLoss, size: int, device: torch.device, repeats: int
) -> dict[str, Any]:
    """One line of the table. The seconds of N iterations are N times those of one, which do not depend on the picture.

    L-BFGS's own arithmetic grows until its memory of 100 steps is full; VGG takes hundreds of times as long.
    """
    content = torch.rand(3, size, size, generator=torch.Generator().manual_seed(1)).to(device)
    forward = forward_seconds(network, size, device, repeats)
    iteration = seconds_per_iteration(loss, content, repeats)
    row: dict[str, Any] = {"size": size, "network_seconds": forward, "iteration_seconds": iteration}
    for count in ITERATIONS:
        row |= {f"seconds_{count}": count * iteration, f"ratio_{count}": count * iteration / forward}
    return row


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
