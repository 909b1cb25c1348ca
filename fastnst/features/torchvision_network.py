"""Any classification network of torchvision as loss network: layers by its own node names, frozen for good."""

from __future__ import annotations

import io
import operator
import warnings as python_warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from fastnst.errors import InputError
from fastnst.features.weights import read_weights_file

SIZES = (8, 16, 32, 64, 128, 256)
"""Smallest sides in pixels that are tried, in turn; the last one is that of the training's pictures."""


class TorchvisionNetwork(nn.Module):
    """The part of a torchvision network up to the deepest of ``layers``, by ``create_feature_extractor``, frozen.

    It serves where :class:`~fastnst.features.VGG` does, and gives the same: features by layer name. Refused are layers
    that give no (N, C, H, W), as those of Swin transformers, and networks that take pictures of one size only, as
    vision transformers do.

    Args:
        layers: names of torchvision's nodes (``layer2.1.relu``), or of what they lie in, whose last node is then meant
            (``layer2``).
        architecture: of ``torchvision.models.list_models(module=torchvision.models)``.
        weights: ``"torchvision"`` for its newest official ones, or one of their names (``"IMAGENET1K_V1"``), both by
            download; the path of a .pth or .safetensors file; or ``"random"``, always the same, for trials.

    Raises:
        InputError: there is no such network or layer, a layer gives no feature maps, or the weights cannot be had here
            or are of another network.
    """

    mean: Tensor
    std: Tensor
    pooling = "max"

    def __init__(self, layers: Sequence[str], architecture: str, weights: str | Path = "torchvision") -> None:
        super().__init__()
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

        with python_warnings.catch_warnings():
            # That a network in training has other nodes; of two networks, that their first values will change some day.
            python_warnings.simplefilter("ignore")
            model = _build(architecture)
            nodes = get_graph_node_names(model)[1]
            if not layers:
                raise InputError(
                    f"loss_network={architecture}: name layers for loss.content_layers and loss.style_layers, of "
                    f"{nodes[1]} to {nodes[-1]}."
                )
            self.layers = sorted(set(layers), key=lambda layer: _place(layer, nodes, architecture))
            official, transforms, state = _weights_of(architecture, weights)  # what is misspelled costs no download
            network = create_feature_extractor(official or model, self.layers).eval()
        _keep_apart(network)
        if state is not None:
            _load(network, state, architecture)
        self.architecture = architecture
        self.network = network.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(transforms.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(transforms.std).view(3, 1, 1))
        self.eval()
        self.minimum_size = self._find_minimum_size()

    def train(self, mode: bool = True) -> TorchvisionNetwork:
        """A loss network never trains: an outer ``.train()`` leaves it in evaluation mode."""
        return super().train(False)

    def forward(self, pictures: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Features of pictures (N, 3, H, W), RGB in [0, 1], by layer name, in order of depth.

        Args:
            pictures: height and width at least :attr:`minimum_size`.
            layers: only these; the pass goes through to the deepest layer all the same.
        """
        features = self.network((pictures - self.mean) / self.std)
        return {layer: features[layer] for layer in self.layers if layers is None or layer in layers}

    def _find_minimum_size(self) -> int:
        """The smallest of :data:`SIZES` that goes through, as half of a picture twice as wide as high."""
        for size in SIZES:
            try:
                with redirect_stderr(io.StringIO()):  # where torch.fx would show the failing line
                    self._of_grey(size)
            except (RuntimeError, ValueError, AssertionError) as error:
                problem = str(error).partition("\n")[0]
                continue
            small, large = self._of_grey(max(size, 64)), self._of_grey(max(size, 64) * 2)
            for layer, maps in small.items():  # of feature maps the last two numbers are the height and the width
                if maps.ndim != 4 or any(a >= b for a, b in zip(maps.shape[2:], large[layer].shape[2:], strict=True)):
                    raise InputError(
                        f"loss_network={self.architecture}: its layer {layer} gives {tuple(maps.shape)}, no feature "
                        "maps (N, C, H, W): name others, or take another network."
                    )
            return size
        raise InputError(f"loss_network={self.architecture} does not take pictures of any size and shape: {problem}")

    @torch.no_grad()
    def _of_grey(self, size: int) -> dict[str, Tensor]:
        return self(self.mean.expand(3, size, 2 * size)[None])


def _build(architecture: str, weights: Any = None) -> nn.Module:
    """The whole network, without operations that write over their input: it may be a layer that was asked for."""
    from torchvision import models

    known = models.list_models(module=models)
    if architecture not in known:
        near = ", ".join(get_close_matches(str(architecture), known, n=3, cutoff=0))
        raise InputError(
            f"unknown loss network {architecture!r}: expected a classification network of torchvision; near are {near}."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.get_model(architecture, weights=weights)
    if hasattr(model, "transform_input"):  # GoogLeNet and Inception make their own normalisation of the others'
        model.transform_input = True  # type: ignore[assignment]
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    return model


def _weights_of(architecture: str, weights: str | Path) -> tuple[nn.Module | None, Any, Mapping[str, Tensor] | None]:
    """A network with the official weights, or None; the transforms that its pictures go through; a file's weights."""
    from torchvision import models

    enum = models.get_model_weights(architecture)
    official = {"torchvision": enum.DEFAULT, **enum.__members__}
    if str(weights) in official:
        try:
            return _build(architecture, official[str(weights)]), official[str(weights)].transforms(), None
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"torchvision's {architecture} weights could not be downloaded ({error}): use weights=PATH of a .pth "
                "or .safetensors file, or weights=random for a trial."
            ) from None
    if weights != "random" and not Path(weights).is_file():
        raise InputError(
            f"loss network weights {str(weights)!r}: expected {', '.join(official)}, random, or the path of a file."
        )
    return None, enum.DEFAULT.transforms(), None if weights == "random" else read_weights_file(Path(weights))[0]


def _load(network: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Put a file's weights into what is used of the network; counts of batches may be missing."""
    own = network.state_dict()
    if missing := [name for name in own if name not in state and not name.endswith("num_batches_tracked")]:
        raise InputError(f"the loss network weights do not fit {architecture}: they have no {missing[0]}.")
    try:
        network.load_state_dict({name: state.get(name, value) for name, value in own.items()})
    except RuntimeError as error:
        what = str(error).splitlines()[1].strip()
        raise InputError(f"the loss network weights do not fit {architecture}: {what}") from None


def _place(layer: str, nodes: Sequence[str], architecture: str) -> int:
    """Of the last node of that name, or in the module of that name."""
    for place in reversed(range(len(nodes))):
        if nodes[place] == layer or nodes[place].startswith(f"{layer}."):
            return place
    parts = {".".join(node.split(".")[:depth]) for node in nodes for depth in range(1, node.count(".") + 2)}
    near = ", ".join(get_close_matches(str(layer), sorted(parts), n=3, cutoff=0))
    raise InputError(f"loss_network={architecture} has no layer {layer!r}; near are {near}.")


def _keep_apart(network: fx.GraphModule) -> None:
    """Have no operation write over its input, which may be a layer that was asked for."""
    for node in network.graph.nodes:
        if node.op == "call_function" and node.target is operator.iadd:
            node.target = operator.add
        if node.kwargs.get("inplace"):
            node.kwargs = {**node.kwargs, "inplace": False}
    network.recompile()
