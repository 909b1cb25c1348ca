"""What a training says on the console: one bar with the time left, our warnings, nothing of Lightning's chatter."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from fastnst.training.module import StyleTransferModule

IRRELEVANT = (
    r".*Found \d+ module\(s\) in eval mode",  # the loss network is frozen on purpose
    r".*LeafSpec",  # Lightning's own use of a deprecated part of torch
    r".*Total length of `list` across ranks is zero",  # one photograph: nothing to hold out
    r".*does not have many workers",  # a few validation photographs are read before a worker is up
    r".*is smaller than the logging interval",  # short runs are for trying things out
    r".*Checkpoint directory .* exists and is not empty",  # the run folder is ours
    r".*Experiment logs directory .* exists and is not empty",  # likewise, when a run goes on
    r".*resuming from a checkpoint that ended before the epoch ended",  # PhotoDataModule resumes at the very step
    r".*barrier\(\): using the device under current context",  # which is the right one
    r".*you do not need to set `use_distributed_sampler`",
    r".*recommended to use `self.log\(.*sync_dist=True\)`",  # the module averages training losses itself, all at once
)


def keep_quiet() -> None:
    """Silence messages that no user can act on, and print warnings as one line without a source file's path."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # tips, hardware found, `max_steps` reached
    for pattern in IRRELEVANT:
        warnings.filterwarnings("ignore", pattern)
    if threading.excepthook is not _without_event_files:
        _without_event_files.before = threading.excepthook  # type: ignore[attr-defined]
        threading.excepthook = _without_event_files
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


def _without_event_files(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer ends with a traceback on a full disk; EventLogger says it in one line."""
    if type(failure.thread).__name__ != "_AsyncWriterThread":
        _without_event_files.before(failure)  # type: ignore[attr-defined]


class TrainingBar(pl.Callback):
    """Steps done and to come, time left, content and style terms; validation leaves it alone.

    Args:
        every_n_steps: how often the terms are read; reading waits for a GPU, so not at every step.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        self.every_n_steps = every_n_steps
        self.bar: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.bar = tqdm(
                desc="Training",
                total=trainer.max_steps,
                initial=trainer.global_step,
                unit="step",
                file=sys.stdout,
                dynamic_ncols=True,
                smoothing=0.05,  # of the rate: previews and validation cost some steps more than others
                mininterval=0.5 if sys.stdout.isatty() else 10,  # seconds; a log file wants fewer lines
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None:
            return
        step = trainer.global_step
        first = self.bar.n - self.bar.initial < 3
        objective = pl_module.last_objective if isinstance(pl_module, StyleTransferModule) else None
        if objective is not None and (first or step % self.every_n_steps == 0 or step == trainer.max_steps):
            shown = ("content", "style", "imitation")
            terms = {name: f"{objective.weighted[name].item():.4g}" for name in shown if name in objective.weighted}
            self.bar.set_postfix(terms, refresh=False)
        self.bar.update(step - self.bar.n)
        if first or step == trainer.max_steps:
            self.bar.refresh()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
