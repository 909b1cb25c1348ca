"""The size of the loss network's activations: published loss weights presuppose one, and releases differ 50-fold.

ReLU networks are positively homogeneous, so filters can be rescaled without changing what they see.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.errors import InputError
from fastnst.features.vgg import convolution_indices, layer_names
from fastnst.features.weights import TORCHVISION_STD, VGGWeights

SCALES = ("released", "unit_input", "unit_mean")


def scale_activations(weights: VGGWeights, scale: str, photos: Sequence[Tensor], architecture: str) -> VGGWeights:
    """Weights of the same network with activations of another size.

    Args:
        weights: from :func:`fastnst.features.load_vgg_weights`.
        scale: ``"released"``: as they are; ``"unit_input"``: see :func:`for_unit_input`; ``"unit_mean"``: see
            :func:`with_unit_means`.
        photos: photographs for ``"unit_mean"``, each (3, H, W) in [0, 1]; not looked at otherwise.
        architecture: ``"vgg16"`` or ``"vgg19"``.

    Raises:
        InputError: an unknown scale.
    """
    if scale not in SCALES:
        raise InputError(f"activations={scale!r}: expected one of {', '.join(SCALES)}.")
    if scale == "unit_mean":
        return with_unit_means(weights, photos, architecture)
    return for_unit_input(weights) if scale == "unit_input" else weights


def for_unit_input(weights: VGGWeights) -> VGGWeights:
    """Divide all activations as if the pixels came in with deviation 1, as torchvision's weights expect them.

    The original Caffe weights take pixels of deviation about 58 (of 255), so their activations are about 58 times as
    large as those of torchvision's weights, for which the newer recipes' loss weights were found.
    """
    factor = weights.std[0] / TORCHVISION_STD[0]
    state = {name: value * factor if name.endswith(".bias") else value for name, value in weights.state.items()}
    red, green, blue = (std / factor for std in weights.std)
    return VGGWeights(state, weights.mean, (red, green, blue))


@torch.no_grad()
def with_unit_means(weights: VGGWeights, photos: Sequence[Tensor], architecture: str) -> VGGWeights:
    """Rescale every filter to a mean activation of 1 after ReLU (Gatys, Ecker & Bethge 2016, section 2).

    They took the mean over the ImageNet validation set; here it is taken over ``photos``, max pooling in between.

    Args:
        photos: each (3, H, W) in [0, 1], at least 16 pixels a side; a filter silent on all of them stays as it is.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (weights.mean, weights.std))
    indices = convolution_indices(architecture)
    maps = [((photo - mean) / std)[None] for photo in photos]
    state: dict[str, Tensor] = dict(weights.state)
    previous = torch.ones(3)
    block = "1"
    for name in layer_names(architecture):
        if not name.startswith("conv") or f"features.{indices[name]}.weight" not in state:
            continue
        if name[4] != block:
            maps = [F.max_pool2d(x, 2) for x in maps]
            block = name[4]
        key = f"features.{indices[name]}"
        weight, bias = weights.state[f"{key}.weight"] * previous[:, None, None], weights.state[f"{key}.bias"]
        maps = [F.relu(F.conv2d(x, weights.state[f"{key}.weight"], bias, padding=1)) for x in maps]
        means = torch.stack([x.mean(dim=(0, 2, 3)) for x in maps]).mean(dim=0)
        means[means < 1e-6 * means.max()] = 1.0
        state[f"{key}.weight"], state[f"{key}.bias"] = weight / means[:, None, None, None], bias / means
        previous = means
    return VGGWeights(state, weights.mean, weights.std)
