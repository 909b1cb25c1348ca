"""Build the objective from plain settings, the ones that a configuration or a model file's card holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fastnst.errors import InputError, require_whole
from fastnst.features import VGG, load_vgg_weights
from fastnst.features.activations import scale_activations
from fastnst.images.files import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.losses import PerceptualLoss
from fastnst.losses.perceptual import current_arguments


def build_vgg(settings: Mapping[str, Any], layers: Sequence[str] | None = None, photos: Sequence[Tensor] = ()) -> VGG:
    """The loss network with the layers that ``settings["loss"]`` names.

    Args:
        settings: ``loss_network``, ``weights``, ``pooling``, ``loss``, and ``activations`` where they are rescaled.
        layers: other layers than those of ``settings["loss"]``.
        photos: (3, H, W) in [0, 1]; what ``activations: unit_mean`` is measured on.

    Raises:
        InputError: an unknown layer, or weights that cannot be had here.
    """
    architecture = settings["loss_network"]
    if layers is None:
        layers = [*settings["loss"]["content_layers"], *settings["loss"]["style_layers"]]
    weights = load_vgg_weights(settings["weights"], architecture)
    weights = scale_activations(weights, settings.get("activations", "released"), photos, architecture)
    return VGG(layers, weights, architecture, settings["pooling"])


def build_objective(vgg: VGG, style: Tensor, loss: Mapping[str, Any], scale: float = 1.0) -> PerceptualLoss:
    """The objective for a style picture.

    Args:
        vgg: from :func:`build_vgg`.
        style: (3, H, W) in [0, 1].
        loss: arguments of :class:`~fastnst.losses.PerceptualLoss`, of this or an older version.
        scale: the style picture is resized by this first; see :mod:`fastnst.optimization.pyramid`.
    """
    style = resize_short_side(style, max(1, round(scale * min(style.shape[-2:]))))
    return PerceptualLoss(vgg, style[None].to(vgg.mean), **current_arguments(loss))


def read_picture(path: str | os.PathLike, size: int, name: str) -> Tensor:
    """A picture (3, H, W) in [0, 1] whose shorter side is ``size`` pixels long; ``name`` is the option it came with.

    Raises:
        InputError: it cannot be read, or the size is no whole number above 0.
    """
    require_whole(name, size, 1)
    return resize_short_side(read_image(path, draft_size=size), size)


def choose_device(name: str) -> torch.device:
    """``"auto"``: a GPU if there is one; else the device of that name.

    Raises:
        InputError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name}: {str(error).splitlines()[0]}") from None
