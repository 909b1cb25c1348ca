"""fastnst: train a network on one painting, then stylize any photograph in milliseconds.

The names in ``__all__`` are public: they keep their meaning from version to version. Everything else is private.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnst.data.datamodule import PhotoDataModule
    from fastnst.errors import InputError
    from fastnst.features import load_loss_network
    from fastnst.images.reading import read_image
    from fastnst.images.saving import save_image
    from fastnst.losses import PerceptualLoss, Term
    from fastnst.models.model_file import load_model, save_model
    from fastnst.networks import TransformerNetwork
    from fastnst.stylization import Controls, Stylizer
    from fastnst.training.module import StyleTransferModule

__version__ = "0.1.0"

_HOMES = {
    "Controls": "fastnst.stylization",
    "InputError": "fastnst.errors",
    "PerceptualLoss": "fastnst.losses",
    "PhotoDataModule": "fastnst.data.datamodule",
    "StyleTransferModule": "fastnst.training.module",
    "Stylizer": "fastnst.stylization",
    "Term": "fastnst.losses",
    "TransformerNetwork": "fastnst.networks",
    "load_loss_network": "fastnst.features",
    "load_model": "fastnst.models.model_file",
    "read_image": "fastnst.images.reading",
    "save_image": "fastnst.images.saving",
    "save_model": "fastnst.models.model_file",
}
"""Where each public name lives; it is imported when it is first asked for, so that `import fastnst` stays quick."""

__all__ = [
    "Controls", "InputError", "PerceptualLoss", "PhotoDataModule", "StyleTransferModule", "Stylizer", "Term",
    "TransformerNetwork", "__version__", "load_loss_network", "load_model", "read_image", "save_image", "save_model",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastnst' has no attribute {name!r}: its public names are in fastnst.__all__.")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
