"""What the hardware can do that is not the same everywhere."""

from __future__ import annotations

import os

import torch

from fastnst.errors import InputError

WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA, oneDNN's own switch, that leave bfloat16 to emulation on a processor that has it."""


def choose_device(name: str) -> torch.device:
    """``"auto"``: a GPU if there is one; else the device of that name.

    Raises:
        InputError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name}: {str(error).splitlines()[0]}") from None


def computes_in_bfloat16(device_type: str) -> bool:
    """Whether it has instructions for it; where it has none, bfloat16 is emulated, many times slower than float32."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BFLOAT16:
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
