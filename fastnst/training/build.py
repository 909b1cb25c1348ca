"""What a training run is made of: its task, and the callbacks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from fastnst.data.datamodule import PhotoDataModule
from fastnst.models.model_file import current_commit
from fastnst.settings import EnlargeTrainSettings, TrainSettings
from fastnst.training.callbacks.non_finite_guard import NonFiniteGuard
from fastnst.training.callbacks.previews import Drawings
from fastnst.training.callbacks.run_files import RunFiles
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from fastnst.training.callbacks.stop_on_signals import StopOnSignals
from fastnst.training.callbacks.tensorboard import Curves
from fastnst.training.callbacks.training_bar import TrainingBar
from fastnst.training.tasks.enlarging_task import EnlargingTask
from fastnst.training.tasks.stylizing_task import StylizingTask


def build_task(settings: TrainSettings | EnlargeTrainSettings) -> StylizingTask | EnlargingTask:
    """What the settings are of a training for."""
    return StylizingTask(settings) if isinstance(settings, TrainSettings) else EnlargingTask(settings)


class Callbacks(NamedTuple):
    """All of a run, in the order in which Lightning calls them."""

    stop: StopOnSignals
    guard: NonFiniteGuard
    skipped: SkippedPhotos
    curves: Curves
    previews: Drawings
    files: RunFiles
    bar: TrainingBar


def build_callbacks(
    settings: TrainSettings | EnlargeTrainSettings,
    command: str,
    data: PhotoDataModule,
    task: StylizingTask | EnlargingTask,
    folder: Path,
) -> Callbacks:
    """The callbacks of a run.

    Args:
        command: that started it, for the model's card.
        data: set up.
        task: what it is for.
        folder: the run's.
    """

    card: dict[str, Any] = {
        **task.card(),
        "data": {"source": data.source_name, "photographs": len(data.training_paths)},
        "command": command,
        "commit": current_commit(),
        "settings": asdict(settings),
    }
    return Callbacks(
        StopOnSignals(abandon=not settings.trainer.compile),
        NonFiniteGuard(),
        SkippedPhotos(folder),
        Curves(settings.trainer.log_every),
        task.previews(folder / "previews", data),
        RunFiles(folder, task.name, card, task.thumbnail, settings.save_every, task.picture),
        TrainingBar(settings.trainer.log_every),
    )
