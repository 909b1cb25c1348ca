"""Build the objective from plain settings, the ones that a configuration or a model file's card holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from fastnst.errors import InputError
from fastnst.features import VGG, LossNetwork, load_loss_network, load_vgg_weights
from fastnst.features.activations import scale_activations
from fastnst.features.architecture import CONVOLUTIONS_PER_BLOCK
from fastnst.images.resizing import resize_short_side
from fastnst.losses import PerceptualLoss, Term
from fastnst.losses.perceptual import check_terms, current_arguments
from fastnst.settings.own_classes import is_own, make


def with_own_terms(loss: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a command with the terms of somebody's own made; never those of a card, whose files may lie.

    Raises:
        InputError: a term's class cannot be imported, or does not take its arguments.
    """
    terms = {}
    for name, settings in loss.get("terms", {}).items():
        arguments = dict(settings) if is_own(settings) else settings
        weight = arguments.pop("weight", 1.0) if is_own(settings) else 1.0
        terms[name] = Term(weight, make(f"loss.terms.{name}", arguments))
    return {**loss, "terms": terms}


def build_loss_network(
    settings: Mapping[str, Any], layers: Sequence[str] | None = None, photos: Sequence[Tensor] = ()
) -> LossNetwork:
    """The loss network with the layers that ``settings["loss"]`` names.

    Args:
        settings: ``loss_network``, ``weights``, ``pooling``, ``loss`` (see :func:`with_own_terms`), and ``activations``
            where they are rescaled.
        layers: other layers than those of ``settings["loss"]``.
        photos: (3, H, W) in [0, 1]; what ``activations: unit_mean`` is measured on.

    Raises:
        InputError: an unknown network or layer, or weights that cannot be had here.
    """
    name, scale = settings["loss_network"], settings.get("activations", "released")
    if layers is None:
        loss = settings["loss"]
        own = [layer for term in check_terms(loss.get("terms", {})).values() for layer in term.layers]
        layers = [*loss["content_layers"], *loss["style_layers"], *own]
    if scale == "released":
        return load_loss_network(name, layers, settings["weights"], settings["pooling"])
    if name not in CONVOLUTIONS_PER_BLOCK:
        raise InputError(f"activations={scale} is for loss_network=vgg16 and vgg19: leave it out for {name}.")
    weights = scale_activations(load_vgg_weights(settings["weights"], name), scale, photos, name)
    return VGG(layers, weights, name, settings["pooling"])


def build_objective(
    vgg: LossNetwork, style: Tensor | Sequence[Tensor], loss: Mapping[str, Any], scale: float = 1.0
) -> PerceptualLoss:
    """The objective for a style picture, or for several.

    Args:
        vgg: from :func:`build_loss_network`.
        style: (3, H, W) in [0, 1], or several of them.
        loss: arguments of :class:`~fastnst.losses.PerceptualLoss`, of this or an older version, see
            :func:`with_own_terms`.
        scale: the style picture is resized by this first; see :mod:`fastnst.optimization.pyramid`.
    """
    pictures = [
        resize_short_side(one, max(1, round(scale * min(one.shape[-2:]))))[None].to(vgg.mean)
        for one in ([style] if isinstance(style, Tensor) else style)
    ]
    return PerceptualLoss(vgg, pictures, **current_arguments(loss))
