"""Training and validation batches for Lightning, resumable at any step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch.utils.data import DataLoader

from fastnst.data.photos import CentredPhotos, PhotoDataset, PhotoSampler, collate
from fastnst.data.sources import coco_photos, folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.images.files import MAX_PIXELS, open_image

COCO_DEFAULT = "data/coco/train2017"
SOURCES = ("coco", "folder", "samples")


class PhotoDataModule(pl.LightningDataModule):
    """Photographs in batches ``{"images": (N, 3, S, S) in [0, 1], "skipped": [path, ...]}``.

    A run is one long epoch of ``steps`` batches, however many times that goes through the photographs. It is taken up
    again at the step where the trainer stands (or, without a trainer, at ``start_step``) with exactly the batches that
    would have come. A few photographs are held out for validation: which ones follows from their names alone, so
    training never sees them, on any machine and with any seed.

    Args:
        source: "coco"; "folder", any folder of pictures with its sub-folders; or "samples", the few in scikit-image.
        root: the folder; for "coco" None means the environment variable COCO_ROOT, else ``data/coco/train2017``, else
            the samples, with a warning.
        image_size: side of the square crops, 32 pixels or more.
        batch_size: photographs in a batch of one process.
        steps: optimizer steps of the whole run.
        seed: settles order and crops; 0 or more.
        workers: loading processes; None takes one for each CPU core, at most 4; 0 loads in the main process.
        start_step: optimizer steps done already, for use without a trainer.
        validation_photos: how many are held out, at most a fifth of all; 0 for no validation.
        validation_root: take the validation photographs from this folder instead; all of the others are trained on.
        validation_size: side of the square validation pictures; None takes ``image_size``.
        scale: see :class:`~fastnst.data.photos.PhotoDataset`.
        max_pixels: larger files are skipped.

    After ``setup``: ``training_paths``, ``validation_paths``, and ``source_name``, the source that was really used.

    Raises:
        InputError: a value out of range; in ``setup``, a folder without pictures or without a single readable one.
    """

    def __init__(
        self,
        source: str,
        root: str | None = None,
        image_size: int = 256,
        batch_size: int = 4,
        *,
        steps: int,
        seed: int = 0,
        workers: int | None = None,
        start_step: int = 0,
        validation_photos: int = 16,
        validation_root: str | None = None,
        validation_size: int | None = None,
        scale: tuple[float, float] = (1.0, 1.5),
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__()
        if source not in SOURCES:
            raise InputError(f"data source {source!r} is unknown; choose one of {', '.join(SOURCES)}")
        if source == "folder" and root is None:
            raise InputError("data source 'folder' needs a folder; give data.root=path/to/photographs")
        if source == "samples" and root is not None:
            raise InputError(f"data source 'samples' has no folder, {root!r} was given; choose source 'folder'")
        _require_whole("image size", image_size, 32)
        _require_whole("batch size", batch_size, 1)
        _require_whole("steps", steps, 1)
        _require_whole("seed", seed, 0)
        _require_whole("start step", start_step, 0)
        _require_whole("number of validation photographs", validation_photos, 0)
        if workers is not None:
            _require_whole("workers", workers, 0)
        if validation_size is not None:
            _require_whole("validation size", validation_size, 32)
        self.source = source
        self.root = root
        self.image_size = image_size
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.workers = _sensible_workers() if workers is None else workers
        self.start_step = start_step
        self.validation_photos = validation_photos
        self.validation_root = validation_root
        self.validation_size = image_size if validation_size is None else validation_size
        self.scale = scale
        self.max_pixels = max_pixels
        self.source_name = source
        self.training_paths: list[Path] = []
        self.validation_paths: list[Path] = []

    def setup(self, stage: str | None = None) -> None:
        """List the photographs and hold some out; the same in every process and for every stage."""
        if self.training_paths:
            return
        source_name, root, photos = self._photos()
        if self.validation_root is not None:
            root_apart = Path(self.validation_root)
            count, candidates = self.validation_photos, _by_name_hash(folder_photos(root_apart), root_apart)
        else:
            count = min(self.validation_photos, max(1, len(photos) // 5)) if len(photos) > 1 else 0
            candidates = _by_name_hash(photos, root)
        validation = sorted(islice(_readable(candidates, self.max_pixels), count))
        if self.validation_root is not None and len(validation) < min(count, 1):
            raise InputError(f"no photograph for validation in {root_apart} can be read; check the files")
        # A folder of its own may be the same one, linked or spelled otherwise.
        identity = os.path.realpath if self.validation_root is not None else os.fspath
        held_out = {identity(path) for path in validation}
        training = [path for path in photos if identity(path) not in held_out]
        if next(_readable(training, self.max_pixels), None) is None:
            raise InputError(
                f"none of the {len(photos)} photographs in {root} can be read for training; check the files"
            )
        self.source_name, self.training_paths, self.validation_paths = source_name, training, validation

    def train_dataloader(self) -> DataLoader:
        """Batches from the step where the trainer stands up to ``steps``; ``len`` counts from the beginning."""
        rank, world_size, step, accumulated = 0, 1, self.start_step, 1
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            step = self.trainer.global_step
            accumulated = self.trainer.accumulate_grad_batches
        photos_in_step = self.batch_size * world_size * accumulated
        total = self.steps * photos_in_step
        return ResumableLoader(
            PhotoDataset(self.training_paths, self.image_size, self.seed, total, self.scale, self.max_pixels),
            batch_size=self.batch_size,
            sampler=PhotoSampler(min(step * photos_in_step, total), total, rank, world_size),
            collate_fn=collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            prefetch_factor=4 if self.workers > 0 else None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),  # else every loader takes a number from torch's own
        )

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """The held-out photographs, always the same and in the same order; an empty list where there are none."""
        if not self.validation_paths:
            return []
        return DataLoader(
            CentredPhotos(self.validation_paths, self.validation_size),
            batch_size=self.batch_size,
            collate_fn=collate,
            num_workers=self.workers if len(self.validation_paths) > 64 else 0,  # a few are read before a worker is up
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _photos(self) -> tuple[str, Path, list[Path]]:
        """Return the source really used, its folder, and the photographs in it."""
        if self.source == "folder":
            assert self.root is not None
            return "folder", Path(self.root), folder_photos(self.root)
        if self.source == "coco":
            asked_for = self.root if self.root is not None else os.environ.get("COCO_ROOT") or None
            root = Path(COCO_DEFAULT if asked_for is None else asked_for)
            if asked_for is not None or root.is_dir():
                return "coco", root, coco_photos(root)
        photos = sample_photos()
        if self.source == "coco":
            rank_zero_warn(
                f"\n{'=' * 100}\nNO COCO HERE: {COCO_DEFAULT} does not exist and COCO_ROOT is not set.\n"
                f"TRAINING ON {len(photos)} SAMPLE PHOTOGRAPHS INSTEAD: good for a trial, too few for a good network.\n"
                "Get COCO:         python scripts/download_coco.py\n"
                f"or use your own:  data=folder data.root=path/to/photographs\n{'=' * 100}"
            )
        return "samples", photos[0].parent, photos


class ResumableLoader(DataLoader):
    """A DataLoader that may tell Lightning truthfully that it can be resumed; its sampler settles where."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save: the position is the trainer's step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def _require_whole(what: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{what} {value!r} cannot be used; give a whole number, {least} or more")


def _sensible_workers() -> int:
    """One for each CPU core that this process may use, at most 4: more do not make a training step wait less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 4)


def _by_name_hash(photos: Sequence[Path], root: Path) -> list[Path]:
    """Order photographs by a hash of their path below ``root``: arbitrary, but the same on every machine."""
    return sorted(photos, key=lambda path: hashlib.sha256(path.relative_to(root).as_posix().encode()).digest())


def _readable(photos: Iterable[Path], max_pixels: int) -> Iterator[Path]:
    """Pass over files that cannot be opened; lazy, so that only as many are opened as are taken."""
    for path in photos:
        with suppress(InputError):
            open_image(path, max_pixels=max_pixels, draft_size=32)
            yield path
