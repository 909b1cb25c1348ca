"""Stop a training at the next step on Ctrl-C or SIGTERM, so that everything is saved and nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch


class Abandoned(Exception):
    """A step that had not reached the optimiser, or validation, was given up."""


class StopOnSignals(pl.Callback):
    """Ends the run after the step in progress, or before it; a second Ctrl-C ends it at once.

    On a CPU a step may take longer than a scheduler waits after SIGTERM. There a step that has not reached the
    optimiser is given up between two layers, forwards or backwards: nothing of it has been kept, and the run that goes
    on does it again. So is validation.

    Args:
        abandon: whether to; compiled networks have no layers to stop at.
        agree_every: steps after which several processes on GPUs, where each has to wait for its own, tell each other of
            signals; on CPUs they do after every step.

    Attributes:
        received: the signal that ended the run, or None.
    """

    def __init__(self, abandon: bool = True, agree_every: int = 1) -> None:
        self.abandon = abandon
        self.agree_every = agree_every
        self.received: int | None = None
        self._before: dict[int, Any] = {}  # handlers by signal
        self._hooks: list[Any] = []
        self._in_vain = False  # what is computed now could be given up

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        process = os.getpid()
        if self.abandon and trainer.world_size == 1 and pl_module.device.type == "cpu":
            for layer in pl_module.modules():
                if not any(True for _ in layer.children()):
                    self._hooks.append(layer.register_forward_pre_hook(self._look))
                    self._hooks.append(layer.register_forward_hook(self._look_again_on_the_way_back))

        def stop(number: int, frame: FrameType | None) -> None:
            if os.getpid() != process:  # a loading process inherits this; it is ended with the run
                return
            if self.received is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.received = number
            if trainer.world_size == 1:
                _stop(trainer)
            if trainer.is_global_zero:  # os.write: print may be what the signal interrupted, and is not reentrant
                os.write(1, f"\n{signal.Signals(number).name}: stopping and saving ...\n".encode())

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)

    def _look(self, *_: Any) -> None:
        if self._in_vain and self.received is not None:
            raise Abandoned

    def _look_again_on_the_way_back(self, layer: torch.nn.Module, inputs: Any, output: Any) -> None:
        if self._in_vain and isinstance(output, torch.Tensor) and output.requires_grad:
            output.register_hook(self._look)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._in_vain = True

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self._in_vain = False

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._in_vain = True
        if trainer.state.fn == "validate":  # after the training: Lightning's own handler would only take note
            self._restore()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._in_vain = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Several processes stop after the same step, whichever of them received the signal."""
        self._in_vain = False
        cheap = pl_module.device.type == "cpu" or trainer.global_step % self.agree_every == 0
        if trainer.world_size > 1 and cheap:
            here = torch.tensor(self.received or 0, device=pl_module.device)
            self.received = int(trainer.strategy.reduce(here, reduce_op="max")) or None
            if self.received is not None:
                _stop(trainer)

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Around the training: signals mean again what they meant before, and what was given up is no error."""
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        except Abandoned:
            pass
        finally:
            self._restore()
            for hook in self._hooks:
                hook.remove()
            self._hooks = []

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _stop(trainer: pl.Trainer) -> None:
    trainer.should_stop = True
    trainer.limit_val_batches = 0  # Lightning would look at the held-out photographs first
