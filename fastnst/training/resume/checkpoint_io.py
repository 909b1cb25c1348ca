"""How Lightning writes and reads resume files here: whole or not at all."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from fastnst.errors import InputError
from fastnst.training.resume.resume_file import FORMAT, FORMAT_VERSION, read_resume_file
from fastnst.training.resume.run_folder import PREVIOUS
from fastnst.writing import written_whole


class WholeFiles(TorchCheckpointIO):
    """How Lightning writes and reads resume files here: whole or not at all, and nothing in one is code.

    The one before is kept as ``previous.ckpt``.

    Attributes:
        problem: why the last file could not be written, or None. Not raised: where several processes train, the others
            wait for the writing one.
    """

    def __init__(self) -> None:
        self.problem: str | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        path = Path(path)
        content = io.BytesIO()  # torch's own writer answers a full disk with an abort of its bookkeeping
        torch.save({"format": FORMAT, "version": FORMAT_VERSION, **checkpoint}, content)
        self.problem = None
        try:
            with written_whole(path, advice="make room", keep=path.with_name(PREVIOUS)) as beside:
                beside.write_bytes(content.getbuffer())
            sync_folder(path.parent)
        except InputError as error:
            self.problem = str(error)

    def load_checkpoint(
        self, path: str | os.PathLike, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read_resume_file(Path(path))


def sync_folder(folder: Path) -> None:
    """Have renamed files under their new names on the disk, where the system can (Windows cannot)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
