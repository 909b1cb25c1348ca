"""Out of memory: how to tell, and what to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fastnst.errors import InputError

_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "MemoryError", "failed to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` means that memory has run out, on a GPU or not, here or in a loading process."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


@contextmanager
def out_of_memory_says_what_to_lower(batch_size: int, image_size: int) -> Iterator[None]:
    """Turn an out-of-memory error of a training into one line of advice.

    Raises:
        InputError: memory has run out.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"out of memory with data.batch_size={batch_size} and data.image_size={image_size}: lower one of them "
            "(memory goes with batch_size * image_size^2), or take trainer.precision=bf16-mixed; steps done are saved."
        ) from None
