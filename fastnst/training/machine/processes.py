"""One training in several processes: who is first, what all know together, and what it means when one is gone."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection

import torch.distributed
from pytorch_lightning.utilities import rank_zero_only

GO_ON = "all of them are ended; resume from the last save with the same command and ckpt_path=last"


def is_first_process() -> bool:
    """Whether this process is the one that writes and speaks, as far as can be known before the others are met.

    torchrun and SLURM number the processes of all machines; Lightning's own start numbers those of one machine, and a
    person numbers the machines by NODE_RANK.
    """
    if "RANK" in os.environ or "SLURM_PROCID" in os.environ:
        return rank_zero_only.rank == 0  # type: ignore[attr-defined]  # Lightning's own place for it
    machine = int(os.environ.get("NODE_RANK") or os.environ.get("GROUP_RANK") or 0)
    return machine == 0 and rank_zero_only.rank == 0  # type: ignore[attr-defined]


def shared(paths: Collection[str]) -> set[str]:
    """The union over all processes, each of which must call this; just ``paths`` where there is one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return set(paths)
    gathered: list[list[str] | None] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, sorted(paths))
    return {path for each in gathered for path in each or ()}


def lost_process(error: BaseException) -> bool:
    """Whether an error means that another process of this training does not answer any more."""
    if isinstance(error, torch.distributed.DistError):
        return True
    text = str(error).lower()
    words = ("connection closed", "connection reset", "broken pipe", "socket", "timed out", "timeout")
    return isinstance(error, RuntimeError) and ("gloo" in text or "nccl" in text) and any(w in text for w in words)


class _DeadChild(logging.Handler):
    """Lightning logs that a process has ended just before it ends all of them, this one too."""

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage().split(" Forcefully", 1)
        if len(words) == 2:
            print(f"error: {words[0].rstrip('.')}: {GO_ON}.", file=sys.stderr, flush=True)


def announce_dead_processes() -> None:
    """Say why before Lightning's watch over the processes that it started ends this one."""
    logger = logging.getLogger("lightning_fabric.strategies.launchers.subprocess_script")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not any(isinstance(handler, _DeadChild) for handler in logger.handlers):
        logger.addHandler(_DeadChild())
