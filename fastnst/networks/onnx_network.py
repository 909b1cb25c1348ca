"""A network that runs in ONNX Runtime, for model files that ``scripts/export.py --format onnx`` wrote."""

from __future__ import annotations

import json
import os
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
            import onnxruntime
        except ImportError:
            raise InputError(f"{path} needs ONNX Runtime: pip install 'fastnst[export]'.") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it says is in the exception, too
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            content = Path(path).read_bytes()
            # From bytes, not from the path: then weights in other files, wherever they are, cannot be reached.
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from None
        except Exception as error:  # onnxruntime's exceptions have no common class
            reason = str(error).splitlines()[0]
            hint = "weights in other files are not read" if "external" in reason else "export it again"
            raise InputError(f"{path} is damaged or not an ONNX model ({reason}): {hint}.") from None
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
