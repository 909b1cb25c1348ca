"""Decoded photographs that stay on the device that trains, and crops that are cut and resampled there.

A loading process then only says where to cut: a :class:`Crop`, made by the same lines of :class:`PhotoDataset` that cut
Pillow's pictures. What comes out is Pillow's ``resize`` (Resample.c, release 10), number for number: its weights are
computed in double precision, rounded to 22 bits, and applied to whole numbers, along the rows and then the columns.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastnst.data.photos import OpenPhoto
from fastnst.errors import InputError
from fastnst.free_memory import free_bytes
from fastnst.images.reading import MAX_PIXELS

BITS = 22
"""Of the fraction of a weight: 32 less 8 of a value, less 2 so that the sum of them may pass the range for a while."""
SHARE = 0.5
"""Of the device's free memory; the rest is for the network, the loss network and their maps."""
SAMPLE = 32  # photographs whose sizes tell how large all of them will be


class Crop(NamedTuple):
    """A square that is to be cut out of a photograph of ``size`` (width, height); stands in for Pillow's picture."""

    name: str
    size: tuple[int, int]
    side: int = 0
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    mirrored: bool = False

    def resize(self, size: tuple[int, int], resample: int, box: tuple[float, float, float, float]) -> Crop:
        assert resample == Image.Resampling.BICUBIC and size[0] == size[1]
        return self._replace(side=size[0], box=box)

    def transpose(self, method: int) -> Crop:
        assert method == Image.Transpose.FLIP_LEFT_RIGHT
        return self._replace(mirrored=not self.mirrored)


class KnownSizes:
    """What a loading process needs to know of the photographs: their sizes, or why they cannot be read."""

    def __init__(self, found: dict[str, tuple[int, int] | str]) -> None:
        self.found = found

    def open_photo(self, path: str | os.PathLike, **_: Any) -> Any:
        """As :func:`~fastnst.images.reading.open_image`, but a :class:`Crop` of nothing yet."""
        known = self.found[os.fspath(path)]
        if isinstance(known, str):
            raise InputError(known)
        return Crop(os.fspath(path), known)


class DeviceCache:
    """Photographs (3, H, W) of bytes on a device.

    Args:
        paths: of the photographs.
        open_photo: reads one.
        device: that keeps them.
        draft_size: of ``open_photo``: the shorter side of the largest crops.
        max_pixels: larger files count as unreadable.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike],
        open_photo: OpenPhoto,
        device: torch.device,
        draft_size: int,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.device = device
        self._open: Callable[[str], Image.Image] = lambda path: open_photo(
            path, max_pixels=max_pixels, draft_size=draft_size
        )
        self.photos: dict[str, Tensor] = {}
        self.sizes = KnownSizes({})

    def bytes_needed(self) -> int:
        """About, by the sizes of some of them."""
        sample = self.paths[:: max(1, len(self.paths) // SAMPLE)]
        pixels = []
        for path in sample:
            try:
                pixels.append(math.prod(self._open(path).size))
            except InputError:
                pixels.append(0)
        return 3 * sum(pixels) * len(self.paths) // len(sample)

    def fill(self, progress: Callable[[int], object] = lambda done: None) -> None:
        """Decode all photographs, in threads, and send them.

        Args:
            progress: called with how many more are there.

        Raises:
            InputError: they do not fit.
        """
        needed, free = self.bytes_needed(), free_bytes(self.device)
        if free is not None and needed > SHARE * free:
            raise InputError(
                f"data.device_cache=true: {len(self.paths):,} photographs take about {needed / 1e9:.2f} GB, and of the "
                f"{free / 1e9:.2f} GB that are free on {self.device} at most {SHARE:.0%} are for them: make them "
                "smaller with data.cache=true, lower data.scale or data.image_size, or leave data.device_cache false."
            )
        waiting = threading.Semaphore(4 * (os.cpu_count() or 1))  # so many may be decoded and not yet sent

        def decode(path: str) -> Image.Image | str:
            waiting.acquire()
            try:
                picture = self._open(path)
                picture.load()
                return picture
            except InputError as error:
                return str(error)

        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            for path, picture in zip(self.paths, threads.map(decode, self.paths), strict=True):
                if isinstance(picture, str):
                    self.sizes.found[path] = picture
                else:
                    whole = torch.from_numpy(np.array(picture.convert("RGB")).transpose(2, 0, 1).copy())
                    self.photos[path] = whole.to(self.device)
                    self.sizes.found[path] = picture.size
                waiting.release()
                progress(1)

    def batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What :func:`gather` made, as the batch ``{"images": (N, 3, S, S) in [0, 1], "skipped": [path, ...]}``."""
        pictures, recipe = [], batch["recipe"]
        for crop, (across, down) in zip(batch["crops"], recipe, strict=True):
            photo = self.photos[crop.name]
            top, bottom = max(0, math.floor(crop.box[1]) - recipe.shape[-1]), math.ceil(crop.box[3]) + recipe.shape[-1]
            rows = _resample(photo[:, top:bottom], across)
            moved = torch.cat([down[:, :1] - top, down[:, 1:]], dim=1)
            picture = _resample(rows.transpose(1, 2), moved).transpose(1, 2)
            pictures.append(picture.flip(2) if crop.mirrored else picture)
        return {"images": torch.stack(pictures).float().div_(255), "skipped": batch["skipped"]}


