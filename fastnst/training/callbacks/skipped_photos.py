"""Counts and names the photographs that could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from fastnst.errors import one_line
from fastnst.training.machine.processes import shared


class SkippedPhotos(pl.Callback):
    """Counts and names the photographs that could not be read; writes them to ``skipped_photos.txt`` in the run folder.

    Attributes:
        paths: each bad file once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: set[str] = set()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._add(skipped_in(batch))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._add(shared(self.paths))

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        self._add(skipped_in(batch))

    def _write(self, paths: list[str]) -> None:
        """Add ``paths`` to the list, but for those that a run cut off after its last save had added already."""
        file = self.folder / "skipped_photos.txt"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)  # the first process of a run made its own
            known = set(file.read_text(encoding="utf-8").splitlines()) if file.exists() else set()
            with open(file, "a", encoding="utf-8") as listing:
                listing.writelines(f"{path}\n" for path in paths if path not in known)
        except OSError as error:
            rank_zero_warn(f"{file} cannot be written ({error.strerror}).")

    def state_dict(self) -> dict[str, Any]:
        self._add(shared(self.paths))  # Lightning asks all processes at the same step
        return {"paths": sorted(self.paths)}

    def _add(self, paths: set[str]) -> None:
        new = sorted(paths - self.paths)
        self.paths.update(new)
        if new and rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # the others' reach it with `shared`
            for path in new:
                rank_zero_warn(one_line(f"photograph skipped, it cannot be read: {path}"))
            self._write(new)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.paths = set(state_dict["paths"])


def skipped_in(batch: Any) -> set[str]:
    """Files that a batch was to have and could not be read; a data module of somebody's own may have none to name."""
    return set(batch.get("skipped", [])) if isinstance(batch, Mapping) else set()
