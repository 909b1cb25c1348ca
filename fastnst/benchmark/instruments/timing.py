"""Seconds of several contenders that take turns, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch


class Timing(NamedTuple):
    """Seconds of repeated calls.

    Attributes:
        median: of all repetitions but the warm-up.
        low, high: the fastest and the slowest of them.
        seconds: each of them, in order.
    """

    median: float
    low: float
    high: float
    seconds: list[float]

    @property
    def spread(self) -> float:
        """Slowest minus fastest over the median."""
        return (self.high - self.low) / self.median


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was told; the CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one call, with what it started on a GPU."""
    wait(device)
    begin = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - begin


def interleaved(
    calls: Mapping[str, Callable[[], object]], device: torch.device, repeats: int = 5, warm_up: int = 1
) -> dict[str, Timing]:
    """Time every call ``repeats`` times, one after the other in turn, after ``warm_up`` rounds that do not count.

    The order turns by one place each round: no call always follows the same other one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for round_number in range(warm_up + repeats):
        first = round_number % len(names)
        for name in names[first:] + names[:first]:
            spent = seconds_of(calls[name], device)
            if round_number >= warm_up:
                seconds[name].append(spent)
    return {name: Timing(statistics.median(one), min(one), max(one), one) for name, one in seconds.items()}


def seconds_per_call(call: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Median seconds of a call after one that does not count."""
    return interleaved({"": call}, device, repeats)[""].median
