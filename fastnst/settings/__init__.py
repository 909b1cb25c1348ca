"""The settings of a command, and what they name of a user's own."""

from fastnst.settings.groups import (
    OWN,
    DataSettings,
    LossSettings,
    NetworkSettings,
    OptimizeSettings,
    OwnDataSettings,
    OwnNetworkSettings,
    PreviewSettings,
    StyleSettings,
    TrainerSettings,
    TrainSettings,
)

__all__ = [
    "OWN", "DataSettings", "LossSettings", "NetworkSettings", "OptimizeSettings", "OwnDataSettings",
    "OwnNetworkSettings", "PreviewSettings", "StyleSettings", "TrainSettings", "TrainerSettings",
]  # fmt: skip
