"""How many L-BFGS iterations one pass of a network is worth (Johnson et al. 2016, section 4.1 and figure 5)."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.plots import Line, plot
from fastnst.benchmark.tables import table
from fastnst.checkpoints import find_model, load_model
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.images.files import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.losses import Objective, PerceptualLoss
from fastnst.optimization import optimize_picture
from fastnst.optimization.objective import build_objective, build_vgg, read_picture
from fastnst.optimization.starts import starting_picture
from fastnst.styles import NAMES, picture_path
from fastnst.stylization import Stylizer

PUBLISHED = "Johnson et al. 2016, section 4.1: the result is comparable to 50 to 100 iterations at 256, 512 and 1024."
STARTS = ("noise", "content")


class Comparison(NamedTuple):
    """One photograph, one size, one start.

    Attributes:
        photo: its name.
        size: side of the square in pixels.
        start: what L-BFGS started from.
        network: the objective of the network's picture.
        curve: the lowest objective of L-BFGS after 0, 1, 2, ... iterations.
        iterations: after how many L-BFGS is as low as the network; infinity where it never was.
    """

    photo: str
    size: int
    start: str
    network: float
    curve: list[float]
    iterations: float

    @property
    def ratio(self) -> float:
        """The network's objective over the lowest that L-BFGS reached."""
        return self.network / self.curve[-1] if self.curve[-1] > 0 else math.inf


def objective_of(card: dict[str, Any], style: str | Path | None, device: torch.device) -> PerceptualLoss:
    """The training objective of a model, from its card.

    Args:
        card: of :class:`fastnst.checkpoints.Model`.
        style: the style picture's file; None: the shipped picture of that name, or the file that the card names.

    Raises:
        InputError: the card says too little, or the style picture is not to be found.
    """
    settings = card.get("settings")
    if not isinstance(settings, dict) or not {"loss", "loss_network", "weights", "pooling", "style"} <= set(settings):
        raise InputError("the model's card does not say how it was trained: give a model.ckpt of scripts/train.py.")
    name, size = settings["style"]["name"], settings["style"]["size"]
    if style is None:
        style = picture_path(name) if name in NAMES else settings["style"]["image"]
        if not Path(style).is_file():
            raise InputError(f"the style picture {style} that the model was trained on is not here: give --style PATH.")
    vgg = build_vgg(settings).to(device)
    return build_objective(vgg, read_picture(style, size, "style.size"), settings["loss"])


def square_photo(path: Path, size: int) -> Tensor:
    """The middle of a photograph, (3, size, size) in [0, 1]."""
    photo = resize_short_side(read_image(path, draft_size=size), size)
    top, left = (photo.shape[1] - size) // 2, (photo.shape[2] - size) // 2
    return photo[:, top : top + size, left : left + size]


def equal_iterations(curve: Sequence[float], value: float) -> float:
    """After how many iterations a curve is down at ``value``, in between by a straight line; infinity if it never is.

    Args:
        curve: objective after 0, 1, 2, ... iterations; a rise in between does not count, one keeps the best.
    """
    for iteration, present in enumerate(curve):
        if present <= value:
            if iteration == 0:
                return 0.0
            before = min(curve[:iteration])
            return iteration - 1 + (before - value) / (before - present)
    return math.inf


def compare(
    loss: PerceptualLoss,
    stylizer: Stylizer,
    style: Tensor,
    photo: Path,
    size: int,
    iterations: int,
    starts: Sequence[str] = STARTS,
    callback: Callable[[int, Objective, Tensor], object] | None = None,
    seed: int = 0,
) -> list[Comparison]:
    """Stylize one photograph with the network, then optimise it from each start.

    Args:
        style: (3, h, w); only ``"style_statistics"`` looks at it.
        iterations: of L-BFGS, never ended early.
    """
    content = square_photo(photo, size)
    stylized = stylizer(content).to(loss.vgg.mean)
    content = content.to(loss.vgg.mean)
    with torch.no_grad():
        network = loss(stylized[None], content[None]).total.item()
    found = []
    for start in starts:
        first = starting_picture(start, content, style, seed)
        result = optimize_picture(loss, content, first, iterations, stall_tolerance=0, callback=callback)
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        curve = [min(result.curve[: number + 1]) for number in range(len(result.curve))]
        found.append(Comparison(photo.stem, size, start, network, curve, equal_iterations(curve, network)))
    return found


def summary(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """For each size and start: how many photographs, median and spread of the iterations, median ratio.

    Medians with infinities among the values are what they are: infinity where more than half never got there.
    """
    rows = []
    for size, start in sorted({(one.size, one.start) for one in comparisons}):
        group = [one for one in comparisons if (one.size, one.start) == (size, start)]
        values = sorted(one.iterations for one in group)
        rows.append(
            {
                "size": size,
                "start": start,
                "photographs": len(group),
                "iterations_median": statistics.median(values),
                "iterations_lowest": values[0],
                "iterations_highest": values[-1],
                "of": len(group[0].curve) - 1,
                "objective_network": statistics.median(one.network for one in group),
                "objective_lbfgs": statistics.median(one.curve[-1] for one in group),
                "ratio_median": statistics.median(one.ratio for one in group),
            }
        )
    return rows


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py objective``: print the table; the figures, and a plot of the first photograph's curves."""
    photos = (sample_photos() if options.photos is None else folder_photos(options.photos))[: options.count]
    model = load_model(find_model(options.model))
    loss = objective_of(model.card, options.style, device)
    stylizer = Stylizer(model, device)
    found: list[Comparison] = []
    total = len(photos) * len(options.sizes) * len(STARTS) * options.iterations
    with tqdm(desc="L-BFGS", total=total, unit="iteration", dynamic_ncols=True) as bar:
        for size in options.sizes:
            for photo in photos:
                found += compare(
                    loss,
                    stylizer,
                    loss.vgg.mean.new_zeros(3, 1, 1),
                    photo,
                    size,
                    options.iterations,
                    callback=lambda iteration, *_: bar.update(int(iteration > 0)),
                )
    most = options.iterations
    heads = ["size", "start", "photos", "equals", "spread", "network", f"L-BFGS {most}", "ratio"]
    rows = summary(found)
    cells = [
        [
            str(row["size"]),
            row["start"],
            str(row["photographs"]),
            number(row["iterations_median"], most),
            f"{number(row['iterations_lowest'], most)}-{number(row['iterations_highest'], most)}",
            f"{row['objective_network']:.4g}",
            f"{row['objective_lbfgs']:.4g}",
            f"{row['ratio_median']:.2f}",
        ]
        for row in rows
    ]
    print(table([heads, *cells]))
    print(f"equals: iterations of L-BFGS after which it is as low as the network, median. {PUBLISHED}")
    size = options.sizes[0]
    first = [one for one in found if one.size == size and one.photo == photos[0].stem]
    lines = [Line(f"L-BFGS from {one.start}", list(range(1, len(one.curve))), one.curve[1:]) for one in first]
    lines.append(Line("network", [], [first[0].network]))
    picture = plot(f"Objective, {first[0].photo}, {size} pixels", "iterations", lines, log_x=most > 20)
    return {"model": str(options.model), "summary": rows, "runs": [one._asdict() for one in found]}, picture


def number(value: float, most: int) -> str:
    """Iterations for people; infinity is more than the ``most`` that were done."""
    return f">{most}" if math.isinf(value) else f"{value:.0f}"
