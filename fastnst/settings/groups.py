"""The settings of a training, a preview and an optimisation, as their rooms read them.

What each means, and its default, is in `configs/`; models, ``config.yaml`` and resume files keep them as dictionaries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastnst.errors import InputError


@dataclass
class StyleSettings:
    name: str
    size: int
    image: str | None = None
    images: Any = None  # of many styles: paths in a list, or a folder

    def one_image(self) -> str:
        """The picture of a single style.

        Raises:
            InputError: these are many styles.
        """
        if self.image is None:
            raise InputError("style=many is for training: give one, for instance style=custom style.image=PATH.")
        return self.image


@dataclass
class NetworkSettings:
    name: str
    arguments: dict[str, Any]  # each network knows its own


@dataclass
class OwnNetworkSettings(NetworkSettings):
    """A class of the user's own in the place of a network's name: ``arguments`` are its."""

    _target_: str = ""
    name: str = "custom"
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass
class LossSettings:
    """Arguments of :class:`fastnst.losses.PerceptualLoss`."""

    content_distance: str
    style_distance: str
    content_layers: dict[str, float]
    style_layers: dict[str, float]
    content_weight: float
    style_weight: float
    moments_weight: float
    tv_weight: float
    tv_form: str
    tv_range: float
    terms: dict[str, Any]  # of the user's own, by name: a class, its arguments, and the weight
    stability_weight: float
    halo_weight: float
    motifs_weight: float


@dataclass
class ReconstructionSettings:
    """Arguments of :class:`fastnst.losses.reconstruction.ReconstructionLoss`."""

    pixel_distance: str
    feature_distance: str
    feature_layers: dict[str, float]
    pixel_weight: float
    feature_weight: float
    tv_weight: float
    lattice_weight: float


@dataclass
class DataSettings:
    """Arguments of :class:`fastnst.data.datamodule.PhotoDataModule`."""

    source: str
    root: str | None
    image_size: int
    batch_size: int
    grow_to: int | None
    grow_at: float
    workers: int | None
    scale: list[float] | None
    validation_photos: int
    validation_root: str | None
    cache: bool
    cache_dir: str | None
    device_cache: bool


@dataclass
class OwnDataSettings(DataSettings):
    """A data module of the user's own; it gets what it asks for of the others, besides its ``arguments``."""

    _target_: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


OWN = {"network": OwnNetworkSettings, "data": OwnDataSettings}
"""What a group becomes where it has a ``_target_``."""


@dataclass
class TrainerSettings:
    accelerator: str
    devices: Any  # a number, several in a list, or a word
    num_nodes: int
    strategy: str
    precision: str
    channels_last: Any  # true, false, or auto
    compile: bool
    max_steps: int
    log_every: int


@dataclass
class TrainingSettings:
    """What every training has."""

    network: NetworkSettings
    data: DataSettings
    trainer: TrainerSettings
    seed: int
    loss_network: str
    weights: str
    pooling: str
    optimizer: Any  # a name, or a class of the user's own with its arguments
    learning_rate: float
    schedule: Any  # the same
    callbacks: dict[str, Any]  # of the user's own, by name
    output_dir: str
    ckpt_path: str | None
    initial: str | None
    publish: str | None
    preview_every: int
    preview_size: int
    save_every: int
    validate_every: int


@dataclass
class TrainSettings(TrainingSettings):
    """To stylize."""

    style: StyleSettings
    loss: LossSettings
    range_weight: float
    teacher: str | None
    teacher_steps: int
    style_file: bool
    final_photos: int
    final_size: int


@dataclass
class EnlargeTrainSettings(TrainingSettings):
    """To enlarge."""

    loss: ReconstructionSettings
    factor: int
    degradation: str


@dataclass
class PreviewSettings(TrainSettings):
    content: str
    size: int
    steps: int
    output: str | None


@dataclass
class OptimizeSettings:
    style: StyleSettings
    loss: LossSettings
    content: str
    seed: int
    loss_network: str
    weights: str
    pooling: str
    activations: str
    size: Any  # a number, or several in a list
    steps: Any  # the same
    start: str
    noise: float
    optimizer: str
    learning_rate: float | None
    schedule: str
    pixel_range: str
    line_search: bool
    stall_tolerance: float
    stall_window: int
    colors: str
    device: str
    output_dir: str
    strip_pictures: int
    log_every: int
