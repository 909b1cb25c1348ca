"""Training a network to enlarge: its module, and what is said at the end."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError
from fastnst.losses.from_settings import build_loss_network
from fastnst.losses.reconstruction import ReconstructionLoss
from fastnst.models.model_file import find_model, load_enlarger
from fastnst.networks import TransformerNetwork, build_network
from fastnst.settings import EnlargeTrainSettings, OwnNetworkSettings
from fastnst.training.callbacks.enlarged_previews import EnlargedPreviews, middles
from fastnst.training.callbacks.previews import photos_to_show
from fastnst.training.steps.super_resolution import SuperResolutionModule
from fastnst.training.tasks.chosen_descent import descent


class EnlargingTask:
    """Enlarging by a factor.

    Attributes:
        name: ``enlarge4``.
        picture, thumbnail: none.
        script: that uses the model.
    """

    picture, thumbnail, script = "", None, "enlarge"

    def __init__(self, settings: EnlargeTrainSettings) -> None:
        self.settings = settings
        self.name = f"enlarge{settings.factor}"

    def module(self) -> SuperResolutionModule:
        """The network and the objective, in the module that trains the one with the other."""
        plain, given = asdict(self.settings), self.settings.network
        if isinstance(given, OwnNetworkSettings) or given.name == TransformerNetwork.name:
            raise InputError("this network stylizes: give network=enlarging or network=johnson2016_sr.")
        network = build_network(given.name, {**given.arguments, "factor": self.settings.factor})
        assert not isinstance(network, TransformerNetwork)
        layers = list(self.settings.loss.feature_layers) if self.settings.loss.feature_weight else []
        vgg = build_loss_network(plain, layers) if layers else None
        return SuperResolutionModule(
            network,
            ReconstructionLoss(vgg, **plain["loss"], factor=self.settings.factor),
            steps=self.settings.trainer.max_steps,
            seed=self.settings.seed,
            degradation=self.settings.degradation,
            **descent(plain),
        )

    def begin(self, module: SuperResolutionModule, model: str, data: PhotoDataModule) -> None:
        """Take the weights of a model of the same network; if its step is another, all but the last layer's.

        Raises:
            InputError: it cannot be read, or its network is another one.
        """
        given, network = load_enlarger(find_model(model)).network, module.network
        size = {"factor": 0, "stages": 0}
        if (given.name, {**given.arguments, **size}) != (network.name, {**network.arguments, **size}):
            raise InputError(
                f"initial={model}: its network is {given.name} {given.arguments}, this run's is {network.name} "
                f"{network.arguments}: give a model of the same network, or network.arguments that are its own."
            )
        own = network.state_dict()
        fitting = {
            name: one for name, one in given.state_dict().items() if name in own and one.shape == own[name].shape
        }
        network.load_state_dict({**own, **fitting})

    def card(self) -> dict[str, Any]:
        """What a model file says of the task."""
        return {"degradation": self.settings.degradation}

    def previews(self, folder: Path, data: PhotoDataModule) -> EnlargedPreviews:
        photos, read = photos_to_show(data)
        return EnlargedPreviews(
            folder, self.settings.preview_every, middles(photos[:4], self.settings.preview_size, read)
        )

    def conclude(self, module: SuperResolutionModule, data: PhotoDataModule, card: dict[str, Any]) -> None:
        """Say how near the held-out photographs are come."""
        held_out = {name: float(one) for name, one in module.trainer.callback_metrics.items() if "held_out/" in name}
        if held_out:
            ours, plain = (
                f"{held_out[f'held_out/{kind}psnr']:.2f} dB, SSIM {held_out[f'held_out/{kind}ssim']:.4f}"
                for kind in ("", "bicubic_")
            )
            print(f"{self.name} on held-out photographs: PSNR {ours} (bicubic: {plain}).", flush=True)
