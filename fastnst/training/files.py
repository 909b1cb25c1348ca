"""What a run leaves on disk: ``last.ckpt`` to go on from and ``model.ckpt`` to stylize with."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fastnst.checkpoints import save_model
from fastnst.errors import InputError, require_whole
from fastnst.training.module import StyleTransferModule

LAST, MODEL = "last.ckpt", "model.ckpt"


class RunFiles(pl.Callback):
    """Writes both files every so often and at the end, each whole or not at all.

    Args:
        folder: the run folder.
        card: what is known at the start: style, settings, data, command, commit; steps, seconds and losses are added.
        thumbnail: the style picture (3, H, W), small.
        every_n_steps: how often; 0 only at the end.

    Attributes:
        seconds: spent training, those before a resume counted in.
        metrics: the newest value of everything logged; Lightning itself forgets those of training while it validates.
    """

    def __init__(self, folder: Path, card: dict[str, Any], thumbnail: Tensor, every_n_steps: int) -> None:
        require_whole("save_every", every_n_steps, 0)
        self.folder = folder
        self.card = card
        self.thumbnail = thumbnail
        self.every_n_steps = every_n_steps
        self.seconds = 0.0
        self.metrics: dict[str, float] = {}
        self._since = time.monotonic()
        self._photos_at = (0, time.monotonic())

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._count_seconds(), "style": self.card["style"]["name"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.monotonic()
        self._photos_at = (trainer.global_step, self._since)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, now = trainer.global_step, time.monotonic()
        if step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]  # set by a connector
            steps, seconds = step - self._photos_at[0], now - self._photos_at[1]
            photographs = steps * len(batch["images"]) * trainer.world_size
            pl_module.log("photographs_per_second", photographs / max(seconds, 1e-9), rank_zero_only=True)
            self._photos_at = (step, now)
        if self.every_n_steps and step % self.every_n_steps == 0:
            self.write(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.write(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        # Else it is a defect, whose state is not to be trusted; and several processes would wait for each other.
        if isinstance(exception, InputError) and trainer.world_size == 1:
            self.write(trainer, pl_module)

    def write(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write both files now."""
        save_last(trainer, self.folder / LAST)
        if trainer.is_global_zero:
            self.write_model(trainer, pl_module)

    def write_model(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``model.ckpt`` with the losses known by now in its card."""
        assert isinstance(pl_module, StyleTransferModule)
        self.metrics |= {name: value.item() for name, value in trainer.callback_metrics.items()}
        card = {
            **self.card,
            "steps": trainer.global_step,
            "seconds": round(self._count_seconds(), 1),
            "losses": self._metrics_of("train/"),
            "held_out": self._metrics_of("held_out/"),
        }
        save_model(self.folder / MODEL, pl_module.network, card, self.thumbnail)

    def _metrics_of(self, stage: str) -> dict[str, float]:
        return {name.removeprefix(stage): value for name, value in self.metrics.items() if name.startswith(stage)}

    def _count_seconds(self) -> float:
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now
        return self.seconds


def save_last(trainer: pl.Trainer, path: Path) -> None:
    """Lightning's checkpoint, written beside, synced, then renamed.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        trainer.save_checkpoint(beside)
        if trainer.is_global_zero:
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written ({error}): make room or choose another output_dir.") from None


def check_resumable(path: Path, style: str, network: nn.Module) -> None:
    """See that a run can go on from ``path`` with this style and network.

    Raises:
        InputError: not a resume file, damaged, or of another style or network.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        state = checkpoint["callbacks"]["RunFiles"]
        shapes = {name.removeprefix("network."): value.shape for name, value in checkpoint["state_dict"].items()}
        state["style"], checkpoint["optimizer_states"]
    except FileNotFoundError:
        raise InputError(f"ckpt_path={path}: there is no such file.") from None
    except Exception as error:  # torch, zipfile and pickle raise many kinds on damaged files, all mean the same here
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a last.ckpt that scripts/train.py wrote, or damaged ({reason}).") from None
    if state["style"] != style:
        raise InputError(f"{path} was trained on style {state['style']!r}, not {style!r}: leave ckpt_path out.")
    if shapes != {name: value.shape for name, value in network.state_dict().items()}:
        raise InputError(f"{path} holds another network than the one configured: give the same or leave ckpt_path out.")
