"""What the trained network keeps of held-out photographs and of the painting, for the model's card."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fastnst.data.photos import OpenPhoto
from fastnst.features.fidelity import FidelityMeter
from fastnst.images.resizing import resize_short_side
from fastnst.images.tensors import to_tensor
from fastnst.networks import TransformerNetwork


@torch.no_grad()
def measure(
    network: TransformerNetwork, paths: Sequence[Path], open_photo: OpenPhoto, style: Tensor, size: int
) -> dict[str, float]:
    """Means over photographs, as ``benchmark.py paintings`` gives them.

    Args:
        network: trained, on the device where to compute.
        paths: of held-out photographs, at least one.
        open_photo: how they are read.
        style: the painting, (3, H, W) in [0, 1].
        size: shorter side of the photographs in pixels.

    Returns:
        ``content``, ``style`` and ``motifs`` (:class:`~fastnst.features.fidelity.Fidelity`), ``photograph_style`` and
        ``photograph_motifs``: the distances of the photographs themselves, ``photographs``: how many.
    """
    device = next(network.parameters()).device
    meter = FidelityMeter(device)
    painting = meter.describe(style)
    figures, own = [], []
    for path in paths:
        photo = to_tensor(resize_short_side(open_photo(path, draft_size=size), size))
        described = meter.describe(photo)
        stylized = network(photo[None].to(device)).float().clamp(0, 1)[0]
        figures.append(meter.compare(meter.describe(stylized), described, painting))
        own.append(meter.compare(described, described, painting))
    return {
        "photographs": len(paths),
        "content": statistics.fmean(one.content for one in figures),
        "style": statistics.fmean(one.style for one in figures),
        "motifs": statistics.fmean(one.motifs for one in figures),
        "photograph_style": statistics.fmean(one.style for one in own),
        "photograph_motifs": statistics.fmean(one.motifs for one in own),
    }
