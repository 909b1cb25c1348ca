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
from fastnst.networks.transformer import build_network
from fastnst.untrusted import LARGEST_CARD, Untrusted, check_card

CARD = "fastnst.card"
"""Under which key of the file's metadata the card lies, as JSON."""


class OnnxNetwork(nn.Module):
    """Stylizes through ONNX Runtime, on the CPU, wherever it is asked to run; pads and clamps inside the file.

    Args:
        path: an .onnx file with one input (1, 3, height, width) and one output, RGB in [0, 1], written by
            ``scripts/export.py``.

    Attributes:
        card: what ``scripts/export.py`` knew of the model.

    Raises:
        InputError: ONNX Runtime is missing, or the file is damaged, refers to other files, or is not what
            ``scripts/export.py`` writes: an unknown graph may ask for any memory and time.
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
            message = onnx.load_model_from_string(content)
            if keeps_weights_elsewhere(message):
                raise InputError(f"{path} refers to weights in other files, which are never read: export it whole.")
            pictures = [[part.dim_value for part in one.type.tensor_type.shape.dim] for one in message.graph.input]
            if len(pictures) != 1 or len(pictures[0]) != 4 or pictures[0][1] != 3:
                raise InputError(f"{path} takes {pictures!s:.100}: expected one picture (1, 3, height, width).")
            self.card = read_card(message)
            require_known_graph(message, self.card, len(content))
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from None
        except InputError:
            raise
        except Untrusted as error:
            raise InputError(
                f"{path} is not what scripts/export.py writes, and nothing else is run: {error}."
            ) from None
        except Exception as error:  # protobuf's and onnxruntime's exceptions have no common class
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path} is damaged or not an ONNX model ({reason}): export it again.") from None
        self.input = self.session.get_inputs()[0].name

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


def read_card(message: Any) -> dict[str, Any]:
    """The card in the file's metadata.

    Raises:
        Untrusted: there is none, or none that is harmless.
    """
    texts = [entry.value for entry in message.metadata_props if entry.key == CARD]
    if len(texts) != 1 or len(texts[0]) > LARGEST_CARD:
        raise Untrusted("it has no card")
    try:
        card = json.loads(texts[0])
    except (ValueError, RecursionError):
        raise Untrusted("its card is damaged") from None
    check_card(card)
    return card


def require_known_graph(message: Any, card: dict[str, Any], size: int) -> None:
    """See that a graph is, but for its weights, the one that we write for the network on the card.

    Args:
        message: the model.
        card: its card.
        size: of the file in bytes; no weight takes less than one.

    Raises:
        Untrusted: it is another.
    """
    from onnx import numpy_helper

    from fastnst.models.onnx_graph import PRECISIONS, network_to_onnx

    graph = message.graph
    try:
        name, arguments = card["network"]["name"], card["network"]["arguments"]
        with torch.device("meta"):  # without memory for its weights
            count = sum(weight.numel() for weight in build_network(name, arguments).parameters())
    except (InputError, KeyError, TypeError, ValueError, RuntimeError):
        raise Untrusted("its card names no network of ours") from None
    if count > size:
        raise Untrusted("its card names a larger network")
    kinds = {weight.data_type for weight in graph.initializer if len(weight.dims) == 4}
    precision = {10: "half", 3: "int8"}.get(max(kinds, key=(1).__ne__, default=1), "float")  # numbers: onnx.proto
    assert precision in PRECISIONS
    known = network_to_onnx(build_network(name, arguments), precision).graph
    scales = {node.input[1] for node in known.node if node.op_type == "DequantizeLinear"}

    # A group of 1 is what ONNX takes where nothing is said, as in the files of the first version.
    def structure(one: Any) -> list[Any]:
        nodes = [
            (node.op_type, node.domain, *node.input, "", *node.output,
             sorted(each.SerializeToString() for each in node.attribute if (each.name, each.i) != ("group", 1)))
            for node in one.node
        ]  # fmt: skip
        weights = [(weight.name, tuple(weight.dims), weight.data_type) for weight in one.initializer]
        return [*nodes, *weights, [each.name for each in one.input], [each.name for each in one.output]]

    extras = (message.functions, message.training_info, graph.sparse_initializer, graph.quantization_annotation)
    if structure(graph) != structure(known) or any(len(extra) for extra in extras):
        raise Untrusted("it computes something else than the network on its card")
    for theirs, ours in zip(graph.initializer, known.initializer, strict=True):
        fixed = ours.name.startswith("constant_") and ours.name not in scales
        if fixed and numpy_helper.to_array(theirs).tobytes() != numpy_helper.to_array(ours).tobytes():
            raise Untrusted(f"its {ours.name} is another")
