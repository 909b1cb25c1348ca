"""What a run leaves on disk: ``last.ckpt`` to resume from, the one before it, and ``model.ckpt`` to stylize with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from fastnst.errors import InputError, is_out_of_memory, require_whole
from fastnst.models.model_file import Model, save_model
from fastnst.models.style_file import save_style
from fastnst.training.callbacks.stop_on_signals import Abandoned
from fastnst.training.resume.run_folder import LAST, MODEL, style_path
from fastnst.training.steps.training_module import TrainingModule


class RunFiles(pl.Callback):
    """Writes the files every so often, on a signal, and at the end.

    A periodic file that cannot be written (a full disk) is said and tried again the next time; training continues.

    Args:
        folder: the run folder.
        name: of what is trained: a style, or ``enlarge4``.
        card: what is known at the start: style, settings, data, command, commit; steps, seconds and losses are added.
        thumbnail: the style picture (3, H, W), small; None where there is none.
        every_n_steps: how often; 0 only at the end.
        picture: identifies the style picture in ``last.ckpt``.

    Attributes:
        seconds: spent training, those before a resume counted in.
        metrics: the newest value of everything logged; Lightning itself forgets those of training while it validates.
        changes: settings that were changed on the way, each ``{"step": ..., "changed": [...]}``.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        card: dict[str, Any],
        thumbnail: Tensor | None,
        every_n_steps: int,
        picture: str = "",
    ) -> None:
        require_whole("save_every", every_n_steps, 0)
        self.folder = folder
        self.name = name
        self.card = card
        self.thumbnail = thumbnail
        self.every_n_steps = every_n_steps
        self.picture = picture
        self.seconds = 0.0
        self.metrics: dict[str, float] = {}
        self.changes: list[dict[str, Any]] = []
        self._since = time.monotonic()
        self._written_at = -1
        self._problem: str | None = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": self._count_seconds(),
            "style": self.name,
            "picture": self.picture,
            "settings": self.card["settings"],
            "metrics": self.metrics,
            "changes": self.changes,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]
        self.metrics = dict(state_dict.get("metrics", {}))
        self.changes = [*state_dict.get("changes", []), *self.changes]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        stopping = trainer.should_stop  # at once, before the last preview: who sent a signal does not wait for long
        if stopping or (self._due(step) and not self._validated_at(trainer, step)):
            self.write(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Only now everything about this step is in the event files, and a resumed run will repeat none of it."""
        if trainer.state.fn == "fit" and self._due(trainer.global_step):
            self.write(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._written_at != trainer.global_step:
            self.write(trainer, pl_module)
        if self._written_at != trainer.global_step:
            raise InputError(
                f"{self._problem} The steps since the last save are lost: resume with the same command and "
                "ckpt_path=last."
            )

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        progress = trainer.fit_loop.epoch_loop.batch_progress
        for counts in (progress.current, progress.total):  # what was begun only will be begun again
            counts.ready = counts.started = counts.processed  # type: ignore[attr-defined]
        optimizer = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer
        for name in ("total", "current"):  # else each stop would add one, and a run of many stops not go on
            step, zero_grad = getattr(optimizer.step, name), getattr(optimizer.zero_grad, name)
            step.ready = zero_grad.ready = zero_grad.started = zero_grad.completed = step.completed
        if isinstance(exception, Abandoned):
            if trainer.global_step:
                self.on_train_end(trainer, pl_module)
            return
        # Anything else is a defect, whose state is not to be trusted; and several processes would wait for each other.
        expected = (isinstance(exception, InputError) or is_out_of_memory(exception)) and trainer.world_size == 1
        if expected and trainer.global_step not in (0, self._written_at):
            self.write(trainer, pl_module)

    def write(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write both files now; says so where that is not possible."""
        self._collect(trainer)
        for logger in trainer.loggers:
            logger.save()  # a resumed run will not log this again
        trainer.save_checkpoint(self.folder / LAST)
        self._problem = getattr(trainer.strategy.checkpoint_io, "problem", None)
        if trainer.world_size > 1:
            self._problem = trainer.strategy.broadcast(self._problem)  # only the first process writes
        if self._problem is not None:
            rank_zero_warn(f"step {trainer.global_step}: {self._problem} The training goes on and tries again.")
            return
        self._written_at = trainer.global_step
        if not trainer.is_global_zero:
            return
        try:
            self.write_model(trainer, pl_module)
        except InputError as error:
            rank_zero_warn(f"step {trainer.global_step}: {error}")

    def write_model(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``model.ckpt``, and the style file where there is one, with the losses known by now in its card."""
        assert isinstance(pl_module, TrainingModule)
        self._collect(trainer)
        card = {
            **self.card,
            "steps": trainer.global_step,
            "seconds": round(self._count_seconds(), 1),
            "losses": self._metrics_of("train/"),
            "held_out": self._metrics_of("held_out/"),
        }
        if self.changes:
            card["changes"] = self.changes
        save_model(self.folder / MODEL, pl_module.network, card, self.thumbnail)
        if card["settings"].get("style_file"):
            model = Model(pl_module.network, card, self.thumbnail)
            save_style(style_path(self.folder, self.name), model, card["settings"]["initial"])

    def _due(self, step: int) -> bool:
        return bool(self.every_n_steps) and step % self.every_n_steps == 0 and step != self._written_at

    @staticmethod
    def _validated_at(trainer: pl.Trainer, step: int) -> bool:
        looks = trainer.enable_validation and sum(trainer.num_val_batches) > 0  # something is held out
        return looks and step % trainer.val_check_batch == 0  # type: ignore[attr-defined, operator]

    def _collect(self, trainer: pl.Trainer) -> None:
        self.metrics |= {name: float(value) for name, value in trainer.callback_metrics.items() if name.count("/") > 0}

    def _metrics_of(self, stage: str) -> dict[str, float]:
        return {name.removeprefix(stage): value for name, value in self.metrics.items() if name.startswith(stage)}

    def _count_seconds(self) -> float:
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now
        return self.seconds
