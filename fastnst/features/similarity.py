"""Pictures that a layer of the loss network finds alike."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.features.vgg import VGG


@torch.no_grad()
def describe(vgg: VGG, picture: Tensor, layer: str) -> Tensor:
    """What a picture shows, as one vector: the mean activation of each channel of ``layer``, of length 1.

    Args:
        picture: (3, H, W) in [0, 1].

    Returns:
        (C,), wherever ``vgg`` is.
    """
    features = vgg(picture[None].to(vgg.mean), [layer])[layer]
    return F.normalize(features.mean(dim=(0, 2, 3)), dim=0)


def nearest(query: Tensor, others: Iterable[Tensor], count: int) -> list[tuple[int, float]]:
    """The ``count`` nearest by the cosine between descriptions, nearest first: (position in ``others``, cosine)."""
    cosines = torch.stack(list(others)) @ query
    values, positions = cosines.topk(min(count, len(cosines)))
    return list(zip(positions.tolist(), values.tolist(), strict=True))
