"""A network that runs in ONNX Runtime, for model files that ``scripts/export.py --format onnx`` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastnst.errors import InputError

CARD = "fastnst.card"
"""Under which key of the file's metadata the card lies, as JSON."""


class OnnxNetwork(nn.Module):
    """Stylizes through ONNX Runtime, on the CPU, wherever it is asked to run; pads and clamps inside the file.

    Args:
        path: an .onnx file with one input (1, 3, height, width) and one output, RGB in [0, 1].

    Attributes:
        card: what ``scripts/export.py`` knew of the model; for other files only the file's name as style.

    Raises:
        InputError: ONNX Runtime is missing, or the file is damaged, refers to other files, or has other pictures.
    """

    name = "onnx"

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__()
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise InputError(f"{path} needs the package {error.name}: pip install 'fastnst[export]'.") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it says is in the exception, too
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            content = Path(path).read_bytes()
            if keeps_weights_elsewhere(onnx.load_model_from_string(content)):
                raise InputError(f"{path} refers to weights in other files, which are never read: export it whole.")
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from None
        except InputError:
            raise
        except Exception as error:  # protobuf's and onnxruntime's exceptions have no common class
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} is damaged or not an ONNX model ({reason}): export it again.") from None
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] != 3:
            raise InputError(
                f"{path} takes {[one.shape for one in inputs]}: expected one picture (1, 3, height, width); export it "
                "with scripts/export.py."
            )
        self.input = inputs[0].name
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.card: dict[str, Any] = json.loads(metadata[CARD]) if CARD in metadata else {}
        self.card.setdefault("style", {"name": Path(path).stem})

    def forward(self, pictures: Tensor) -> Tensor:
        """(1, 3, H, W), RGB in [0, 1], to the same; any size from 1x1 up.

        Raises:
            InputError: ONNX Runtime refuses the picture, in practice because memory is short.
        """
        given = pictures.detach().cpu().numpy()
        try:
            return torch.from_numpy(self.session.run(None, {self.input: given})[0]).float()
        except Exception as error:  # onnxruntime's exceptions have no common class
            height, width = pictures.shape[-2:]
            raise InputError(
                f"ONNX Runtime cannot paint {width}x{height} pixels ({str(error).splitlines()[0]}): make the picture "
                "smaller, or use the model.ckpt, which works in tiles."
            ) from None


def keeps_weights_elsewhere(message: Any) -> bool:
    """Whether any tensor in a protobuf message, however deep, says that its data lie in another file."""
    for field, value in message.ListFields():
        if field.name == "data_location" and value != 0:  # 0: in this file
            return True
        if field.message_type is not None:
            parts = value if isinstance(value, Iterable) else [value]
            if any(keeps_weights_elsewhere(part) for part in parts):
                return True
    return False
