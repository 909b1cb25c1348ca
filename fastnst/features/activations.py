"""The size of the loss network's activations: published loss weights presuppose one, and releases differ 50-fold.

ReLU networks are positively homogeneous, so filters can be rescaled without changing what they see.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.errors import InputError
from fastnst.features.architecture import convolution_indices
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
    """Rescale every convolution to a mean activation of 1 after ReLU (after Gatys, Ecker & Bethge 2016, section 2).

    They rescale each filter, by its mean over the ImageNet validation set. Over a handful of photographs the mean of a
    filter says little (one that hardly fires would grow a hundredfold and drown the others), so that here all filters
    of a layer share one factor: the sizes of the layers become theirs, the filters within one stay as released.

    Args:
        photos: each (3, H, W) in [0, 1], at least 16 pixels a side; max pooling in between.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (weights.mean, weights.std))
    maps = [((photo - mean) / std)[None] for photo in photos]
    state: dict[str, Tensor] = dict(weights.state)
    factor_before, block = 1.0, "1"
    for name, index in convolution_indices(architecture).items():
        weight, bias = (weights.state.get(f"features.{index}.{key}") for key in ("weight", "bias"))
        if weight is None or bias is None:
            break
        if name[4] != block:
            maps = [F.max_pool2d(x, 2) for x in maps]
            block = name[4]
        maps = [F.relu(F.conv2d(x, weight, bias, padding=1)) for x in maps]
        factor = 1.0 / max(1e-12, sum(x.mean().item() for x in maps) / len(maps))
        state[f"features.{index}.weight"], state[f"features.{index}.bias"] = (
            weight * factor / factor_before,
            bias * factor,
        )
        factor_before = factor
    return VGGWeights(state, weights.mean, weights.std)
