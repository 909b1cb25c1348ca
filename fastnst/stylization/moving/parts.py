"""What is finished of a film, on the disk in parts, so that an interrupted run can be resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.tensors import to_pil, to_tensor
from fastnst.writing import written_whole

LENGTH = 60
"""Frames of a part: two seconds of most films are painted again at most, and a tenth of a second is lost in size."""


def parts_folder(path: Path) -> Path:
    """Where the parts of a film are while it is being written."""
    return path.with_name(f"{path.name}.parts")


class Parts:
    """Parts of a film that is being written, in a folder beside it which goes when the film is whole.

    A part is a NUT file, which keeps times exactly, and the pictures which the next frame and what the network sees of
    it are blended with.

    Args:
        path: of the film.
        settings: everything that its frames depend on.
        resume: go on with what is there.
        overwrite: what is there may be thrown away.

    Attributes:
        count: how many parts are finished.

    Raises:
        InputError: there is nothing to resume, or of other settings; or parts are there, and nobody said what to do.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], resume: bool = False, overwrite: bool = False) -> None:
        self.folder, self.count = parts_folder(path), 0
        self.settings, described = json.loads(json.dumps(settings)), self.folder / "settings.json"
        self.resumed = resume and described.exists()
        if self.resumed:
            try:
                before = json.loads(described.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                before = {}
            changed = sorted(key for key in {*before, *self.settings} if before.get(key) != self.settings.get(key))
            if changed:
                raise InputError(
                    f"{self.folder} was begun with other settings ({', '.join(changed)}): give the same, or "
                    "--overwrite in place of --resume to start over."
                )
            while self.file(self.count).exists():
                self.count += 1
        elif self.folder.exists():
            if not overwrite:
                raise InputError(
                    f"{self.folder} holds the finished part of an interrupted run: add --resume to go on, or "
                    "--overwrite to start over."
                )
            self.remove()

    @property
    def frames(self) -> int:
        return LENGTH * self.count

    @property
    def unfinished(self) -> Path:
        return self.folder / "unfinished.nut"

    def file(self, number: int) -> Path:
        return self.folder / f"{number:06}.nut"

    def begin(self) -> Path:
        """Where the next part is to be written."""
        if self.count == 0:
            with written_whole(self.folder / "settings.json") as beside:
                beside.write_text(json.dumps(self.settings), encoding="utf-8")
        return self.unfinished

    def finish(self, shown: np.ndarray, calm: Tensor | None) -> Path:
        """Take in the part that was begun, and return its file.

        Args:
            shown: its last frame, (H, W, 3) bytes.
            calm: as the network saw that frame, (3, H, W) in [0, 1]; None where no frame is steadied.
        """
        pictures = {"shown": Image.fromarray(shown)} | ({} if calm is None else {"calm": to_pil(calm)})
        for name, picture in pictures.items():
            with written_whole(self._picture(name, self.count)) as beside:
                picture.save(beside, "PNG", compress_level=1)
        self.unfinished.replace(self.file(self.count))
        for name in ("shown", "calm"):
            self._picture(name, self.count - 1).unlink(missing_ok=True)
        self.count += 1
        return self.file(self.count - 1)

    def last(self) -> tuple[Tensor, Tensor | None]:
        """The last frame of what is finished as it was shown, and as the network saw it, (3, H, W) in [0, 1]."""
        calm = self._picture("calm", self.count - 1)
        return _read(self._picture("shown", self.count - 1)), _read(calm) if calm.exists() else None

    def _picture(self, name: str, number: int) -> Path:
        return self.folder / f"{number:06}.{name}.png"

    def close(self, whole: bool) -> None:
        """Nothing stays of a film that is whole, or of one without a finished part."""
        with suppress(OSError):
            self.unfinished.unlink(missing_ok=True)
        if whole or self.count == 0:
            self.remove()

    def remove(self) -> None:
        with suppress(OSError):
            shutil.rmtree(self.folder)


def _read(path: Path) -> Tensor:
    with Image.open(path) as picture:
        return to_tensor(picture)
