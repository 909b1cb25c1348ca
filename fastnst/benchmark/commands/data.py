"""Whether photographs come as fast as a training step takes them, and what many of them cost at the start."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from tqdm import tqdm

from fastnst.benchmark.instruments.timing import interleaved
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.data.caches.cache import PhotoCache
from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.photos import OpenPhoto, PhotoDataset, collate
from fastnst.data.sharding import write_shards
from fastnst.data.shards import Shards
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.images.reading import open_image

SCALE = (1.0, 1.5)  # of the default training
CONSUMERS = {"CPU step": 1.5, "H100": 1000.0}
"""Photographs of 256 pixels per second that are consumed: two CPU cores (measured), and the goal for a large GPU."""
LINKS = 30_000  # to one file at most; ext4 allows 65,000


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Any]:
    """Print both tables; returns the figures and the plot of the start-up."""
    photos = sample_photos() if options.photos is None else folder_photos(options.photos)
    root = Path(os.path.commonpath([path.parent for path in photos]))
    with tempfile.TemporaryDirectory() as scratch:
        sources, building = sources_of(photos, root, options.size, Path(scratch))
        rates = photo_rates(sources, options.size, options.count, options.repeats)
        loaders = loader_rates(sources, options.size, options.count, options.workers)
    heads = ["source", "ms/photo", "spread", "photos/s a core", *(f"cores for {name}" for name in CONSUMERS)]
    cells = [
        [
            name,
            f"{1000 * row['cpu_seconds']:.2f}",
            f"{1000 * row['low']:.2f}-{1000 * row['high']:.2f}",
            f"{1 / row['cpu_seconds']:.0f}",
            *(f"{wanted * row['cpu_seconds']:.2g}" for wanted in CONSUMERS.values()),
        ]
        for name, row in rates.items()
    ]
    print(f"Crops of {options.size} pixels from {len(photos)} photographs; processor time of one loading process:")
    print(table([heads, *cells]))
    print(f"consumers: {', '.join(f'{name} {rate:g} photographs/s' for name, rate in CONSUMERS.items())}")
    print(f"building the cache: {1000 * building['cache'] / len(photos):.1f} ms per photograph, once")
    print("\nPhotographs per second of the whole loader, wall clock, with whatever else this machine does:")
    print(table([["source", *(f"{count} workers" for count in options.workers)], *(
        [name, *(f"{rate:.0f}" for rate in row.values())] for name, row in loaders.items()
    )]))  # fmt: skip

    starts = [start_up(photos, count) for count in options.files]
    print("\nStart-up, seconds of processor time until training may begin:")
    names = [name for name in starts[0] if name not in ("files", "opened")]
    print(table([["files", *names, "pictures opened"], *(
        [f"{row['files']:,}", *(f"{row[name]:.3f}" for name in names), str(row["opened"])] for row in starts
    )]))  # fmt: skip
    files = [row["files"] for row in starts]
    picture = plot(
        "Seconds until training may begin",
        "photographs",
        [Line(name, files, [max(row[name], 1e-4) for row in starts]) for name in names],
        log_x=True,
    )
    answer = {"size": options.size, "photographs": len(photos), "rates": rates, "building": building}
    return {**answer, "loaders": loaders, "start_up": starts, "consumers": CONSUMERS}, picture


def sources_of(
    photos: Sequence[Path], root: Path, size: int, scratch: Path
) -> tuple[dict[str, tuple[Sequence[Path], OpenPhoto]], dict[str, float]]:
    """The same photographs as files, in a cache and in shards; and the processor seconds of making the latter two."""
    begin = time.process_time()
    cache = PhotoCache(photos, root, int(size * SCALE[1]), scratch)
    cache.build()
    cached = time.process_time()
    write_shards(photos, root, scratch / "shards")
    packed = time.process_time()
    shards = Shards(scratch / "shards")

    def whole(path, *, max_pixels=0, draft_size=None) -> Image.Image:
        return open_image(path)

    return {
        "files": (photos, open_image),
        "files, no draft": (photos, whole),
        "cache": (photos, cache.open_photo),
        "shards": (shards.photos, shards.open_photo),
    }, {"cache": cached - begin, "shards": packed - cached}


def photo_rates(
    sources: dict[str, tuple[Sequence[Path], OpenPhoto]], size: int, count: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Processor seconds per photograph of one loading process, all sources in turn, and of pytorch/examples' loader."""
    spent: dict[str, list[float]] = {}

    def timed(name: str, load: Callable[[], object]) -> Callable[[], None]:
        def call() -> None:
            begin = time.process_time()
            load()
            spent.setdefault(name, []).append((time.process_time() - begin) / count)

        return call

    calls = {}
    for name, (paths, open_photo) in sources.items():
        data = PhotoDataset(paths, size, open_photo=open_photo, scale=SCALE)
        calls[name] = timed(name, lambda data=data: [data[k] for k in range(count)])  # type: ignore[misc]
    # As its neural_style.py has it, but to the shorter side: Resize, CenterCrop, ToTensor.
    theirs = transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor()])
    paths = sources["files"][0]
    calls["pytorch/examples"] = timed(
        "pytorch/examples",
        lambda: [theirs(Image.open(paths[k % len(paths)]).convert("RGB")) for k in range(count)],
    )
    interleaved(calls, torch.device("cpu"), repeats)
    rows = {}
    for name in calls:
        seconds = sorted(spent[name][1:])  # the first round warms up
        rows[name] = {"cpu_seconds": seconds[len(seconds) // 2], "low": seconds[0], "high": seconds[-1]}
    return rows


def loader_rates(
    sources: dict[str, tuple[Sequence[Path], OpenPhoto]], size: int, count: int, workers: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Photographs per second, wall clock, of loaders with so many processes, after their first two batches."""
    rows: dict[str, dict[str, float]] = {}
    for name in ("files", "cache", "shards"):
        paths, open_photo = sources[name]
        rows[name] = {}
        for number in workers:
            data = PhotoDataset(paths, size, length=count + 8, open_photo=open_photo, scale=SCALE)
            loader = DataLoader(data, 4, num_workers=number, collate_fn=collate, drop_last=True)
            batches = iter(loader)
            list(islice(batches, 2))
            begin = time.perf_counter()
            seen = sum(len(batch["images"]) for batch in batches)
            rows[name][str(number)] = seen / (time.perf_counter() - begin)
    return rows


def start_up(photos: Sequence[Path], count: int) -> dict[str, Any]:
    """Processor seconds for ``count`` files (links to a few): listing and holding out; besides, what a cache adds."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        small = []
        for number in range(-(-count // LINKS)):
            path = root / f"{number}.jpg"
            open_image(photos[number % len(photos)], draft_size=64).resize((64, 64)).save(path)
            small.append(path)
        for number in tqdm(range(len(small), count), desc=f"{count} links", leave=False, delay=2):
            folder = root / f"{number // 10_000}"
            if number % 10_000 == 0 or number == len(small):
                folder.mkdir(exist_ok=True)
            os.link(small[number % len(small)], folder / f"{number}.jpg")
        data = PhotoDataModule("folder", name, steps=1, workers=0)
        opened = 0

        def counted(path, **options) -> Image.Image:
            nonlocal opened
            opened += 1
            return open_image(path, **options)

        data.open_photo = counted
        begin = time.process_time()
        data.setup()
        listed = time.process_time()
        next(iter(data.train_dataloader()))
        first = time.process_time()
        PhotoCache(data.training_paths, root, 384, root / "cache")
        checked = time.process_time()
    return {
        "files": count,
        "list and hold out": listed - begin,
        "first batch": first - listed,
        "check of a cache": checked - first,
        "opened": opened - 4,  # those of the first batch
    }
