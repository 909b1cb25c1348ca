"""TensorBoard: scalars and pictures without gaps or doubles, whenever a run was cut off; a full disk does no harm."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fastnst.training.steps.training_module import pictures_in

PREFIX = "events.out.tfevents."


class EventLogger(TensorBoardLogger):
    """Writes event files into the run folder itself; what cannot be written is left out with a warning."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="")
        self.folder = folder
        self.interrupted = False

    @property
    def experiment(self) -> Any:
        """The writer, or None: Lightning looks at it before a resumed run knows its step, and must not begin a file."""
        return self._experiment

    @rank_zero_only
    def go_on(self, step: int) -> None:
        """Have what the files there say about steps after ``step`` ignored (``purge_step``): it will come again."""
        if files := sorted(self.folder.glob(f"{PREFIX}*")):
            keep_in_order(files)
            self._kwargs["purge_step"] = step + 1

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        def write() -> None:
            for name, value in metrics.items():
                self.experiment.add_scalar(name, value, step)

        self._patiently(write)

    @rank_zero_only
    def log_picture(self, name: str, picture: Tensor, step: int) -> None:
        """Show ``picture`` (3, H, W)."""
        self._patiently(lambda: self.experiment.add_image(name, picture, step))

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        self._patiently(lambda: super(EventLogger, self).log_hyperparams(params, metrics, step))

    @rank_zero_only
    def save(self) -> None:
        """Have everything on the disk that was logged until now; ``config.yaml`` holds the settings."""
        if self._experiment is not None:
            self._patiently(lambda: self.experiment.flush())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()  # not closed: the final figures are still to come

    def _patiently(self, write: Callable[[], Any]) -> None:
        """Events are worth less than the training: without room there are none for a while, then a new file begins."""
        try:
            if self._experiment is None:
                self._experiment = SummaryWriter(log_dir=str(self.folder), **self._kwargs)
                self._kwargs.pop("purge_step", None)  # a further file of this run goes on from this one
            write()
        except OSError as error:
            self._experiment = None
            if not self.interrupted:
                self.interrupted = True
                reason = error.strerror or error
                rank_zero_warn(f"TensorBoard events cannot be written ({reason}); training continues without them.")
        else:
            self.interrupted = False


def keep_in_order(files: list[Path]) -> None:
    """Number event files of before, so that they sort before the next one, however the clock was or will be set.

    TensorBoard reads files in the order of their names, which begin with the seconds of the clock.
    """
    for number, path in enumerate(files):
        rest = path.name.removeprefix(PREFIX).partition(".")[2]
        with suppress(OSError):
            os.replace(path, path.with_name(f"{PREFIX}{number:010d}.{rest}"))


class Curves(pl.Callback):
    """Writes the scalars; what is known after optimiser step s stands at s.

    Lightning's own logging counts from 0 before a step and from its end after it, so that neither a checkpoint nor
    ``purge_step`` could tell what was written already.

    Attributes:
        measured_at: the step at which the held-out photographs were last looked at, or None.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self.measured_at: int | None = None
        self._learning_rate = 0.0
        self._since = (0, 0.0)  # step and time of the last photographs_per_second

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        pl_module.logs = False  # type: ignore[assignment]  # of StyleTransferModule

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = (trainer.global_step, time.monotonic())
        for logger in trainer.loggers:
            if isinstance(logger, EventLogger):
                logger.go_on(trainer.global_step)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, now = trainer.global_step, time.monotonic()
        if step % self.every_n_steps:
            return
        steps, seconds = step - self._since[0], now - self._since[1]
        photographs = steps * len(pictures_in(batch)) * trainer.world_size
        found = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
        read = torch.stack(list(found.values())).tolist() if found else []  # one wait for a GPU, not many
        values = dict(zip(found, read, strict=True))
        values |= {f"lr-{type(trainer.optimizers[0]).__name__}": self._learning_rate}
        values |= {"photographs_per_second": photographs / max(seconds, 1e-9)}
        self._log(trainer, values)
        self._since = (step, now)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("held_out")}
        self._log(trainer, values)
        self.measured_at = trainer.global_step

    def state_dict(self) -> dict[str, Any]:
        return {"measured_at": self.measured_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.measured_at = state_dict.get("measured_at", self.measured_at)

    @staticmethod
    def _log(trainer: pl.Trainer, values: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(values, trainer.global_step)
