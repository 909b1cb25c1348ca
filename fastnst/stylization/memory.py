"""How much memory a picture needs, and how much is free."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from fastnst.networks import TransformerNetwork

FEATURE_MAPS = 8
"""Full-size maps of ``width`` channels that a whole picture needs at its peak: the last upsampling's input and output,
their copies in the layout of the convolution. Measured: 7.6 (width 32, 2048x2048, CPU)."""

SHARE = 0.7
"""How much of the free memory a whole picture may take; the rest is for other programs, reading and saving."""


def whole_picture_bytes(network: TransformerNetwork, height: int, width: int) -> int:
    """Memory in bytes for a picture that goes through the network in one piece."""
    channels = network.to_rgb.in_channels
    return FEATURE_MAPS * channels * 4 * height * width


def free_bytes(device: torch.device) -> int | None:
    """Memory in bytes that is free on a device, or in this machine or container; None where nobody can tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known = [value for value in (_available_on_linux(), _left_in_container()) if value is not None]
    if known:
        return min(known)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def fits(network: TransformerNetwork, height: int, width: int, device: torch.device) -> bool:
    """Whether a whole picture fits into the memory that is free now; True where nobody can tell."""
    free = free_bytes(device)
    return free is None or whole_picture_bytes(network, height, width) <= SHARE * free


def _available_on_linux() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _left_in_container() -> int | None:
    """What the control group, version 2, has left."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no control group, or "max"
        return None
