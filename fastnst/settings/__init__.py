"""The settings of a command, and what they name of a user's own."""

from fastnst.settings.groups import (
    OWN,
    DataSettings,
    EnlargeTrainSettings,
    LossSettings,
    NetworkSettings,
    OptimizeSettings,
    OwnDataSettings,
    OwnNetworkSettings,
    PreviewSettings,
    ReconstructionSettings,
    StyleSettings,
    TrainerSettings,
    TrainSettings,
)

__all__ = [
    "OWN", "DataSettings", "EnlargeTrainSettings", "LossSettings", "NetworkSettings", "OptimizeSettings",
    "OwnDataSettings", "OwnNetworkSettings", "PreviewSettings", "ReconstructionSettings", "StyleSettings",
    "TrainSettings", "TrainerSettings",
]  # fmt: skip
