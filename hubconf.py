"""For torch.hub: ``torch.hub.load("PATH/OF/THIS/FOLDER", "mosaic", source="local")`` is a module that stylizes.

It takes and gives float RGB in [0, 1], (N, 3, H, W) of any size. The names are those in checkpoints/.
"""

# What has no underscore here is a name for torch.hub.load.
from collections.abc import Callable as _Callable
from pathlib import Path as _Path

from torch.nn import Module as _Module

from fastnst.export.traceable import Traceable as _Traceable
from fastnst.models.model_file import load_model as _load_model

dependencies = ["torch", "torchvision", "PIL", "safetensors", "numpy"]


def _entry(path: _Path) -> _Callable[[], _Module]:
    def entry() -> _Module:
        return _Traceable(_load_model(path).network).eval()

    entry.__doc__ = f"A photograph, painted as {path.stem}: (N, 3, H, W), RGB in [0, 1], to the same."
    return entry


for _path in sorted(_Path(__file__).with_name("checkpoints").glob("*.ckpt")):
    globals()[_path.stem] = _entry(_path)
