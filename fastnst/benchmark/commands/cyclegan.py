"""A CycleGAN for a painter against a feed-forward network for one of the painter's pictures, at equal time."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.commands.paintings import digest
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.benchmark.unpaired.cycle_gan import CycleGan
from fastnst.benchmark.unpaired.timed_training import LOAD, Account, crops, train
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.errors import InputError, require_whole
from fastnst.features.fidelity import Description, FidelityMeter
from fastnst.images.grids import labelled_grid
from fastnst.images.reading import read_image, read_picture
from fastnst.images.resizing import resize_short_side
from fastnst.images.saving import save_image
from fastnst.images.tensors import to_tensor
from fastnst.models.model_file import Model, load_model
from fastnst.places import python_path
from fastnst.styles import paint, picture_path
from fastnst.stylization import Stylizer
from fastnst.stylization.stylizer import pad_by_reflection
from fastnst.writing import require_writable, written_whole

HELD_OUT_PAINTINGS = 8
"""Pictures of the painter that nobody trains on."""
SHOWN = 5
"""Rows of the sheet."""
SMALLEST_CROP = 64
"""In pixels; from smaller ones hardly a whole patch of a discriminator's 70 pixels is left."""
OURS, CYCLE_GAN, PHOTOGRAPH, PAINTER = "fastnst", "CycleGAN", "the photographs", "the painter, unseen"


def painted(style: str, seeds: Sequence[int], size: int, keep: Path) -> list[Path]:
    """The painter's pictures of these seeds, painted where they are not there yet."""
    paths = [keep / f"{style}_{size}_{seed:04}.png" for seed in seeds]
    missing = [(path, seed) for path, seed in zip(paths, seeds, strict=True) if not path.exists()]
    bar = tqdm(missing, desc=f"Painting {style}", unit="picture", dynamic_ncols=True, disable=not missing)
    for path, seed in bar:
        save_image(to_tensor(paint(style, size, seed)), path)
    return paths


def train_ours(options: argparse.Namespace, device: torch.device) -> tuple[Model, float]:
    """``fastnst train`` on the shipped picture, at the same size; begun, gone on with, or found finished.

    Returns:
        The model and its seconds of work as :func:`~fastnst.benchmark.unpaired.timed_training.clock` has them; of the
        processor those of its whole process, start included.

    Raises:
        InputError: it failed, and said why.
    """
    command = [
        sys.executable, "-m", "fastnst", "train", f"style={options.style}", f"style.size={options.size}",
        f"experiment={options.experiment}", "initial=null", "final_photos=0", *options.override,
        *([] if options.photos is None else ["data=folder", f"data.root={options.photos}"]),
    ]  # fmt: skip
    folder = options.keep / f"fastnst_{digest(command[3:])[:8]}"
    finished, told = folder.with_suffix(".ckpt"), folder.with_suffix(".json")
    spent = json.loads(told.read_text(encoding="utf-8"))["seconds"] if told.exists() else 0.0
    if not finished.exists():
        before = sum(os.times()[2:4])  # of the processor, by processes that this one has started
        process = Popen(
            [*command, f"output_dir={folder}", "ckpt_path=auto"], env={**os.environ, "PYTHONPATH": python_path()}
        )
        try:
            process.wait()
        except KeyboardInterrupt:  # which it has been told, too: it finishes its step and saves
            process.wait()
            raise
        finally:
            spent += sum(os.times()[2:4]) - before
            with written_whole(told) as beside:
                beside.write_text(json.dumps({"seconds": spent}), encoding="utf-8")
        if process.returncode != 0:
            raise InputError(f"{' '.join(command[2:])} ended with code {process.returncode}.")
        shutil.copyfile(folder / "model.ckpt", finished)
    model = load_model(finished)
    return model, spent if device.type == "cpu" else model.card["seconds"]


def train_cycle_gan(
    options: argparse.Namespace, photos: Sequence[Path], paintings: Sequence[Path], seconds: float, device: torch.device
) -> tuple[CycleGan, Account]:
    torch.manual_seed(0)
    gan = CycleGan(options.width, options.blocks).to(device)
    settings = [options.style, options.size, options.crop, options.width, options.blocks, seconds]
    kept = options.keep / f"cyclegan_{digest(settings, *map(str, photos), len(paintings))[:8]}.ckpt"
    of_photos, of_paintings = (crops(one, options.crop, options.size, seed=0) for one in (photos, paintings))
    return gan, train(gan, of_photos, of_paintings, seconds, kept)


def by_cycle_gan(gan: CycleGan) -> Callable[[Tensor], Tensor]:
    """Paints (3, H, W) of any size."""

    @torch.inference_mode()
    def one(photo: Tensor) -> Tensor:
        height, width = photo.shape[-2:]
        padded = pad_by_reflection(photo, height + -height % 4, width + -width % 4)
        return gan.paint(padded[None].to(next(gan.parameters())))[0, :, :height, :width].cpu()

    return one


