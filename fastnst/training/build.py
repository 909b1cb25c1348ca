"""What a training run is made of: the module, its first weights, its teacher, the callbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError, require_whole
from fastnst.losses.from_settings import build_loss_network, build_objective
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
from fastnst.training.style_pictures import fingerprint, thumbnail


def build_module(settings: TrainSettings, styles: Mapping[str, Tensor]) -> StyleTransferModule:
    """The network and the objective with the styles (3, H, W), in the module that trains the one with the other."""
    plain, many = asdict(settings), len(styles) if len(styles) > 1 else None
    return StyleTransferModule(
        build_network(settings.network.name, {**settings.network.arguments, "styles": many}),
        build_objective(build_loss_network(plain), list(styles.values()), plain["loss"]),
        steps=settings.trainer.max_steps,
        seed=settings.seed,
        teacher=read_teacher(settings, len(styles)),
        teacher_steps=settings.teacher_steps,
        styles=list(styles) if many else [],
        **{key: plain[key] for key in ("optimizer", "learning_rate", "schedule", "range_weight")},
    )


def read_teacher(settings: TrainSettings, styles: int) -> TransformerNetwork | None:
    """The network of ``teacher=MODEL``, or None.

    Raises:
        InputError: it cannot be read, it or this run has more than one style, or ``teacher_steps`` is no number.
    """
    if settings.teacher is None:
        return None
    if styles > 1:
        raise InputError(f"teacher={settings.teacher}: a network of many styles learns without one.")
    require_whole("teacher_steps", settings.teacher_steps, 1)
    try:
        teacher = load_model(find_model(settings.teacher)).network
    except InputError as error:
        raise InputError(f"teacher={settings.teacher}: {error}") from None
    if teacher.arguments["styles"]:
        raise InputError(f"teacher={settings.teacher} has many styles: give a model of one.")
    return teacher


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
    settings: TrainSettings,
    command: str,
    data: PhotoDataModule,
    styles: Mapping[str, Tensor],
    pictures: Sequence[Path],
    folder: Path,
) -> Callbacks:
    """The callbacks of a run.

    Args:
        command: that started it, for the model's card.
        data: set up.
        styles: (3, H, W) in [0, 1], by name.
        pictures: their files.
        folder: the run's.
    """

    card: dict[str, Any] = {
        "style": {"name": settings.style.name, "size": settings.style.size},
        "data": {"source": data.source_name, "photographs": len(data.training_paths)},
        "command": command,
        "commit": current_commit(),
        "settings": asdict(settings),
    }
    if len(styles) > 1:
        card["styles"] = [{"name": name} for name in styles]
    photos, read = (data.validation_paths, data.open_validation_photo) if data.validation_paths else (
        data.training_paths, data.open_photo,
    )  # fmt: skip
    shown = fixed_pictures(photos[:4], settings.preview_size, read)
    return Callbacks(
        StopOnSignals(abandon=not settings.trainer.compile),
        NonFiniteGuard(),
        SkippedPhotos(folder),
        Curves(settings.trainer.log_every),
        Previews(folder / "previews", shown, styles, settings.preview_every, watch=OutputWatch()),
        RunFiles(folder, card, thumbnail(list(styles.values())), settings.save_every, fingerprint(pictures)),
        TrainingBar(settings.trainer.log_every),
    )
