"""Out of memory: what to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastnst.errors import InputError, is_out_of_memory


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
