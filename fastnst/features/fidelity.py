"""How much of the photograph and of the painting a stylized picture has, at layers that no objective here uses.

The figures are ours; none is descended on. They read VGG16's first convolution of each block, where the objectives
(Johnson et al. 2016) read the last one of each.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from fastnst.features.vgg import VGG
from fastnst.features.weights import load_vgg_weights
from fastnst.images.resizing import resize

CONTENT_LAYERS = ("relu3_1", "relu4_1")
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
MOTIF_LAYERS = ("relu3_1", "relu4_1", "relu5_1")
MOTIF_SIZE = 0.25
"""Part of its size at which a picture is looked at for motifs: relu4_1 sees 240 pixels of the whole there."""


class Fidelity(NamedTuple):
    """What one picture keeps.

    Attributes:
        content: 1 for the photograph itself, about 0 for a picture that has nothing to do with it.
        style: 0 for the painting itself; a photograph is some 0.3 to 0.7 away from a painting.
        motifs: the same of both at a quarter of their size, where strokes are no longer seen, but planes and discs are.
    """

    content: float
    style: float
    motifs: float


def content_kept(features: Tensor, photograph: Tensor) -> Tensor:
    """Correlation of activations, channel by channel; mean over the channels that vary in the photograph.

    Args:
        features: of the stylized picture, (C, H, W).
        photograph: of the photograph, the same shape.

    Returns:
        A scalar from -1 to 1; a channel that is constant in the stylized picture counts as 0.
    """
    a, b = (one.flatten(1).float() for one in (features, photograph))
    a, b = (one - one.mean(1, keepdim=True) for one in (a, b))
    lengths = a.norm(dim=1) * b.norm(dim=1)
    correlations = (a * b).sum(1) / lengths.clamp(min=torch.finfo(torch.float32).tiny)
    return correlations[b.norm(dim=1) > 1e-4 * b.shape[1] ** 0.5].mean()


def style_distance(statistics: Tensor, painting: Tensor) -> Tensor:
    """Distance of :func:`channel_statistics` (2C,) over the length of the painting's."""
    return (statistics - painting).norm() / painting.norm()


def channel_statistics(features: Tensor) -> Tensor:
    """Mean and deviation of each channel of (C, H, W): the style of Huang & Belongie 2017 (arXiv 1703.06868)."""
    deviation, mean = torch.std_mean(features.flatten(1).float(), dim=1, correction=0)
    return torch.cat([mean, deviation])


class Description(NamedTuple):
    """What of a picture is compared: activations (C, H, W) of content layers, statistics (2C,) of style layers, and of
    motif layers at a quarter of its size."""

    content: dict[str, Tensor]
    style: dict[str, Tensor]
    motifs: dict[str, Tensor]


class FidelityMeter:
    """Describes pictures by VGG16 with the shipped weights, and compares them.

    Args:
        device: where to compute.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.vgg = VGG([*CONTENT_LAYERS, *STYLE_LAYERS, *MOTIF_LAYERS], load_vgg_weights()).to(device)

    @torch.no_grad()
    def describe(self, picture: Tensor) -> Description:
        """Of a picture (3, H, W), RGB in [0, 1], at least 8x8; motifs need 64x64 (smaller ones are looked at at 16)."""
        features = self._features(picture, {*CONTENT_LAYERS, *STYLE_LAYERS})
        part = max(MOTIF_SIZE, 16 / min(picture.shape[-2:]))
        small = self._features(resize(picture, *(round(part * side) for side in picture.shape[-2:])), MOTIF_LAYERS)
        return Description(
            {layer: features[layer] for layer in CONTENT_LAYERS},
            {layer: channel_statistics(features[layer]) for layer in STYLE_LAYERS},
            {layer: channel_statistics(small[layer]) for layer in MOTIF_LAYERS},
        )

    def _features(self, picture: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        return {layer: value[0] for layer, value in self.vgg(picture[None].to(self.vgg.mean), [*layers]).items()}

    @staticmethod
    def compare(stylized: Description, photograph: Description, painting: Description) -> Fidelity:
        """Mean of each figure over its layers; the photograph has the stylized picture's size, the painting any."""
        content = [content_kept(stylized.content[layer], photograph.content[layer]) for layer in CONTENT_LAYERS]
        style = [style_distance(stylized.style[layer], painting.style[layer]) for layer in STYLE_LAYERS]
        motifs = [style_distance(stylized.motifs[layer], painting.motifs[layer]) for layer in MOTIF_LAYERS]
        return Fidelity(*(torch.stack(one).mean().item() for one in (content, style, motifs)))
