"""Training a network to stylize: its styles, its module, and what is said at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.sources import sample_photos
from fastnst.errors import InputError, require_whole
from fastnst.losses.from_settings import build_loss_network, build_objective, with_own_terms
from fastnst.models.model_file import find_model, load_model
from fastnst.networks import NETWORKS, TransformerNetwork, build_network
from fastnst.settings import NetworkSettings, OwnNetworkSettings, TrainSettings
from fastnst.settings.own_classes import TARGET, make
from fastnst.training.callbacks.output_watch import OutputWatch
from fastnst.training.callbacks.previews import Previews, fixed_pictures, photos_to_show
from fastnst.training.final_figures import measure
from fastnst.training.module import StyleTransferModule
from fastnst.training.start import begin_from, freeze_convolutions
from fastnst.training.style_pictures import find_styles, fingerprint, read_style, read_styles, thumbnail
from fastnst.training.tasks.chosen_descent import descent

ROWS_ALONE = 10.0
"""Learning rate of a style file's rows over that of all weights, by docs/minute.md."""


class StylizingTask:
    """One style, or many in one network.

    Attributes:
        name: the style's.
        picture: identifies the style pictures.
        thumbnail: what the model file shows of them.
        script: that uses the model.

    Raises:
        InputError: a style picture cannot be read, or a setting is out of range.
    """

    script = "stylize"

    def __init__(self, settings: TrainSettings) -> None:
        require_whole("final_photos", settings.final_photos, 0)
        require_whole("final_size", settings.final_size, 16)
        self.settings = settings
        self.name = settings.style.name
        if settings.style.images is None:
            pictures = [Path(settings.style.one_image())]
            self.styles: Mapping[str, Tensor] = {self.name: read_style(pictures[0], settings.style.size)}
        else:
            pictures = find_styles(settings.style.images)
            self.styles = read_styles(pictures, settings.style.size)
        self.picture = fingerprint(pictures)
        self.thumbnail = thumbnail(list(self.styles.values()))

    def module(self) -> StyleTransferModule:
        """The network and the objective with the styles, in the module that trains the one with the other."""
        plain, many = asdict(self.settings), len(self.styles) if len(self.styles) > 1 else None
        plain["loss"] = with_own_terms(plain["loss"])
        network = build_network_of(self.settings.network, many)
        if self.settings.style_file:
            if self.settings.initial is None:
                raise InputError("style_file=true needs the model that the style will be for: add initial=base.")
            if many or not isinstance(network, TransformerNetwork):
                raise InputError("style_file=true is for one style, and a network of fastnst's own: leave it out.")
            freeze_convolutions(network)
            plain["learning_rate"] *= ROWS_ALONE
        return StyleTransferModule(
            network,
            build_objective(build_loss_network(plain), list(self.styles.values()), plain["loss"]),
            steps=self.settings.trainer.max_steps,
            seed=self.settings.seed,
            teacher=read_teacher(self.settings, len(self.styles)),
            teacher_steps=self.settings.teacher_steps,
            styles=list(self.styles) if many else [],
            range_weight=self.settings.range_weight,
            **descent(plain),
        )

    def begin(self, module: StyleTransferModule, model: str, data: PhotoDataModule) -> None:
        """Take the weights of a model; see :func:`~fastnst.training.start.begin_from`."""
        begin_from(module, model, list(self.styles.values()), data.some_photos(4), self.settings.style_file)

    def card(self) -> dict[str, Any]:
        """What a model file says of the task."""
        card: dict[str, Any] = {"style": {"name": self.name, "size": self.settings.style.size}}
        if len(self.styles) > 1:
            card["styles"] = [{"name": name} for name in self.styles]
        return card

    def previews(self, folder: Path, data: PhotoDataModule) -> Previews:
        photos, read = photos_to_show(data)
        shown = fixed_pictures(photos[:4] or sample_photos()[:4], self.settings.preview_size, read)
        return Previews(folder, shown, self.styles, self.settings.preview_every, watch=OutputWatch())

    def conclude(self, module: StyleTransferModule, data: PhotoDataModule, card: dict[str, Any]) -> None:
        """Measure what is kept of held-out photographs and of the styles, say it, and add it to the model's card."""
        photos = data.validation_paths[: self.settings.final_photos]
        for number, (name, style) in enumerate(self.styles.items() if photos else ()):
            network = module.network.eval()
            if module.styles:
                network = network.of_style(module.shares([number])[0])
            figures = measure(network, photos, data.open_validation_photo, style, self.settings.final_size)
            (card["styles"][number] if module.styles else card)["fidelity"] = figures
            kept = f"content kept {figures['content']:.2f} (the photograph: 1)"
            distance = f"style distance {figures['style']:.2f} (the photograph: {figures['photograph_style']:.2f})"
            print(f"{name} on held-out photographs: {kept}, {distance}.", flush=True)


def build_network_of(settings: NetworkSettings, styles: int | None) -> nn.Module:
    """A network of ours by its name, or one of a class of the user's own.

    Raises:
        InputError: there is none, or it does not take these arguments or many styles.
    """
    if not isinstance(settings, OwnNetworkSettings):
        if settings.name in NETWORKS and settings.name != TransformerNetwork.name:
            raise InputError("this network enlarges: it is for experiment=super_resolution.")
        return build_network(settings.name, {**settings.arguments, "styles": styles})
    if styles is not None:
        raise InputError("network=custom learns one style: give one, or train fastnst's own network on the many.")
    network = make("network", {TARGET: settings._target_, **settings.arguments})
    if not isinstance(network, nn.Module):
        raise InputError(
            f"network.{TARGET}={settings._target_} is a {type(network).__name__}: expected a torch module."
        )
    return network


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
