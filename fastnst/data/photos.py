"""Photographs as training items: random crops that depend on nothing but a seed and a running number.

Item ``k`` of a run is the same picture, cropped the same way, whatever the number of workers or processes and wherever
a run was taken up again: which file it is follows from (seed, k // n), how it is cropped from (seed, k). Nothing needs
to be saved to resume in the middle of an epoch except the number of items seen.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypedDict

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, DistributedSampler

from fastnst.data.shards import SourceLost
from fastnst.errors import InputError
from fastnst.images.reading import MAX_PIXELS, open_image
from fastnst.images.tensors import to_tensor

_ORDER, _CROP = 0, 1  # two streams of random numbers from one seed


class PhotoItem(TypedDict):
    """One photograph ``(3, S, S)`` in [0, 1] and the paths of unreadable files that were met on the way to it."""

    image: torch.Tensor
    skipped: list[str]


class PhotoBatch(TypedDict):
    """Photographs ``(N, 3, S, S)`` in [0, 1] and the paths of unreadable files that were met on the way to them."""

    images: torch.Tensor
    skipped: list[str]


class OpenPhoto(Protocol):
    """Gets a photograph by its name: :func:`~fastnst.images.reading.open_image`, or the like from shards or a cache."""

    def __call__(
        self, path: str | os.PathLike, *, max_pixels: int = ..., draft_size: int | None = ...
    ) -> Image.Image: ...


def check_scale(scale: Sequence[float] | None) -> None:
    """Refuse what is neither None nor two numbers from 1 up, the smaller one first."""
    if scale is None:
        return
    numbers = isinstance(scale, Sequence) and all(isinstance(value, (int, float)) for value in scale)
    if not numbers or len(scale) != 2 or not 1 <= scale[0] <= scale[1] < math.inf:
        raise InputError(f"scale {scale!r} must be (smallest, largest) with 1 <= smallest <= largest")


class PhotoDataset(Dataset[PhotoItem]):
    """Random square crops of photographs, addressed by a running number that may go on over many epochs.

    The shorter side is resized to ``image_size * u``, u random within ``scale`` (a picture too small for that is
    enlarged no further than ``image_size``), then a square is cut at random and mirrored half of the time.

    A file that cannot be read is replaced by the next one in the order of its epoch and named under ``skipped``.

    Args:
        paths: picture files.
        image_size: side of the crops, in pixels.
        seed: 0 or more; settles order, crops and mirroring.
        length: how many items ``len`` reports; by default the number of files. Any number from 0 may be asked for.
        scale: smallest and largest u, at least 1; None: crops as large as they are in the file, turned by a quarter
            none to three times.
        max_pixels: larger files count as unreadable.
        open_photo: how a photograph is read.
        at_once: so many photographs of a batch are read at the same time, for sources that answer late.
        grown: ``(first, side)``: from item ``first`` on the crops have this side instead.
        finish: makes the item's ``image`` of the crop.

    Raises:
        InputError: no paths, or a value outside the ranges above; on access, when no file at all can be read.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike],
        image_size: int,
        seed: int = 0,
        length: int | None = None,
        scale: tuple[float, float] | None = (1.0, 1.5),
        max_pixels: int = MAX_PIXELS,
        open_photo: OpenPhoto = open_image,
        at_once: int = 1,
        grown: tuple[int, int] | None = None,
        finish: Callable[[Any], Any] = to_tensor,
    ) -> None:
        if len(paths) == 0:
            raise InputError("a data set of 0 photographs was asked for; give at least one")
        if image_size < 1:
            raise InputError(f"image size {image_size} is too small; give 1 pixel or more")
        if seed < 0:
            raise InputError(f"seed {seed} is negative; give 0 or more")
        check_scale(scale)
        self.paths = [os.fspath(path) for path in paths]
        self.image_size = image_size
        self.seed = seed
        self.length = len(self.paths) if length is None else length
        self.scale = None if scale is None else (float(scale[0]), float(scale[1]))
        self.max_pixels = max_pixels
        self.open_photo = open_photo
        self.at_once = at_once
        self.grown = grown
        self.finish = finish
        self._threads: tuple[int, ThreadPoolExecutor] | None = None  # of the process of that number
        self._order: tuple[int, np.ndarray] | None = None  # of the epoch last asked for

    def __len__(self) -> int:
        return self.length

    def __getitems__(self, numbers: Sequence[int]) -> list[PhotoItem]:
        """The items of a batch, for the DataLoader."""
        if self.at_once == 1:
            return [self[k] for k in numbers]
        if self._threads is None or self._threads[0] != os.getpid():  # threads do not survive a fork
            self._threads = os.getpid(), ThreadPoolExecutor(self.at_once)
        return list(self._threads[1].map(self.__getitem__, numbers))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_threads": None}

    def __getitem__(self, k: int) -> PhotoItem:
        if k < 0:
            raise IndexError(f"item {k}: items are counted from 0")
        n = len(self.paths)
        order = self._order_of_epoch(k // n)
        random = np.random.Generator(np.random.PCG64([self.seed, _CROP, k]))
        zoom, across, down, mirror = random.random(4)
        side = self.image_size if self.grown is None or k < self.grown[0] else self.grown[1]
        short = None if self.scale is None else side * (self.scale[0] + zoom * (self.scale[1] - self.scale[0]))
        skipped: list[str] = []
        for attempt in range(n):
            path = self.paths[order[(k + attempt) % n]]
            try:
                draft_size = None if short is None else math.ceil(short)
                picture = self.open_photo(path, max_pixels=self.max_pixels, draft_size=draft_size)
            except SourceLost:
                raise
            except InputError as error:
                reason = error
                skipped.append(path)
                continue
            if short is None:
                picture = _cut(picture, side, across, down).rotate(90 * math.floor(4 * zoom))
            else:
                picture = _cut_square(picture, side, short, across, down)
            if mirror < 0.5:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            return {"image": self.finish(picture), "skipped": skipped}
        raise InputError(f"none of the {n} photographs can be read; the last one: {reason}")

    def _order_of_epoch(self, epoch: int) -> np.ndarray:
        order = self._order
        if order is None or order[0] != epoch:
            random = np.random.Generator(np.random.PCG64([self.seed, _ORDER, epoch]))
            self._order = order = (epoch, random.permutation(len(self.paths)))
        return order[1]


class CentredPhotos(Dataset[PhotoItem]):
    """The same photographs every time, for validation: shorter side resized to ``image_size``, middle square cut out.

    ``image_size`` None leaves them as they are. A file that can no longer be read is replaced by the next one and named
    under ``skipped``.

    Raises:
        InputError: on access, when no file at all can be read.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike], image_size: int | None, open_photo: OpenPhoto = open_image
    ) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.image_size = image_size
        self.open_photo = open_photo

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> PhotoItem:
        skipped: list[str] = []
        for path in self.paths[index:] + self.paths[:index]:
            try:
                picture = self.open_photo(path, draft_size=self.image_size)
            except InputError as error:
                reason = error
                skipped.append(path)
                continue
            if self.image_size is not None:
                picture = _cut_square(picture, self.image_size, self.image_size, 0.5, 0.5)
            return {"image": to_tensor(picture), "skipped": skipped}
        raise InputError(f"none of the {len(self.paths)} held-out photographs can be read; the last one: {reason}")


class PhotoSampler(DistributedSampler):
    """Running numbers from ``start`` up to ``stop``, dealt out to the processes of a run in turn.

    Step s of a run with batches of b in w processes takes the numbers s*b*w to (s+1)*b*w, so a run is taken up again
    at step s with ``start = s*b*w``. ``len`` is ``length``, by default counted from 0 and not from ``start``: Lightning
    compares it with the number of batches since the beginning of the run. Every process gets equally many; a remainder
    is left out.

    It is a DistributedSampler so that Lightning leaves it as it is instead of dividing its numbers once more.
    """

    def __init__(self, start: int, stop: int, rank: int = 0, world_size: int = 1, length: int | None = None) -> None:
        if not 0 <= start <= stop or not 0 <= rank < world_size:
            raise InputError(f"no items from {start} to {stop} for process {rank} of {world_size}")
        super().__init__(range(stop), num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.start, self.stop, self.rank, self.world_size = start, stop, rank, world_size
        self.length = stop // world_size if length is None else length

    def __iter__(self) -> Iterator[int]:
        even = self.start + (self.stop - self.start) // self.world_size * self.world_size
        return iter(range(self.start + self.rank, even, self.world_size))

    def __len__(self) -> int:
        return self.length


def collate(items: Sequence[PhotoItem]) -> PhotoBatch:
    """Stack items of equal size into a batch; the skipped paths of all of them are kept."""
    return {
        "images": torch.stack([item["image"] for item in items]),
        "skipped": [path for item in items for path in item["skipped"]],
    }


def _cut(picture: Image.Image, side: int, across: float, down: float) -> Image.Image:
    """A square as it is in the picture, which is enlarged where it is smaller; see :func:`_cut_square`."""
    width, height = picture.size
    if min(width, height) < side:
        return _cut_square(picture, side, side, across, down)
    left, top = math.floor(across * (width - side + 1)), math.floor(down * (height - side + 1))
    return picture.crop((left, top, left + side, top + side))


def _cut_square(picture: Image.Image, size: int, short: float, across: float, down: float) -> Image.Image:
    """Resize the shorter side to ``short`` and cut a square, in one go: only what is kept is resampled.

    Args:
        picture: RGB.
        size: side of the square, in pixels.
        short: length of the resized shorter side, at least ``size``; a picture with a smaller one is enlarged no
            further than needed.
        across: where to cut, from 0 (left) to 1 (right).
        down: likewise, from top to bottom.
    """
    width, height = picture.size
    shortest = min(width, height)
    side = min(shortest, shortest * size / min(short, max(shortest, size)))  # of the square, in pixels of the source
    left, top = across * (width - side), down * (height - side)
    # The sum may pass the border by the last bit of a float, which Pillow refuses.
    box = (left, top, min(left + side, width), min(top + side, height))
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)