def as_it_is(crop: Crop) -> Crop:
    """The crops are finished on the device."""
    return crop


def gather(items: Sequence[Any]) -> dict[str, Any]:
    """Crops in a batch: what is sent to the device are some kilobytes of weights."""
    crops = [item["image"] for item in items]
    return {"crops": crops, "recipe": recipes(crops), "skipped": [path for item in items for path in item["skipped"]]}


def recipes(crops: Sequence[Crop]) -> Tensor:
    """Of each pixel across and down, the first source pixel and T weights: (N, 2, S, 1 + T)."""
    axes = [
        [_weights(crop.size[axis], crop.box[axis], crop.box[axis + 2], crop.side) for axis in (0, 1)] for crop in crops
    ]
    taps = max(each.shape[1] for pair in axes for each in pair)
    padded = [[np.pad(each, ((0, 0), (0, taps - each.shape[1]))) for each in pair] for pair in axes]
    return torch.from_numpy(np.array(padded, np.int32))


def _weights(length: int, begin: float, end: float, side: int) -> np.ndarray:
    """Of one axis, (side, 1 + T): Pillow's ``precompute_coeffs`` and ``normalize_coeffs_8bpc``, bicubic."""
    left, right = np.float32(begin), np.float32(end)  # as Pillow stores a box
    scale = float(right - left) / side
    stretch = max(1.0, scale)
    support = 2.0 * stretch
    centres = float(left) + (np.arange(side) + 0.5) * scale
    first = np.maximum(0, np.trunc(centres - support + 0.5)).astype(np.int64)
    count = np.minimum(length, np.trunc(centres + support + 0.5)).astype(np.int64) - first
    taps = np.arange(int(count.max()))
    distance = np.abs((taps + first[:, None] - centres[:, None] + 0.5) * (1.0 / stretch))
    a = -0.5
    near = ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * a
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0)) * (taps < count[:, None])
    total = np.zeros(side)
    for tap in taps:  # in Pillow's order
        total += weights[:, tap]
    weights /= total[:, None]
    fixed = np.trunc(weights * (1 << BITS) + np.where(weights < 0, -0.5, 0.5)).astype(np.int32)
    return np.concatenate([first[:, None].astype(np.int32), fixed], axis=1)


def _resample(picture: Tensor, recipe: Tensor) -> Tensor:
    """The last axis of (3, H, W) as ``recipe`` (S, 1 + T) has it: bytes (3, H, S)."""
    places = recipe[:, :1] + torch.arange(recipe.shape[1] - 1, device=recipe.device, dtype=recipe.dtype)
    values = picture[:, :, places.clamp(max=picture.shape[-1] - 1)].int()  # what is behind the end has no weight
    summed = (values * recipe[:, 1:]).sum(-1, dtype=torch.int32) + (1 << (BITS - 1))
    return (summed >> BITS).clamp(0, 255).to(torch.uint8)
