"""Training and validation batches for Lightning, resumable at any step."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from torch.utils.data import DataLoader
from tqdm import tqdm

from fastnst.command_line import called
from fastnst.data.caches.cache import PhotoCache
from fastnst.data.caches.device_cache import DeviceCache, as_it_is, gather
from fastnst.data.caches.in_memory import InMemory
from fastnst.data.loading import ResumableLoader
from fastnst.data.photos import CentredPhotos, OpenPhoto, PhotoDataset, PhotoSampler, check_scale, collate
from fastnst.data.shards import Shards, SourceLost
from fastnst.data.sources import coco_photos, folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.images.reading import MAX_PIXELS, open_image
from fastnst.images.tensors import to_tensor

COCO_DEFAULT = "data/coco/train2017"
SOURCES = ("coco", "folder", "samples", "webdataset")
PAPERS_BATCH = 4  # Johnson et al. 2016, section 4.1; so few may be crops of the same photograph
ROOM = 2**30
"""Bytes of photographs in memory, of all loading processes together."""
REQUESTS_AT_ONCE = 16  # to an object store, of one loading process: each takes some 50 ms and little computation


class PhotoDataModule(pl.LightningDataModule):
    """Photographs in batches ``{"images": (N, 3, S, S) in [0, 1], "skipped": [path, ...]}``.

    A run is one long epoch of ``steps`` batches, however many times that goes through the photographs. It resumes at
    the step where the trainer stands with exactly the batches that would have come; how many photographs were seen is
    kept in the checkpoint, so the rest of the run may have another batch size or number of processes and still skips
    and repeats nothing. A few photographs are held out for validation: which ones follows from their names alone, so
    training never sees them, on any machine and with any seed.

    Args:
        source: "coco"; "folder", any folder of pictures with its sub-folders; "samples", the few in scikit-image; or
            "webdataset", tar files of pictures in a folder or an object store (see :mod:`fastnst.data.shards`).
        root: the folder or URL; for "coco" None means the environment variable COCO_ROOT, else
            ``data/coco/train2017``, else the samples, with a warning.
        image_size: side of the square crops, 32 pixels or more.
        batch_size: photographs in a batch of one process.
        grow_to: side of the crops in the last part of the run, at least ``image_size``; None: all are equally large.
        grow_at: where that part begins, from 0 (the first step) to 1 (the end).
        steps: optimizer steps of the whole run.
        seed: settles order and crops; 0 or more.
        workers: loading processes; None takes one for each CPU core, at most 8; 0 loads in the main process.
        validation_photos: how many are held out, at most a fifth of all; 0 for no validation.
        validation_root: take the validation photographs from this folder instead; all of the others are trained on.
        validation_size: side of the square validation pictures; None takes that of the last crops.
        scale: see :class:`~fastnst.data.photos.PhotoDataset`; None: photographs as they are, those held out whole and
            one in a batch; they stay in memory, up to :data:`ROOM`.
        max_pixels: larger files are skipped.
        cache: decode the training photographs once and keep them small: see :mod:`fastnst.data.caches.cache`.
        cache_dir: where; None takes :func:`~fastnst.places.home`.
        device_cache: keep the decoded training photographs on the device that trains, and cut the crops there: see
            :mod:`fastnst.data.caches.device_cache`.

    After ``setup``: ``training_paths``, ``validation_paths``, and ``source_name``, the source that was really used.

    Raises:
        InputError: a value out of range; in ``setup``, a folder without pictures or without a single readable one,
            or with fewer than ``batch_size`` (more than four) of them.
    """

    def __init__(
        self,
        source: str,
        root: str | None = None,
        image_size: int = 256,
        batch_size: int = 4,
        grow_to: int | None = None,
        grow_at: float = 0.6,
        *,
        steps: int,
        seed: int = 0,
        workers: int | None = None,
        validation_photos: int = 16,
        validation_root: str | None = None,
        validation_size: int | None = None,
        scale: tuple[float, float] | None = (1.0, 1.5),
        max_pixels: int = MAX_PIXELS,
        cache: bool = False,
        cache_dir: str | None = None,
        device_cache: bool = False,
    ) -> None:
        super().__init__()
        if source not in SOURCES:
            raise InputError(f"data source {source!r} is unknown; choose one of {', '.join(SOURCES)}")
        if source == "folder" and root is None:
            raise InputError("data source 'folder' needs a folder; give data.root=path/to/photographs")
        if source == "webdataset" and root is None:
            raise InputError("data source 'webdataset' needs shards; give data.root=path/to/shards or a URL")
        if source == "samples" and root is not None:
            raise InputError(f"data source 'samples' has no folder, {root!r} was given; choose source 'folder'")
        for name, given in (("cache", cache), ("device_cache", device_cache)):
            if not isinstance(given, bool):
                raise InputError(f"data.{name}={given!r} cannot be used; give true or false")
        if device_cache and scale is None:
            raise InputError("data.device_cache=true resamples its crops; those of data.scale=null are not resampled")
        if cache and source == "webdataset":
            raise InputError("data.cache=true is for folders of photographs; shards are read from where they are")
        if cache and scale is None:
            raise InputError("data.cache=true keeps photographs small; those of data.scale=null stay in memory instead")
        _require_whole("image size", image_size, 32)
        _require_whole("batch size", batch_size, 1)
        if grow_to is not None:
            _require_whole("data.grow_to", grow_to, image_size)
        if not isinstance(grow_at, int | float) or not 0 <= grow_at <= 1:
            raise InputError(f"data.grow_at={grow_at!r} cannot be used; give a number from 0 to 1")
        _require_whole("steps", steps, 1)
        _require_whole("seed", seed, 0)
        _require_whole("number of validation photographs", validation_photos, 0)
        if workers is not None:
            _require_whole("workers", workers, 0)
        if validation_size is not None:
            _require_whole("validation size", validation_size, 32)
        check_scale(scale)
        self.source = source
        self.root = root
        self.image_size = image_size
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.workers = _sensible_workers() if workers is None else workers
        self.validation_photos = validation_photos
        self.validation_root = validation_root
        self.grow_to = image_size if grow_to is None else grow_to
        self.grow_at = grow_at
        self.validation_size = self.grow_to if validation_size is None else validation_size
        self.scale = scale
        self.max_pixels = max_pixels
        self.cache = cache
        self.cache_dir = cache_dir
        self.device_cache = device_cache
        self._on_device: DeviceCache | None = None
        self.source_name = source
        self.training_paths: list[Path] = []
        self.validation_paths: list[Path] = []
        self.open_photo: OpenPhoto = open_image
        self.at_once = 1
        self._position: tuple[int, int] | None = None  # photographs seen at which step

    def setup(self, stage: str | None = None) -> None:
        """List the photographs and hold some out; the same in every process and for every stage."""
        if self.training_paths:
            return
        source_name, root, photos = self._photos()
        if self.validation_root is not None:
            root_apart = Path(self.validation_root)
            count, candidates = self.validation_photos, _by_name_hash(folder_photos(root_apart), root_apart)
            self.open_validation_photo: OpenPhoto = open_image
        else:
            count = min(self.validation_photos, max(1, len(photos) // 5)) if len(photos) > 1 else 0
            candidates = _by_name_hash(photos, root)
            self.open_validation_photo = self.open_photo
        validation = sorted(islice(self._readable(candidates, self.open_validation_photo), count))
        if self.validation_root is not None and len(validation) < min(count, 1):
            raise InputError(f"no photograph for validation in {root_apart} can be read; check the files")
        # A folder of its own may be the same one, linked or spelled otherwise.
        identity = os.path.realpath if self.validation_root is not None else os.fspath
        held_out = {identity(path) for path in validation}
        training = [path for path in photos if identity(path) not in held_out]
        if next(self._readable(training, self.open_photo), None) is None:
            raise InputError(
                f"none of the {len(photos)} photographs in {root} can be read for training; check the files"
            )
        if self.batch_size > max(len(training), PAPERS_BATCH):
            raise InputError(
                f"data.batch_size={self.batch_size} is more than the {len(training)} photographs in {root}; "
                "give fewer, or more photographs"
            )
        if self.scale is None:
            self.open_photo = InMemory(self.open_photo, ROOM // max(1, self.workers)).open_photo
        elif self.cache:
            self.open_photo = self._build_cache(photos, root).open_photo
        self.source_name, self.training_paths, self.validation_paths = source_name, training, validation

    def train_dataloader(self) -> DataLoader:
        """Batches from the step where the trainer stands up to ``steps``; ``len`` counts from the beginning."""
        rank, world_size, step = 0, 1, 0
        if self.trainer is not None:
            rank, world_size, step = self.trainer.global_rank, self.trainer.world_size, self.trainer.global_step
        photos_in_step = self.batch_size * world_size
        seen = self._seen(step, photos_in_step)
        self._position = seen, step
        stop = seen + max(0, self.steps - step) * photos_in_step
        grown_from = seen + max(0, math.ceil(self.grow_at * self.steps) - step) * photos_in_step
        if self.device_cache and self._on_device is None:
            self._on_device = self._fill_device_cache()
        on_device = self._on_device
        return ResumableLoader(
            PhotoDataset(
                self.training_paths,
                self.image_size,
                self.seed,
                stop,
                self.scale,
                self.max_pixels,
                self.open_photo if on_device is None else on_device.sizes.open_photo,
                self.at_once,
                (grown_from, self.grow_to),
                to_tensor if on_device is None else as_it_is,
            ),
            batch_size=self.batch_size,
            sampler=PhotoSampler(seen, stop, rank, world_size, self.steps * self.batch_size),
            collate_fn=collate if on_device is None else gather,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            prefetch_factor=4 if self.workers > 0 else None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),  # else every loader takes a number from torch's own
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The crops of a device cache are cut now."""
        crops = self._on_device is not None and isinstance(batch, dict) and "crops" in batch
        return self._on_device.batch(batch) if crops else batch  # type: ignore[union-attr]

    def some_photos(self, count: int) -> torch.Tensor:
        """The first ``count`` crops of the training, (count, 3, H, W) in [0, 1]."""
        photos = PhotoDataset(
            self.training_paths, self.image_size, self.seed, count, self.scale, self.max_pixels, self.open_photo
        )
        return torch.stack([photos[number]["image"] for number in range(count)])

    def state_dict(self) -> dict[str, Any]:
        """How many photographs all processes together have seen, and at which step."""
        if self.trainer is None or self._position is None:
            return {}
        step = self.trainer.global_step
        return {"photographs": self._seen(step, self.batch_size * self.trainer.world_size), "step": step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._position = state_dict["photographs"], state_dict["step"]

    def _seen(self, step: int, photos_in_step: int) -> int:
        """Photographs seen up to ``step``: those the checkpoint counted, and the batches of this run since."""
        counted, at_step = (0, 0) if self._position is None else self._position
        return counted + (step - at_step) * photos_in_step

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """The held-out photographs, always the same and in the same order; an empty list where there are none."""
        if not self.validation_paths:
            return []
        return DataLoader(
            CentredPhotos(
                self.validation_paths, None if self.scale is None else self.validation_size, self.open_validation_photo
            ),
            batch_size=1 if self.scale is None else self.batch_size,
            collate_fn=collate,
            num_workers=self.workers if len(self.validation_paths) > 64 else 0,  # a few are read before a worker is up
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _build_cache(self, photos: Sequence[Path], root: Path) -> PhotoCache:
        """Every process calls this; they divide the work among themselves, and the first shows how far it is."""
        assert self.scale is not None
        cache = PhotoCache(photos, root, math.ceil(self.grow_to * self.scale[1]), self.cache_dir, self.max_pixels)
        with _bar("Cache", len(photos)) as bar:
            cache.build(lambda done, total: bar.update(done - bar.n))
        return cache

    def _fill_device_cache(self) -> DeviceCache:
        """Every process fills its own device's."""
        assert self.scale is not None
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        largest = math.ceil(self.grow_to * self.scale[1])
        cache = DeviceCache(self.training_paths, self.open_photo, device, largest, self.max_pixels)
        with _bar(f"To {device}", len(self.training_paths)) as bar:
            cache.fill(bar.update)
        return cache

    def _readable(self, photos: Iterable[Path], open_photo: OpenPhoto) -> Iterator[Path]:
        """Pass over files that cannot be opened; lazy, so that only as many are opened as are taken."""
        for path in photos:
            try:
                open_photo(path, max_pixels=self.max_pixels, draft_size=32)
            except SourceLost:
                raise
            except InputError:
                continue
            yield path

    def _photos(self) -> tuple[str, Path, list[Path]]:
        """Return the source really used, its folder, and the photographs in it."""
        if self.source == "folder":
            assert self.root is not None
            return "folder", Path(self.root), folder_photos(self.root)
        if self.source == "webdataset":
            assert self.root is not None
            shards = Shards(self.root, rank_zero_warn)
            self.open_photo = shards.open_photo
            self.at_once = REQUESTS_AT_ONCE if shards.store.remote else 1
            return "webdataset", Path(shards.store.root), shards.photos
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
                f"Get COCO:         {called('download_coco')}\n"
                f"or use your own:  data=folder data.root=path/to/photographs\n{'=' * 100}"
            )
        return "samples", photos[0].parent, photos


def _bar(what: str, photos: int) -> tqdm:
    return tqdm(
        desc=what, unit="photo", file=sys.stdout, dynamic_ncols=True, delay=0.1, total=photos,
        disable=rank_zero_only.rank != 0,  # type: ignore[attr-defined]
    )  # fmt: skip


def _require_whole(what: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{what} {value!r} cannot be used; give a whole number, {least} or more")


def _sensible_workers() -> int:
    """One for each CPU core that this process may use, at most 8: these feed a GPU that takes 1,000 a second."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8)


def _by_name_hash(photos: Sequence[Path], root: Path) -> list[Path]:
    """Order photographs by a hash of their path below ``root``: arbitrary, but the same on every machine."""
    return sorted(photos, key=lambda path: hashlib.sha256(path.relative_to(root).as_posix().encode()).digest())
