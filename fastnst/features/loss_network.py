"""A loss network by its name, with the layers that suit it and the weights that it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from fastnst.errors import InputError
from fastnst.features.architecture import CONVOLUTIONS_PER_BLOCK
from fastnst.features.torchvision_network import TorchvisionNetwork
from fastnst.features.vgg import VGG
from fastnst.features.weights import load_vgg_weights

LossNetwork: TypeAlias = VGG | TorchvisionNetwork

_VGG = ("relu3_3", ["relu1_2", "relu2_2", "relu3_3", "relu4_3"])
_RESNET = ("layer2", ["relu", "layer1", "layer2", "layer3"])
_CONVNEXT = ("features.3", ["features.0", "features.1", "features.3", "features.5"])
DEFAULT_LAYERS: dict[str, tuple[str, list[str]]] = {
    "vgg16": _VGG,
    "vgg19": _VGG,
    "alexnet": ("features.4", ["features.1", "features.4", "features.7", "features.9"]),
    "squeezenet1_0": ("features.7", ["features.1", "features.4", "features.7", "features.10"]),
    "squeezenet1_1": ("features.7", ["features.1", "features.4", "features.7", "features.10"]),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), _RESNET),
    "densenet121": (
        "features.denseblock2",
        ["features.relu0", "features.denseblock1", "features.denseblock2", "features.denseblock3"],
    ),
    "mobilenet_v2": ("features.6", ["features.1", "features.3", "features.6", "features.13"]),
    "mobilenet_v3_large": ("features.6", ["features.1", "features.3", "features.6", "features.12"]),
    "efficientnet_b0": ("features.3", ["features.1", "features.2", "features.3", "features.5"]),
    **dict.fromkeys(("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"), _CONVNEXT),
}
"""The content layer and the style layers of some networks. VGG's are those of Johnson et al. 2016; the others' are the
last of each resolution from the first on, and the content's at an eighth of the picture's size (VGG: a quarter). That
is by their place alone: which of them make good pictures, nobody has measured here."""


def default_layers(loss_network: str) -> tuple[dict[str, float], dict[str, float]]:
    """Content and style layers, each with its weight; none for a network that is not in :data:`DEFAULT_LAYERS`."""
    if loss_network not in DEFAULT_LAYERS:
        return {}, {}
    content, style = DEFAULT_LAYERS[loss_network]
    return {content: 1.0}, dict.fromkeys(style, 1.0)


def default_weights(loss_network: str) -> str:
    """VGG's are the original ones, which the package has for VGG16; the others' are torchvision's."""
    return "imagenet_caffe" if loss_network in CONVOLUTIONS_PER_BLOCK else "torchvision"


def load_loss_network(
    name: str = "vgg16",
    layers: Sequence[str] | None = None,
    weights: str | Path | None = None,
    pooling: str = "max",
) -> LossNetwork:
    """A loss network, up to the deepest of ``layers``, frozen.

    Args:
        name: ``"vgg16"``, ``"vgg19"``, or any other classification network of torchvision.
        layers: of VGG see :func:`~fastnst.features.layer_names`, of the others
            :class:`~fastnst.features.TorchvisionNetwork`; None takes :data:`DEFAULT_LAYERS`.
        weights: see :func:`~fastnst.features.load_vgg_weights` and :class:`~fastnst.features.TorchvisionNetwork`; None
            takes :func:`default_weights`.
        pooling: ``"max"``, or ``"average"`` for VGG.

    Raises:
        InputError: an unknown network, layer or pooling, or weights that cannot be had here.
    """
    if layers is None:
        layers = [layer for some in default_layers(name) for layer in some]
    weights = default_weights(name) if weights is None else weights
    if name in CONVOLUTIONS_PER_BLOCK:
        return VGG(layers, load_vgg_weights(weights, name), name, pooling)
    if pooling != "max":
        raise InputError(f"pooling={pooling} is for loss_network=vgg16 and vgg19; {name} has its own.")
    return TorchvisionNetwork(layers, name, weights)
