"""How memory is taken from the system and given back."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Of glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Memory once taken is used again by this process, where glibc is the C library (Linux).

    Otherwise it gives every large map back to the system when it is freed, and the next one comes anew, page by page: a
    sixth of a training step, in which the threads also wait for each other. It costs what lies between the maps, about
    a tenth more memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_ARENA_MAX, 1)
