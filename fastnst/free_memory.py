"""How much memory is free, on a device and in this machine or container."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import torch


def free_bytes(device: torch.device) -> int | None:
    """Memory in bytes that is free on a device, or in this machine or container; None where nobody can tell."""
    if device.type == "cuda":  # what torch has reserved and no tensor uses, it hands out again
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    known = [value for value in (_available_on_linux(), _left_in_container()) if value is not None]
    if known:
        return min(known)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _available_on_linux() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _left_in_container(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """What the control groups of this process have left, version 1 or 2, its own and all above it; the least counts.

    A group's use includes the file cache, of which the inactive part is given back when memory is short.
    """
    left = []
    for folder in _control_groups(groups, own):
        for limit, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):  # no such file, or "max"
                free = int((folder / limit).read_text()) - int((folder / used).read_text())
                with suppress(OSError, ValueError, KeyError):
                    numbers = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                    free += int(numbers[cache])
                left.append(max(free, 0))
    return min(left, default=None)


def _control_groups(groups: Path, own: Path) -> list[Path]:
    """Folders of the groups that limit this process's memory; the root's where nobody says which they are."""
    folders = [groups, groups / "memory"]
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            root = groups if controllers == "" else groups / "memory"
            if controllers == "" or "memory" in controllers.split(","):
                inside = Path(path.strip().lstrip("/"))
                folders += [root / part for part in (inside, *inside.parents)]
    return folders
