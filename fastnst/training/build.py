"""What a training run is made of: the module, its first weights, its teacher, the callbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from torch import Tensor, nn

from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.sources import sample_photos
from fastnst.errors import InputError, require_whole
from fastnst.images.reading import open_image
from fastnst.losses.from_settings import build_loss_network, build_objective, with_own_terms
from fastnst.models.model_file import current_commit, find_model, load_model
from fastnst.networks import TransformerNetwork, build_network
from fastnst.settings import DataSettings, NetworkSettings, OwnDataSettings, OwnNetworkSettings, TrainSettings
from fastnst.settings.own_classes import TARGET, is_own, make
from fastnst.training.callbacks.convergence import Convergence
from fastnst.training.callbacks.non_finite_guard import NonFiniteGuard
from fastnst.training.callbacks.output_watch import OutputWatch
from fastnst.training.callbacks.previews import Previews, fixed_pictures
from fastnst.training.callbacks.run_files import RunFiles
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from fastnst.training.callbacks.stop_on_signals import StopOnSignals
from fastnst.training.callbacks.tensorboard import Curves
from fastnst.training.callbacks.training_bar import TrainingBar
from fastnst.training.module import StyleTransferModule, pictures_in
from fastnst.training.style_pictures import fingerprint, thumbnail


def build_module(settings: TrainSettings, styles: Mapping[str, Tensor]) -> StyleTransferModule:
    """The network and the objective with the styles (3, H, W), in the module that trains the one with the other."""
    plain, many = asdict(settings), len(styles) if len(styles) > 1 else None
    plain["loss"] = with_own_terms(plain["loss"])
    for name in ("optimizer", "schedule"):
        if not isinstance(plain[name], str):
            plain[name] = make(name, plain[name] | {"_partial_": True} if is_own(plain[name]) else plain[name])
    return StyleTransferModule(
        build_network_of(settings.network, many),
        build_objective(build_loss_network(plain), list(styles.values()), plain["loss"]),
        steps=settings.trainer.max_steps,
        seed=settings.seed,
        teacher=read_teacher(settings, len(styles)),
        teacher_steps=settings.teacher_steps,
        styles=list(styles) if many else [],
        **{key: plain[key] for key in ("optimizer", "learning_rate", "schedule", "range_weight")},
    )


def build_network_of(settings: NetworkSettings, styles: int | None) -> nn.Module:
    """A network of ours by its name, or one of a class of the user's own.

    Raises:
        InputError: there is none, or it does not take these arguments or many styles.
    """
    if not isinstance(settings, OwnNetworkSettings):
        return build_network(settings.name, {**settings.arguments, "styles": styles})
    if styles is not None:
        raise InputError("network=custom learns one style: give one, or train fastnst's own network on the many.")
    network = make("network", {TARGET: settings._target_, **settings.arguments})
    if not isinstance(network, nn.Module):
        raise InputError(
            f"network.{TARGET}={settings._target_} is a {type(network).__name__}: expected a torch module."
        )
    return network


def build_data(settings: TrainSettings) -> Any:
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


def build_own_callbacks(settings: TrainSettings) -> list[pl.Callback]:
    """The callbacks of the user's own classes.

    Raises:
        InputError: one is no callback.
    """
    made = {name: make(f"callbacks.{name}", one) for name, one in settings.callbacks.items()}
    if other := next((name for name, one in made.items() if not isinstance(one, pl.Callback)), None):
        raise InputError(f"callbacks.{other} is a {type(made[other]).__name__}: expected a Callback of Lightning.")
    return list(made.values())


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
    convergence: Convergence
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
    shown = fixed_pictures(photos[:4] or sample_photos()[:4], settings.preview_size, read)
    return Callbacks(
        StopOnSignals(abandon=not settings.trainer.compile),
        NonFiniteGuard(),
        SkippedPhotos(folder),
        Convergence(),
        Curves(settings.trainer.log_every),
        Previews(folder / "previews", shown, styles, settings.preview_every, watch=OutputWatch()),
        RunFiles(folder, card, thumbnail(list(styles.values())), settings.save_every, fingerprint(pictures)),
        TrainingBar(settings.trainer.log_every),
    )
