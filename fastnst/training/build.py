"""What a training run is made of: the module, its first weights, its teacher, the callbacks."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError, require_whole
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize_long_side, resize_short_side
from fastnst.losses.from_settings import build_objective, build_vgg
from fastnst.models.model_file import current_commit, find_model, load_model
from fastnst.networks import TransformerNetwork, build_network
from fastnst.settings import TrainSettings
from fastnst.training.callbacks.non_finite_guard import NonFiniteGuard
from fastnst.training.callbacks.output_watch import OutputWatch
from fastnst.training.callbacks.previews import Previews, fixed_pictures
from fastnst.training.callbacks.run_files import RunFiles
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from fastnst.training.callbacks.stop_on_signals import StopOnSignals
from fastnst.training.callbacks.tensorboard import Curves
from fastnst.training.callbacks.training_bar import TrainingBar
from fastnst.training.module import StyleTransferModule
from fastnst.training.resume.resumption import fingerprint

SMALLEST_STYLE = 32
"""Pixels of a style picture's shorter side; less has no texture that the deepest layer could measure."""


def read_style(path: str | os.PathLike, size: int) -> Tensor:
    """The style picture (3, H, W) in [0, 1], its shorter side ``size`` pixels long.

    Raises:
        InputError: it cannot be read, or it or ``size`` is too small.
    """
    require_whole("style.size", size, SMALLEST_STYLE)
    picture = read_image(path)
    height, width = picture.shape[-2:]
    if min(height, width) < SMALLEST_STYLE:
        raise InputError(f"the style picture {path} is {width}x{height}: expected at least {SMALLEST_STYLE} a side.")
    return resize_short_side(picture, size)


def build_module(settings: TrainSettings, style: Tensor) -> StyleTransferModule:
    """The network and the objective with the style (3, H, W), in the module that trains the one with the other."""
    plain = asdict(settings)
    return StyleTransferModule(
        build_network(settings.network.name, settings.network.arguments),
        build_objective(build_vgg(plain), style, plain["loss"]),
        steps=settings.trainer.max_steps,
        seed=settings.seed,
        teacher=read_teacher(settings),
        teacher_steps=settings.teacher_steps,
        **{key: plain[key] for key in ("optimizer", "learning_rate", "schedule", "range_weight")},
    )


def read_teacher(settings: TrainSettings) -> TransformerNetwork | None:
    """The network of ``teacher=MODEL``, or None.

    Raises:
        InputError: it cannot be read, or ``teacher_steps`` is no number of steps.
    """
    if settings.teacher is None:
        return None
    require_whole("teacher_steps", settings.teacher_steps, 1)
    try:
        return load_model(find_model(settings.teacher)).network
    except InputError as error:
        raise InputError(f"teacher={settings.teacher}: {error}") from None


class Callbacks(NamedTuple):
    """All of a run, in the order in which Lightning calls them."""

    stop: StopOnSignals
    guard: NonFiniteGuard
    skipped: SkippedPhotos
    curves: Curves
    previews: Previews
    files: RunFiles
    bar: TrainingBar


def build_callbacks(
    settings: TrainSettings, command: str, data: PhotoDataModule, style: Tensor, folder: Path
) -> Callbacks:
    """The callbacks of a run.

    Args:
        command: that started it, for the model's card.
        data: set up.
        style: (3, H, W) in [0, 1].
        folder: the run's.
    """

    card = {
        "style": {"name": settings.style.name, "size": settings.style.size},
        "data": {"source": data.source_name, "photographs": len(data.training_paths)},
        "command": command,
        "commit": current_commit(),
        "settings": asdict(settings),
    }
    shown, read = (data.validation_paths, data.open_validation_photo) if data.validation_paths else (
        data.training_paths, data.open_photo,
    )  # fmt: skip
    pictures = fixed_pictures(shown[:4], settings.preview_size, read)
    return Callbacks(
        StopOnSignals(abandon=not settings.trainer.compile),
        NonFiniteGuard(),
        SkippedPhotos(folder),
        Curves(settings.trainer.log_every),
        Previews(folder / "previews", pictures, style, settings.preview_every, watch=OutputWatch()),
        RunFiles(folder, card, resize_long_side(style, 96), settings.save_every, fingerprint(settings.style.image)),
        TrainingBar(settings.trainer.log_every),
    )
