"""What Ray costs on one machine against stylize.py, what more workers bring, and memory over many files."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from fastnst.benchmark.instruments.timing import interleaved
from fastnst.benchmark.instruments.worker import resident
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.cluster.inputs import list_pictures
from fastnst.cluster.manifest import SCHEMA
from fastnst.cluster.paint_many import painted, tasks_of
from fastnst.cluster.painting_actor import Painting
from fastnst.cluster.session import session
from fastnst.cluster.tree import Tree
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.images.reading import read_picture
from fastnst.images.saving import save_image
from fastnst.places import python_path
from fastnst.stylization import Controls
from fastnst.stylization.files.one_file import Handling

LISTED_AT_ONCE = 250
"""Names in a batch of those that are only listed."""


class Idle:
    """A worker that paints nothing: what is left is Ray's and the driver's."""

    def __init__(self, painting: Painting) -> None:
        pass

    def __call__(self, batch: pa.Table) -> pa.Table:
        rows = [{**dict.fromkeys(SCHEMA.names), "source": task["source"]} for task in batch.to_pylist()]
        return pa.Table.from_pylist(rows, SCHEMA)


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Any]:
    """Print both tables; returns the figures and the plot of the memory."""
    ways = {
        "stylize.py": [],
        **{f"{n} x {cores} core{'s' if cores > 1 else ''}": [n, cores] for n, cores in options.workers},
    }
    speeds: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        photos = folder_photos(options.photos) if options.photos is not None else sample_photos()
        for name, count in (("many", options.count), ("one", 1)):
            (scratch / name).mkdir()
            for number in range(count):
                save_image(
                    read_picture(photos[number % len(photos)], options.size, "--size"), scratch / name / f"{number}.jpg"
                )
        for model in options.model:
            calls = {
                f"{way}, {amount}": command(scratch, amount, model, device.type, how)
                for way, how in ways.items()
                for amount in ("one", "many")
            }
            timings = interleaved(calls, torch.device("cpu"), options.repeats, warm_up=0)
            speeds[model] = {
                way: {"start": timings[f"{way}, one"].median, "seconds": timings[f"{way}, many"].median} for way in ways
            }
        print(f"{options.count} photographs of {options.size} pixels, seconds; the start is a run with one of them:")
        heads = ["model", "way", "start", "all", "to stylize.py", "without start", "pictures/s"]
        cells = []
        for model, rows in speeds.items():
            base = rows["stylize.py"]
            for way, row in rows.items():
                work, base_work = (each["seconds"] - each["start"] for each in (row, base))
                row |= {
                    "rate": (options.count - 1) / work,
                    "to_stylize": row["seconds"] / base["seconds"] - 1, "without_start": work / base_work - 1,
                }  # fmt: skip
                cells.append([
                    model, way, f"{row['start']:.1f}", f"{row['seconds']:.1f}",
                    f"{row['to_stylize']:+.0%}", f"{row['without_start']:+.0%}", f"{row['rate']:.1f}",
                ])  # fmt: skip
        print(table([heads, *cells]))

        memory = [listed(count, scratch / f"listed{count}") for count in options.files]
    print("\nMemory in MB and seconds where nothing is painted:")
    names = [name for name in memory[0] if name != "files"]
    print(table([["files", *names], *(
        [f"{row['files']:,}", *(f"{row[name]:.1f}" for name in names)] for row in memory
    )]))  # fmt: skip
    lines = [
        Line(name, [row["files"] for row in memory], [max(row[name], 0.1) for row in memory]) for name in names[2:]
    ]
    picture = plot("Memory in MB", "listed files", lines, log_x=True)
    return {"size": options.size, "count": options.count, "speeds": speeds, "memory": memory}, picture


def command(scratch: Path, amount: str, model: str, device: str, how: list[int]) -> Callable[[], None]:
    """A run of one of the two commands into an empty folder."""
    output = scratch / "out"
    line = [sys.executable, "-m", "fastnst", "stylize_many" if how else "stylize"]
    line += ["--model", model, "--device", device]
    line += ["--input", str(scratch / amount), "--output", str(output)]
    line += ["--workers", str(how[0]), "--cores", str(how[1])] if how else []

    def call() -> None:
        subprocess.run(
            line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": python_path()},
        )  # fmt: skip
        shutil.rmtree(output)

    return call


def listed(count: int, folder: Path) -> dict[str, float]:
    """So many files through Ray without painting: seconds, and what memory grew by at most."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:07}.png").touch()
    painting = Painting({"m": []}, Controls(), Handling(), None, "cpu", None, "auto", None, "files", Tree(folder))
    before = resident() or 0
    begin = time.perf_counter()
    tasks = list(tasks_of(list_pictures(str(folder)), ["m"], False))
    listing, seen = time.perf_counter() - begin, [resident() or 0]
    with session() as ray:
        store = shutil.disk_usage("/dev/shm").used if Path("/dev/shm").exists() else 0
        stored, rows = 0, 0
        begin = time.perf_counter()
        for some in painted(ray, tasks, LISTED_AT_ONCE, painting, {"num_cpus": 1}, None, 1, Idle):
            rows += len(some)
            seen.append(resident() or 0)
            stored = max(stored, shutil.disk_usage("/dev/shm").used - store if store else 0)
        passing = time.perf_counter() - begin
    assert rows == count
    half = seen[len(seen) // 2]
    return {
        "files": count, "listing s": listing, "passing s": passing, "list MB": (seen[0] - before) / 1e6,
        "driver MB at half": (half - before) / 1e6, "driver MB at the end": (seen[-1] - before) / 1e6,
        "store MB": stored / 1e6,
    }  # fmt: skip
