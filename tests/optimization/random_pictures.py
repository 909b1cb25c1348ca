"""Random weights and pictures for these tests."""

import torch

from fastnst.features import VGGWeights
from fastnst.features.architecture import CHANNELS_PER_BLOCK, convolution_indices


def random_weights(architecture="vgg16", blocks=2, positive=False) -> VGGWeights:
    generator, inner, state = torch.Generator().manual_seed(0), 3, {}
    for name, index in convolution_indices(architecture).items():
        if (block := int(name[4])) > blocks:
            break
        outer = CHANNELS_PER_BLOCK[block - 1]
        weight = torch.randn(outer, inner, 3, 3, generator=generator) * (2 / (9 * inner)) ** 0.5
        bias = torch.rand(outer, generator=generator) * 0.1
        state |= {f"features.{index}.weight": weight.abs() if positive else weight, f"features.{index}.bias": bias}
        inner = outer
    return VGGWeights(state, (0.0, 0.0, 0.0) if positive else (0.48, 0.45, 0.4), (0.2, 0.25, 0.3))


def noise(seed: int, height: int = 20, width: int = 24) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
