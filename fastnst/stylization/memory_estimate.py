"""How much memory a picture needs, and whether it is free."""

from __future__ import annotations

import torch

from fastnst.free_memory import free_bytes
from fastnst.networks import OwnNetwork, TransformerNetwork
from fastnst.stylization.cpu.bands import MOST_PIXELS
from fastnst.stylization.cpu.workers import workers

FEATURE_MAPS = 8
"""Full-size maps of ``width`` channels that a whole picture needs at its peak: the last upsampling's input and output,
their copies in the layout of the convolution. Measured: 7.6 (width 32, 2048x2048, CPU)."""

ENGINE_FEATURE_MAPS, BAND_FEATURE_MAPS = 3.3, 5.0
"""The same for :class:`~fastnst.stylization.cpu.engine.CpuEngine`: of the whole picture, and of each band that a core
works on. Both together were measured on two cores: 4.5, 3.7 and 3.2 whole maps for 1024x1024, 2048x2048 and 2600x3500
(width 32), 3.6 and 3.3 for 2048x2048 (widths 12 and 8)."""

SHARE = 0.7
"""How much of the free memory a whole picture may take; the rest is for other programs, reading and saving."""


def whole_picture_bytes(network: TransformerNetwork, height: int, width: int, engine: bool = False) -> int:
    """Memory in bytes for a picture that goes through the network, or its CPU engine, in one piece."""
    pixel = network.to_rgb.in_channels * 4
    if not engine:
        return FEATURE_MAPS * pixel * height * width
    in_work = min(height * width, workers().count * MOST_PIXELS * 16)  # the smallest map has a 16th of the pixels
    return int(pixel * (ENGINE_FEATURE_MAPS * height * width + BAND_FEATURE_MAPS * in_work))


def fits(network: TransformerNetwork, height: int, width: int, device: torch.device, engine: bool = False) -> bool:
    """Whether a whole picture fits into the memory that is free now; True where nobody can tell."""
    free = None if isinstance(network, OwnNetwork) else free_bytes(device)
    return free is None or whole_picture_bytes(network, height, width, engine) <= SHARE * free