def weights_of(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class Comparison:
    """What each keeps of photographs and of the painter, as ``benchmark.py paintings`` measures it.

    Args:
        teacher: the painting that the feed-forward network has learnt.
        others: pictures of the painter that nobody has learnt from.
        photos: (3, H, W) each, to paint.
    """

    def __init__(
        self, teacher: Tensor, others: Sequence[Tensor], photos: Sequence[Tensor], device: torch.device
    ) -> None:
        self.meter = FidelityMeter(device)
        self.photos = [(photo, self.meter.describe(photo)) for photo in photos]
        self.teacher = self.meter.describe(teacher)
        self.others = [self.meter.describe(other) for other in others]

    def row(self, name: str, make: Callable[[Tensor], Tensor] | None) -> dict[str, Any]:
        """Means over what is made of the photographs; None: over the photographs themselves."""
        figures = []
        for photo, own in tqdm(self.photos, desc=name, unit="picture", dynamic_ncols=True, leave=False):
            result = own if make is None else self.meter.describe(make(photo))
            of_teacher = self.meter.compare(result, own, self.teacher)
            figures.append((of_teacher.content, of_teacher.style, self._of_painter(own, result, self.others)))
        content, style, of_painter = map(statistics.fmean, zip(*figures, strict=True))
        return {"name": name, "content": content, "style": style, "style_of_painter": of_painter}

    def painter(self) -> dict[str, Any]:
        """How far the painter's pictures are from each other: no painting of a photograph should come nearer."""
        apart = [self.meter.compare(one, one, self.teacher).style for one in self.others]
        among = [
            self._of_painter(one, one, [other for other in self.others if other is not one]) for one in self.others
        ]
        return {
            "name": PAINTER, "content": None, "style": statistics.fmean(apart),
            "style_of_painter": statistics.fmean(among),
        }  # fmt: skip

    def _of_painter(self, own: Description, result: Description, others: Sequence[Description]) -> float:
        return statistics.fmean(self.meter.compare(result, own, other).style for other in others)


def check(options: argparse.Namespace) -> None:
    require_whole("--paintings", options.paintings, 1)
    require_whole("--crop", options.crop, SMALLEST_CROP)
    require_whole("--blocks", options.blocks, 1)
    if options.crop > options.size:
        raise InputError(f"--crop {options.crop}: expected at most --size, {options.size}.")
    if options.minutes is not None and not options.minutes > 0:
        raise InputError(f"--minutes {options.minutes}: expected more than 0.")
    require_writable(options.keep / "any")
    if options.plot is not None:
        plot("", "", [Line("", [1], [1])])  # whether there is matplotlib, before and not after the training


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor | None]:
    """``benchmark.py cyclegan``: train both, print the table; the figures, and a plot of CycleGAN's losses.

    Raises:
        InputError: an option has no meaning, pictures cannot be read, or our training failed.
    """
    check(options)
    teacher = read_picture(picture_path(options.style), options.size, "--size")
    photos = sample_photos() if options.photos is None else folder_photos(options.photos)
    held_out = (sample_photos() if options.held_out is None else folder_photos(options.held_out))[: options.count]
    seeds = range(1, options.paintings + HELD_OUT_PAINTINGS + 1)
    all_paintings = painted(options.style, seeds, round(LOAD * options.size), options.keep / "paintings")
    paintings, unseen = all_paintings[: options.paintings], all_paintings[options.paintings :]

    model, ours_took = train_ours(options, device)
    seconds = ours_took if options.minutes is None else 60 * options.minutes
    gan, account = train_cycle_gan(options, photos, paintings, seconds, device)

    contents = [read_picture(path, options.size, "--size") for path in held_out]
    others = [resize_short_side(read_image(path), options.size) for path in unseen]
    comparison, ours, theirs = Comparison(teacher, others, contents, device), Stylizer(model, device), by_cycle_gan(gan)
    rows = [
        comparison.row(PHOTOGRAPH, None),
        comparison.row(CYCLE_GAN, theirs)
        | {"seconds": account.seconds, "steps": account.steps, "weights": weights_of(gan.paint)},
        comparison.row(OURS, ours)
        | {"seconds": ours_took, "steps": model.card["steps"], "weights": weights_of(model.network)},
        comparison.painter(),
    ]
    print(table([["", "seconds", "steps", "weights", "content", "style", "painter's style"], *map(cells, rows)]))
    print(
        f"Means over {len(contents)} photographs. content: 1 is the photograph itself. style: distance to the painting "
        f"that {OURS} learnt; painter's style: mean distance to {len(others)} pictures that nobody learnt from. "
        f"seconds: of {'the processor' if device.type == 'cpu' else 'training'}."
    )
    if options.sheet is not None:
        shown = [teacher, *(read_image(path) for path in paintings)]
        grid = [
            [photo, theirs(photo), ours(photo), painting]
            for photo, painting in zip(contents[:SHOWN], shown, strict=False)
        ]
        save_image(labelled_grid(grid, ["photograph", CYCLE_GAN, OURS, "painting"]), options.sheet,
                   overwrite=options.overwrite)  # fmt: skip
        print(f"Sheet: {options.sheet}")
    answer = {
        "style": options.style, "size": options.size, "crop": options.crop, "width": options.width,
        "blocks": options.blocks, "photographs": len(photos), "paintings": len(paintings), "held_out": len(contents),
        "rows": rows, "weights_trained": weights_of(gan), "curve": account.curve,
    }  # fmt: skip
    if options.plot is None:
        return answer, None
    lines = [Line(name, list(range(1, len(values) + 1)), values) for name, values in account.curve.items()]
    return answer, plot("CycleGAN's losses", "hundredths of its time", lines)


def cells(row: dict[str, Any]) -> list[str]:
    whole = [f"{row[name]:,.0f}" if name in row else "" for name in ("seconds", "steps", "weights")]
    parts = ["" if row[name] is None else f"{row[name]:.3f}" for name in ("content", "style", "style_of_painter")]
    return [row["name"], *whole, *parts]
