"""A feature map on disk: half precision, in a temporary file, so that its size is bounded by the disk."""

from __future__ import annotations

import mmap
import os
import tempfile
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from fastnst.errors import InputError


class FeatureMap:
    """A (1, C, H, W) map of which rectangles are read and written; the file has no name and goes with the object.

    Half precision keeps 11 bits: what is stored follows a normalisation, so its values are of the order of one.

    Args:
        channels: C.
        height: H.
        width: W.

    Raises:
        InputError: the temporary folder has no room.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.height, self.width = height, width
        size = height * width * channels * 2
        self.file = tempfile.TemporaryFile(prefix="fastnst-")  # noqa: SIM115  # closed with this object
        try:
            if hasattr(os, "posix_fallocate"):  # reserve: a full disk under a mapped file would end the process
                os.posix_fallocate(self.file.fileno(), 0, size)
            else:
                self.file.truncate(size)
        except OSError as error:
            self.file.close()
            raise InputError(
                f"{tempfile.gettempdir()} has no room for {size / 2**20:,.0f} MB of feature maps ({error.strerror}): "
                "make room there or set TMPDIR to another folder."
            ) from None
        self.memory = mmap.mmap(self.file.fileno(), size)
        self.values = np.ndarray((height, width, channels), np.float16, self.memory)

    def read(self, rows: slice, columns: slice) -> Tensor:
        """A copy of a rectangle as (1, C, h, w) float32."""
        part = torch.from_numpy(self.values[rows, columns].astype(np.float32))
        self._forget()
        return part.permute(2, 0, 1)[None]

    def write(self, rows: slice, columns: slice, part: Tensor) -> None:
        """Put (1, C, h, w) into a rectangle."""
        self.values[rows, columns] = part[0].permute(1, 2, 0).to("cpu", torch.float16).numpy()
        self._forget()

    def _forget(self) -> None:
        """Mapped pages count as memory of this process until they are given back; the file keeps them."""
        if hasattr(self.memory, "madvise"):
            self.memory.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Give back memory and disk."""
        del self.values
        self.memory.close()
        self.file.close()

    def __enter__(self) -> FeatureMap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
