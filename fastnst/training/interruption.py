"""Stop a training at the next step on Ctrl-C or SIGTERM, so that everything is saved and nothing is lost."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info


class StopOnSignals(pl.Callback):
    """Ends the run after the step in progress; a second Ctrl-C ends it at once.

    Attributes:
        received: the signal that ended the run, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        def stop(number: int, frame: FrameType | None) -> None:
            if self.received is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.received = number
            trainer.should_stop = True
            rank_zero_info(f"\n{signal.Signals(number).name}: finishing this step, then saving ...")

        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, stop)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()
