"""What this machine is, and what it can do at most: the ceilings that a benchmark's figures are held against."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from fastnst import __version__
from fastnst.benchmark.instruments.timing import seconds_per_call
from fastnst.hardware import computes_in_bfloat16

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pytorch-lightning", "onnxruntime", "openvino")


def describe(device: torch.device) -> dict[str, Any]:
    """Processor, threads, operating system, and the version of everything that computes."""
    versions: dict[str, str | None] = {"fastnst": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    described: dict[str, Any] = {
        "system": platform.platform(),
        "processor": processor(),
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "versions": versions,
    }
    if device.type == "cuda":
        described |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return described


def processor() -> str:
    """The processor's name as the operating system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def ceilings(device: torch.device, repeats: int = 5, scale: int = 1) -> dict[str, float]:
    """What the machine reaches in the operations that networks are made of, in operations or bytes per second.

    Args:
        repeats: of each; the median counts.
        scale: makes the operands smaller by this, for tests.

    Returns:
        ``matmul`` (2048x2048 by 2048x2048) and ``convolution`` (128 to 128 channels, 3x3, 128x128 places, channels
        last: a residual block of the reference network on a picture of 512x512) in floating-point operations per
        second, in float32 and, with ``_bf16`` behind it, in bfloat16, unless that is only emulated; ``copy``: bytes
        read and written per second while 128 MB are copied.
    """
    found: dict[str, float] = {}
    side, places = 2048 // scale, 128 // scale
    with torch.inference_mode():
        kinds = {"": torch.float32} | ({"_bf16": torch.bfloat16} if computes_in_bfloat16(device.type) else {})
        for suffix, dtype in kinds.items():
            a = torch.rand(side, side, device=device).to(dtype)
            b = torch.rand(side, side, device=device).to(dtype)
            seconds = seconds_per_call(lambda a=a, b=b: a @ b, device, repeats)  # type: ignore[misc]
            found[f"matmul{suffix}"] = 2 * side**3 / seconds
            x = torch.rand(1, 128, places, places, device=device).to(dtype, memory_format=torch.channels_last)
            w = torch.rand(128, 128, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
            seconds = seconds_per_call(lambda x=x, w=w: F.conv2d(x, w, padding=1), device, repeats)  # type: ignore[misc]
            found[f"convolution{suffix}"] = 2 * places**2 * 128 * 128 * 9 / seconds
        source = torch.zeros(32 * 2**20 // scale, device=device)
        target = torch.empty_like(source)
        found["copy"] = 2 * 4 * source.numel() / seconds_per_call(lambda: target.copy_(source), device, repeats)
    return found


def ceilings_line(found: dict[str, float]) -> str:
    """The ceilings in one line for people."""
    parts = [f"{name} {value / 1e9:.1f} {'GB/s' if name == 'copy' else 'GFLOP/s'}" for name, value in found.items()]
    return "This machine now: " + ", ".join(parts) + "."


def count_flops(call: Any) -> int:
    """Floating-point operations of a call, as torch counts them: two for a multiplication with its addition."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()
