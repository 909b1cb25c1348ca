"""Stop a training at the next step on Ctrl-C or SIGTERM, so that everything is saved and nothing is lost."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch


class StopOnSignals(pl.Callback):
    """Ends the run after the step in progress; a second Ctrl-C ends it at once.

    Attributes:
        received: the signal that ended the run, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        process = os.getpid()

        def stop(number: int, frame: FrameType | None) -> None:
            if os.getpid() != process:  # a loading process inherits this; it is ended with the run
                return
            if self.received is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.received = number
            if trainer.world_size == 1:
                _stop(trainer)
            if trainer.is_global_zero:  # os.write: print may be what the signal interrupted, and is not reentrant
                os.write(1, f"\n{signal.Signals(number).name}: finishing this step, then saving ...\n".encode())

        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, stop)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Several processes stop after the same step, whichever of them received the signal."""
        if trainer.world_size > 1:
            here = torch.tensor(self.received or 0, device=pl_module.device)
            self.received = int(trainer.strategy.reduce(here, reduce_op="max")) or None
            if self.received is not None:
                _stop(trainer)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()


def _stop(trainer: pl.Trainer) -> None:
    trainer.should_stop = True
    trainer.limit_val_batches = 0  # Lightning would look at the held-out photographs first
