"""One file for another program: written beside its final name, checked, then renamed."""

from __future__ import annotations

import json
import os
import warnings
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.export.agreement import Difference, compare, painter_of, require_small
from fastnst.export.traceable import Traceable, TraceableEnlarger
from fastnst.models.model_file import FORMAT, FORMAT_VERSION, AnyModel, Model, as_bytes, read_model
from fastnst.models.safetensors_file import as_safetensors
from fastnst.writing import written_whole

CARD = "fastnst.card"
"""Under which key of an ONNX file's metadata the card lies, as JSON."""


def export_onnx(
    model: AnyModel, path: str | os.PathLike, precision: str = "float", overwrite: bool = False
) -> Difference:
    """Write an ONNX file: RGB in [0, 1], (1, 3, H, W), any height and width, in and out; the card in its metadata.

    What comes out of a model that enlarges is larger. A model of S styles has a second input ``style``, (S,): the share
    of each, in the order of the card's ``styles``.

    Args:
        model: as read.
        path: must not exist, unless ``overwrite``.
        precision: ``"float"``; ``"half"`` or ``"int8"`` keep weights smaller and compute in float32 as well.
        overwrite: replace a file that is there.

    Returns:
        How far its results in ONNX Runtime are from PyTorch's, over three sizes, in every style and all mixed.

    Raises:
        InputError: packages are missing, the file exists, or the results differ visibly.
    """
    try:
        import onnx  # noqa: F401  # the extra, asked for before anything else
        import onnxruntime
    except ImportError as error:
        raise InputError(f"export to ONNX needs the package {error.name}: pip install 'fastnst[export]'.") from None
    from fastnst.models.onnx_graph import enlarger_to_onnx, network_to_onnx

    if isinstance(model, Model):
        exported = network_to_onnx(model.network, precision)
    else:
        exported = enlarger_to_onnx(model.network, precision)
    entry = exported.metadata_props.add()
    entry.key, entry.value = CARD, json.dumps(model.card)
    with _exported(path, overwrite) as beside:
        beside.write_bytes(exported.SerializeToString())
        session = onnxruntime.InferenceSession(beside, providers=["CPUExecutionProvider"])

        def painted(picture: Tensor, *style: Tensor) -> Tensor:
            names = ("picture", "style")[: 1 + len(style)]
            given = {name: one.numpy() for name, one in zip(names, (picture[None], *style), strict=True)}
            return torch.from_numpy(session.run(None, given)[0])[0]

        difference = compare(painter_of(model), painted, model.network.arguments.get("styles"))
        require_small(difference, reduced=precision != "float")
    return difference


def export_safetensors(
    model: AnyModel, path: str | os.PathLike, half: bool = False, overwrite: bool = False
) -> Difference:
    """Write weights, card and thumbnail as safetensors; model files are read back from it.

    Args and errors are those of :func:`export_onnx`; ``half`` keeps the weights as float16.
    """
    network = model.network
    dtype = torch.float16 if half else torch.float32
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "card": {**model.card, "network": {"name": network.name, "arguments": dict(network.arguments)}},
        "weights": {name: value.detach().to("cpu", dtype).contiguous() for name, value in network.state_dict().items()},
        "thumbnail": None if model.thumbnail is None else as_bytes(model.thumbnail),
    }
    with _exported(path, overwrite) as beside:
        beside.write_bytes(as_safetensors(content))
        difference = compare(painter_of(model), painter_of(read_model(beside)), network.arguments.get("styles"))
        require_small(difference, reduced=half)
    return difference


def export_torchscript(model: AnyModel, path: str | os.PathLike, overwrite: bool = False) -> Difference:
    """Write a TorchScript file for C++ and mobile: as :func:`export_onnx`, the card as the extra file ``card.json``."""
    styles = model.network.arguments.get("styles")
    whole = Traceable(model.network) if isinstance(model, Model) else TraceableEnlarger(model.network)
    example = (torch.rand(1, 3, 36, 41), *([] if styles is None else [torch.full((styles,), 1 / styles)]))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that TorchScript is in maintenance, and what tracing may have missed
        traced = torch.jit.trace(whole.cpu(), example)
    with _exported(path, overwrite) as beside:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(traced, str(beside), _extra_files={"card.json": json.dumps(model.card)})
            again = torch.jit.load(str(beside))
        with torch.no_grad():
            difference = compare(painter_of(model), lambda picture, *style: again(picture[None], *style)[0], styles)
        require_small(difference, reduced=False)
    return difference


def _exported(path: str | os.PathLike, overwrite: bool) -> AbstractContextManager[Path]:
    """:func:`~fastnst.writing.written_whole`, unless there is a file that must stay."""
    if os.path.exists(path) and not overwrite:
        raise InputError(f"{path} exists: add --overwrite to replace it, or give another --output.")
    return written_whole(path)
