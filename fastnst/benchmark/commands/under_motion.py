"""How steady networks are on what moves: in a film along its flow, and on photographs with made motion, exactly."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.commands.objective import objective_of, training_settings
from fastnst.benchmark.commands.paintings import DEFAULT_OBJECTIVE
from fastnst.benchmark.instruments.made_film import made_film
from fastnst.benchmark.report.tables import table
from fastnst.data.sources import find_photo, folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.images.grids import labelled_grid
from fastnst.images.made_motion import MadeMotion
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize
from fastnst.losses.functional import stability_loss
from fastnst.models.model_file import find_model, load_model
from fastnst.stylization import Stylizer
from fastnst.stylization.moving.painter import Painter
from fastnst.stylization.moving.steady.optical_flow import Flow, Motion
from fastnst.stylization.moving.steady.steadiness import Flicker, Steady
from fastnst.stylization.moving.video_reader import VideoFrame, VideoReader

KINDS = {
    "pan": MadeMotion(shift=(2.6, 0.7)),
    "zoom": MadeMotion(zoom=1.02),
    "turn": MadeMotion(turn=math.radians(1)),
    "light": MadeMotion(gain=1.1),
    "noise": MadeMotion(noise=0.02),
}
"""From a frame to the next; of the sizes that hand-held films have."""
LATER = 60
"""Drift is measured between the first frame and this one."""
MADE = 120, 288, 384
"""Frames, height and width of the film that is made where none is given."""


class Row:
    """One network, with or without ``--temporal``, over a film.

    Attributes:
        flicker: of the film so far.
        drift: root of the mean squared difference between frame 1 and frame :data:`LATER`, moved along; NaN before.
        columns: the middle column of each frame, (3, H).
    """

    def __init__(self, steady: Steady | None) -> None:
        self.steady, self.flicker, self.drift, self.columns = steady, Flicker(), math.nan, []  # type: ignore[var-annotated]
        self.first: Tensor | None = None

    def add(self, source: Tensor, stylized: Tensor, motion: Motion | None, since_first: Motion | None) -> None:
        """Take in the next frame, its picture, and its motion from the frame before and from the first one."""
        result = stylized if self.steady is None else self.steady(stylized, motion)
        self.flicker.add(source, result, motion)
        self.columns.append(result[:, :, result.shape[2] // 2])
        self.first = result if self.first is None else self.first
        if len(self.columns) == LATER and since_first is not None:
            seen = torch.from_numpy(since_first.trust > 0.5).float()[None, None]
            self.drift = stability_loss(result[None], since_first.carry(self.first)[None], seen).sqrt().item()


def frames_of(film: Path | None) -> Iterator[Tensor]:
    """A film's frames, (3, H, W); those of a made one for None."""
    if film is None:
        count, height, width = MADE
        photo = resize(read_image(find_photo("coffee")), round(1.3 * height), round(1.3 * width))
        yield from made_film(photo, count, height, width)
        return
    for item in VideoReader(film):
        if isinstance(item, VideoFrame):
            yield torch.from_numpy(item.picture).permute(2, 0, 1).float() / 255


def watch(film: Path | None, most: int | None, stylizers: Mapping[str, Stylizer]) -> dict[tuple[str, bool], Row]:
    """All networks over a film, plain and steadied; one flow for all of them."""
    rows = {("source", False): Row(None)}
    for name in stylizers:
        rows |= {(name, False): Row(None), (name, True): Row(Steady())}
    flow, calm, since_first = Flow(), Steady(), None
    for number, frame in enumerate(tqdm(frames_of(film), desc="Film", unit="frame", dynamic_ncols=True)):
        if number == most:
            break
        motion = flow(frame)
        since_first = motion if since_first is None or motion is None else motion.after(since_first)
        seen = {False: frame, True: calm(frame, motion)}
        for (name, temporal), row in rows.items():
            stylized = frame if name == "source" else stylizers[name](seen[temporal])
            row.add(frame, stylized, motion, since_first)
    if len(rows["source", False].columns) < 2:
        raise InputError(f"--film {film}: expected two frames or more.")
    return rows


def made_errors(photo: Tensor, stylizer: Stylizer, temporal: bool) -> dict[str, float]:
    """Mean squared differences of a photograph's picture, moved, and the moved photograph's, by kind of motion."""
    errors = {}
    for kind, motion in KINDS.items():
        paint = Painter(stylizer, steady=Steady() if temporal else None)
        before, after = paint(photo), paint(motion.film(photo[None])[0])
        visible = motion.visible(*photo.shape[-2:])
        errors[kind] = stability_loss(after[None], motion.carry(before[None]), visible).item()
    return errors


def objective(model: Path, photos: Sequence[Tensor], stylizer: Stylizer, style: Path | None) -> float:
    """The mean of today's default objective over photographs, whatever the model was trained with."""
    card = load_model(model).card
    settings = {**DEFAULT_OBJECTIVE, "style": training_settings(card)["style"]}
    loss = objective_of({**card, "settings": settings}, style, torch.device("cpu"))
    with torch.no_grad():
        return statistics.fmean(loss(stylizer(photo)[None], photo[None]).total.item() for photo in photos)


def root_mean(values: Sequence[float]) -> float:
    return math.sqrt(statistics.fmean(values))


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py steadiness``: print the table; the figures, and each row's middle column over time."""
    models = {name: find_model(name) for name in options.models}
    stylizers = {name: Stylizer(path, device) for name, path in models.items()}
    paths = sample_photos() if options.photos is None else folder_photos(options.photos)
    photos = [read_image(path) for path in paths[: options.count]]
    objectives = {name: objective(path, photos, stylizers[name], options.style) for name, path in models.items()}
    rows = watch(options.film, options.frames, stylizers)
    figures = []
    for (name, temporal), row in rows.items():
        found: dict[str, Any] = {"model": name, "temporal": temporal, "flicker": row.flicker.ratio, "drift": row.drift}
        if name != "source":
            each = [made_errors(photo, stylizers[name], temporal) for photo in photos]
            found["made"] = {kind: root_mean([one[kind] for one in each]) for kind in KINDS}
            found["made"]["all"] = root_mean([value for one in each for value in one.values()])
            if not temporal:
                found["objective"] = objectives[name]
        figures.append(found)
    heads = ["network", "flicker", f"drift 1-{LATER}", "made motion", *KINDS, "objective"]
    cells = [
        [
            one["model"] + (" --temporal" if one["temporal"] else ""),
            f"{one['flicker']:.2f}", f"{one['drift']:.3f}",
            *(f"{one['made'][kind]:.4f}" if "made" in one else "" for kind in ("all", *KINDS)),
            f"{one['objective']:.3f}" if "objective" in one else "",
        ]
        for one in figures
    ]  # fmt: skip
    print(table([heads, *cells]))
    print(
        f"flicker: of the source's own, over {len(row.columns)} frames. Others: root mean squares in units of [0, 1]."
    )
    strips = [torch.stack(row.columns, dim=2) for row in rows.values()]
    side = max(strips[0].shape[-2:])
    wide = [strip.repeat_interleave(max(1, side // strip.shape[2]), dim=2) for strip in strips]
    labels = [Path(one["model"]).stem + (" --temporal" if one["temporal"] else "") for one in figures]
    return {"rows": figures}, labelled_grid([wide], labels, None, side)
