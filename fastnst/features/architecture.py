"""Names and sizes of VGG16's and VGG19's layers."""

from __future__ import annotations

CONVOLUTIONS_PER_BLOCK = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Configurations D and E of Simonyan & Zisserman 2014 (arXiv 1409.1556), table 1."""

CHANNELS_PER_BLOCK = (64, 128, 256, 512, 512)


def layer_names(architecture: str) -> list[str]:
    """All layers that can be asked for, in order: ``conv1_1``, ``relu1_1``, ..., ``relu5_3`` (VGG19: ``relu5_4``)."""
    return [
        f"{kind}{block}_{index}"
        for block, count in enumerate(CONVOLUTIONS_PER_BLOCK[architecture], start=1)
        for index in range(1, count + 1)
        for kind in ("conv", "relu")
    ]


def convolution_indices(architecture: str) -> dict[str, int]:
    """Where torchvision keeps each convolution: ``{"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, ...}``."""
    indices, position = {}, 0
    for block, count in enumerate(CONVOLUTIONS_PER_BLOCK[architecture], start=1):
        for index in range(1, count + 1):
            indices[f"conv{block}_{index}"] = position
            position += 2  # a convolution and its ReLU
        position += 1  # the pooling after the block
    return indices
