"""How many L-BFGS iterations one pass of a network is worth (Johnson et al. 2016, section 4.1 and figure 5)."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.instruments.lbfgs_curves import Curves, curve_key
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.images.reading import read_image, read_picture
from fastnst.images.resizing import resize_short_side
from fastnst.losses import Objective, PerceptualLoss
from fastnst.losses.from_settings import build_loss_network, build_objective
from fastnst.losses.perceptual import current_arguments
from fastnst.models.model_file import Model, find_model, load_model
from fastnst.optimization import optimize_picture
from fastnst.optimization.starts import starting_picture
from fastnst.styles import NAMES, picture_path
from fastnst.stylization import Stylizer

PUBLISHED = "Johnson et al. 2016, section 4.1: the result is comparable to 50 to 100 iterations at 256, 512 and 1024."
STARTS = ("noise", "content")


class Comparison(NamedTuple):
    """One model, one photograph, one size, one start.

    Attributes:
        model: its name.
        photo: its name.
        size: side of the square in pixels.
        start: what L-BFGS started from.
        network: the objective of the network's picture.
        curve: the lowest objective of L-BFGS after 0, 1, 2, ... iterations.
        iterations: after how many L-BFGS is as low as the network; infinity where it never was.
    """

    model: str
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
        card: of :class:`fastnst.models.model_file.Model`.
        style: the style picture's file; None: the shipped picture of that name, or the file that the card names.

    Raises:
        InputError: the card says too little, or the style picture is not to be found.
    """
    settings = training_settings(card)
    name, size, image = (settings["style"].get(key) for key in ("name", "size", "image"))
    if image is None:  # a shipped style, or one taken from many, which has its own name
        name = (card.get("style") or settings["style"])["name"]
    if style is None:
        style = picture_path(name) if name in NAMES else image or f"of {name}"
        if not Path(style).is_file():
            raise InputError(f"the style picture {style} that the model was trained on is not here: give --style PATH.")
    vgg = build_loss_network(settings).to(device)
    return build_objective(vgg, read_picture(style, size, "style.size"), settings["loss"])


def training_settings(card: dict[str, Any]) -> dict[str, Any]:
    """The settings of the training that a card tells of.

    Raises:
        InputError: the card says too little.
    """
    settings = card.get("settings")
    if not isinstance(settings, dict) or not {"loss", "loss_network", "weights", "pooling", "style"} <= set(settings):
        raise InputError("the model's card does not say how it was trained: give the model.ckpt of a training.")
    return settings


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
    stylizers: Mapping[str, Stylizer],
    photo: Path,
    size: int,
    iterations: int,
    starts: Sequence[str] = STARTS,
    callback: Callable[[int, Objective, Tensor], object] | None = None,
    seed: int = 0,
    curves: Curves | None = None,
) -> list[Comparison]:
    """Stylize one photograph with each network, and optimise it from each start.

    Args:
        stylizers: by the names of their models; all are measured with ``loss``.
        iterations: of L-BFGS, never ended early.
        curves: where to look for curves that are known already, and to keep new ones.
    """
    curves = Curves(None) if curves is None else curves
    content = square_photo(photo, size)
    stylized = {name: stylizer(content).to(loss.vgg.mean) for name, stylizer in stylizers.items()}
    content = content.to(loss.vgg.mean)
    with torch.no_grad():
        networks = {name: loss(picture[None], content[None]).total.item() for name, picture in stylized.items()}
    found = []
    for start in starts:
        first = starting_picture(start, content, content, seed)
        key = curve_key(loss, content, first)
        if (curve := curves.find(key, iterations)) is None:
            result = optimize_picture(loss, content, first, iterations, stall_tolerance=0, callback=callback)
            if result.stopped == "interrupted":
                raise KeyboardInterrupt
            curve = [min(result.curve[: number + 1]) for number in range(len(result.curve))]
            curves.add(key, curve)
        elif callback is not None:
            callback(iterations, None, content)  # type: ignore[arg-type]
        for name, network in networks.items():
            equal = equal_iterations(curve, network)
            found.append(Comparison(name, photo.stem, size, start, network, curve, equal))
    return found


def summary(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """For each size, start and model: how many photographs, median and spread of the iterations, median ratio.

    Medians with infinities among the values are what they are: infinity where more than half never got there.
    """
    rows = []
    groups: dict[tuple[int, str, str], list[Comparison]] = {}
    for one in comparisons:
        groups.setdefault((one.size, one.start, one.model), []).append(one)
    for (size, start, model), group in sorted(groups.items()):
        values = sorted(one.iterations for one in group)
        rows.append(
            {
                "size": size,
                "start": start,
                "model": model,
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


def same_objective(models: Mapping[str, Model]) -> None:
    """Several models are compared with one objective.

    Raises:
        InputError: their cards tell of different ones.
    """
    names = ("loss", "loss_network", "weights", "pooling", "style")
    cards = {name: dict(model.card.get("settings") or {}) for name, model in models.items()}
    for card in cards.values():  # the path of the style picture does not matter
        if isinstance(card.get("loss"), dict):  # as those of older versions are understood
            card["loss"] = {"terms": {}, **current_arguments(card["loss"])}
        card["style"] = {key: value for key, value in (card.get("style") or {}).items() if key != "image"}
    first, *others = cards
    for other in others:
        if different := [name for name in names if cards[other].get(name) != cards[first].get(name)]:
            raise InputError(
                f"--model {first} and {other} were trained on other objectives ({', '.join(different)} differ): "
                "measure them one by one."
            )


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py objective``: print the table; the figures, and a plot of the first photograph's curves."""
    photos = (sample_photos() if options.photos is None else folder_photos(options.photos))[: options.count]
    models = {name: load_model(find_model(name)) for name in options.model}
    same_objective(models)
    loss = objective_of(next(iter(models.values())).card, options.style, device)
    stems = [Path(name).stem for name in models]
    short = {name: stem if stems.count(stem) == 1 else name for name, stem in zip(models, stems, strict=True)}
    stylizers = {short[name]: Stylizer(model, device) for name, model in models.items()}
    curves = Curves(options.keep)
    found: list[Comparison] = []
    most = options.iterations
    total = len(photos) * len(options.sizes) * len(options.starts) * most
    with tqdm(desc="L-BFGS", total=total, unit="iteration", dynamic_ncols=True) as bar:

        def advance(iteration: int, objective: Objective | None, picture: Tensor) -> None:
            bar.update(most if objective is None else int(iteration > 0))

        for size in options.sizes:
            for photo in photos:
                found += compare(loss, stylizers, photo, size, most, options.starts, advance, curves=curves)
    heads = ["size", "start", "model", "photos", "equals", "spread", "network", f"L-BFGS {most}", "ratio"]
    rows = summary(found)
    cells = [
        [
            str(row["size"]),
            row["start"],
            row["model"],
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
    size, name = options.sizes[0], found[0].model
    first = [one for one in found if (one.size, one.photo) == (size, photos[0].stem)]
    lines = [
        Line(f"L-BFGS from {one.start}", list(range(1, len(one.curve))), one.curve[1:])
        for one in first
        if one.model == name
    ]
    lines += [Line(one.model, [], [one.network]) for one in first if one.start == first[0].start]
    picture = plot(f"Objective, {first[0].photo}, {size} pixels", "iterations", lines, log_x=most > 20)
    return {"summary": rows, "runs": [one._asdict() for one in found]}, picture


def number(value: float, most: int) -> str:
    """Iterations for people; infinity is more than the ``most`` that were done."""
    return f">{most}" if math.isinf(value) else f"{value:.0f}"
