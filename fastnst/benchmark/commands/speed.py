"""Seconds per picture of a network and of the optimisation (Johnson et al. 2016, table 1), all on one device."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastnst.benchmark.commands.objective import objective_of, square_photo
from fastnst.benchmark.instruments.peers import ExamplesNetwork, compare_with_pastiche, require_pastiche
from fastnst.benchmark.instruments.timing import interleaved, wait
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.data.sources import sample_photos
from fastnst.images.saving import save_image
from fastnst.losses import PerceptualLoss
from fastnst.models.model_file import find_model, load_model
from fastnst.optimization import optimize_picture
from fastnst.styles import picture_path
from fastnst.stylization import Stylizer

ITERATIONS = (100, 300, 500)

PUBLISHED = {
    256: {"network": 0.015, 100: 3.17, 300: 9.52, 500: 15.86},
    512: {"network": 0.05, 100: 10.97, 300: 32.91, 500: 54.85},
    1024: {"network": 0.21, 100: 42.89, 300: 128.66, 500: 214.44},
}
"""Seconds in table 1 of Johnson et al. 2016, on a GTX Titan X."""


def seconds_per_iteration(loss: PerceptualLoss, content: Tensor, iterations: int = 5) -> float:
    """Median seconds between L-BFGS iterations on a picture (3, H, W); the first two, and the last without a step, are
    left out."""
    device = content.device
    times: list[float] = []

    def note(*_: object) -> None:
        wait(device)
        times.append(time.perf_counter())

    optimize_picture(loss, content, content, iterations + 3, stall_tolerance=0, callback=note)
    return statistics.median(after - before for before, after in pairwise(times[2:-1]))


def speed_row(
    painter: Callable[[Tensor], Tensor],
    peer: Callable[[Tensor], Tensor],
    loss: PerceptualLoss,
    size: int,
    device: torch.device,
    repeats: int,
) -> dict[str, Any]:
    """One line of the table. The seconds of N iterations are N times those of one, which do not depend on the picture.

    L-BFGS's own arithmetic grows until its memory of 100 steps is full; VGG takes hundreds of times as long.

    Args:
        painter: our network as it is run for users, (1, 3, H, W) to the same.
        peer: likewise; the two take turns.
    """
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        passes = {"network": lambda: painter(picture), "examples": lambda: peer(picture)}
        forward = {name: timing.median for name, timing in interleaved(passes, device, repeats).items()}
    iteration = seconds_per_iteration(loss, picture[0], repeats)
    row: dict[str, Any] = {"size": size, "iteration_seconds": iteration}
    row |= {f"{name}_seconds": seconds for name, seconds in forward.items()}
    for count in ITERATIONS:
        row |= {f"seconds_{count}": count * iteration, f"ratio_{count}": count * iteration / forward["network"]}
    return row


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py speed``: print the table; the figures, and a plot of seconds against size."""
    if options.against == "pastiche":
        require_pastiche()
    model = load_model(find_model(options.model))
    loss = objective_of(model.card, options.style, device)
    stylizer, peer = Stylizer(model, device), ExamplesNetwork().eval().to(device)
    painter = stylizer.engines[0] or stylizer.network
    rows, cells = [], []
    for size in options.sizes:
        row = speed_row(painter, peer, loss, size, device, options.repeats)
        rows.append(row)
        ratios = [f"{row[f'seconds_{count}']:.1f} ({row[f'ratio_{count}']:.0f}x)" for count in ITERATIONS]
        cells.append([str(size), f"{row['network_seconds']:.4f}", f"{row['examples_seconds']:.4f}", *ratios])
        if (paper := PUBLISHED.get(size)) is not None:
            ratios = [f"{paper[n]:.1f} ({paper[n] / paper['network']:.0f}x)" for n in ITERATIONS]  # type: ignore[index]
            cells.append(["paper", f"{paper['network']:.4f}", "", *ratios])
    heads = ["size", "network", "pytorch/examples", *(f"{count} iterations" for count in ITERATIONS)]
    print(f"Seconds for one picture on {device} ({torch.get_num_threads()} threads); paper: table 1, GTX Titan X.")
    print(table([heads, *cells]))
    answer: dict[str, Any] = {
        "device": str(device),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    if options.against == "pastiche":
        answer["pastiche"] = against_pastiche(options)
    lines = [Line(f"{n} iterations", options.sizes, [row[f"seconds_{n}"] for row in rows]) for n in ITERATIONS]
    lines.append(Line("network", options.sizes, [row["network_seconds"] for row in rows]))
    return answer, plot(f"Seconds for one picture on {device}", "pixels a side", lines, log_x=True)


def against_pastiche(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Both programs on one sample photograph at every size; prints a table of its own."""
    rows, cells = [], []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("content.png", "style.png")]
            for file, source in zip(files, (sample_photos()[0], picture_path("mosaic")), strict=True):
                save_image(square_photo(source, size), file)
            row = compare_with_pastiche(files[0], files[1], size, options.iterations)
        rows.append(row)
        for name in ("fastnst", "pastiche"):
            cells.append([str(size), name, f"{row[f'{name}_seconds']:.3f}", f"{row[f'{name}_objective']:.4g}"])
    print(f"\nVGG19, pastiche's layers and weights, {options.iterations} iterations of L-BFGS from the content, CPU:")
    print(table([["size", "program", "seconds/iteration", "objective"], *cells]))
    return rows
