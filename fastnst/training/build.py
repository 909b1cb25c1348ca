"""What a training run is made of: its task, and the callbacks."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from torch import Tensor

from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError
from fastnst.images.reading import open_image
from fastnst.models.model_file import current_commit
from fastnst.settings import DataSettings, EnlargeTrainSettings, OwnDataSettings, TrainSettings
from fastnst.settings.own_classes import TARGET, make
from fastnst.training.callbacks.convergence import Convergence
from fastnst.training.callbacks.non_finite_guard import NonFiniteGuard
from fastnst.training.callbacks.previews import Drawings
from fastnst.training.callbacks.run_files import RunFiles
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from fastnst.training.callbacks.stop_on_signals import StopOnSignals
from fastnst.training.callbacks.tensorboard import Curves
from fastnst.training.callbacks.training_bar import TrainingBar
from fastnst.training.steps.training_module import pictures_in
from fastnst.training.tasks.enlarging_task import EnlargingTask
from fastnst.training.tasks.stylizing_task import StylizingTask


def build_task(settings: TrainSettings | EnlargeTrainSettings) -> StylizingTask | EnlargingTask:
    """What the settings are of a training for."""
    return StylizingTask(settings) if isinstance(settings, TrainSettings) else EnlargingTask(settings)


def build_data(settings: TrainSettings | EnlargeTrainSettings) -> Any:
    """The photographs: those of :class:`~fastnst.data.datamodule.PhotoDataModule`, or a data module of the user's own.

    Of such a one nothing is asked but its batches; what else a training looks for has defaults.

    Raises:
        InputError: a setting of the data is out of range, or the class is no data module.
    """
    ours = {one.name: getattr(settings.data, one.name) for one in fields(DataSettings)}
    ours |= {"steps": settings.trainer.max_steps, "seed": settings.seed}
    if not isinstance(settings.data, OwnDataSettings):
        return PhotoDataModule(**ours)
    target = settings.data._target_
    data = make("data", {TARGET: target, **settings.data.arguments}, offered=ours)
    if not isinstance(data, pl.LightningDataModule):
        raise InputError(f"data.{TARGET}={target} is a {type(data).__name__}: expected a LightningDataModule.")
    defaults = {
        "source_name": target, "training_paths": [], "validation_paths": [], "open_photo": open_image,
        "open_validation_photo": open_image, "some_photos": lambda count: first_photos(data, count),
    }  # fmt: skip
    for name, value in defaults.items():
        if not hasattr(data, name):
            setattr(data, name, value)
    return data


def first_photos(data: pl.LightningDataModule, count: int) -> Tensor:
    """(N, 3, H, W) of the first batch; at most ``count``."""
    return pictures_in(next(iter(data.train_dataloader())))[:count]


def build_own_callbacks(settings: TrainSettings | EnlargeTrainSettings) -> list[pl.Callback]:
    """The callbacks of the user's own classes.

    Raises:
        InputError: one is no callback.
    """
    made = {name: make(f"callbacks.{name}", one) for name, one in settings.callbacks.items()}
    if other := next((name for name, one in made.items() if not isinstance(one, pl.Callback)), None):
        raise InputError(f"callbacks.{other} is a {type(made[other]).__name__}: expected a Callback of Lightning.")
    return list(made.values())


class Callbacks(NamedTuple):
    """All of a run, in the order in which Lightning calls them."""

    stop: StopOnSignals
    guard: NonFiniteGuard
    skipped: SkippedPhotos
    convergence: Convergence
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
        StopOnSignals(not settings.trainer.compile, settings.trainer.log_every),
        NonFiniteGuard(settings.trainer.log_every),
        SkippedPhotos(folder),
        Convergence(),
        Curves(settings.trainer.log_every),
        task.previews(folder / "previews", data),
        RunFiles(folder, task.name, card, task.thumbnail, settings.save_every, task.picture),
        TrainingBar(settings.trainer.log_every),
    )
