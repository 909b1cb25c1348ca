"""Time to quality: the paper's objective on held-out photographs against wall-clock seconds, ours and a peer's."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastnst.benchmark.instruments.peers import ExamplesNetwork
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.images.reading import read_picture
from fastnst.losses import PerceptualLoss
from fastnst.models.model_file import load_model
from fastnst.places import python_path
from fastnst.styles import picture_path

STYLE_SIZE, PEER_SIZE = 512, 256
"""Pixels of the painting's shorter side, and of the peer's crops and the held-out photographs."""
STYLE_LAYERS = {"relu1_2": 64**-2, "relu2_2": 128**-2, "relu3_3": 256**-2, "relu4_3": 512**-2}
"""Layers and weights of configs/loss/johnson2016.yaml."""
HELD_OUT = 8
"""Photographs that the objective is measured on."""


class Point(NamedTuple):
    """One point of a curve: the objective after so many seconds and steps of training."""

    seconds: float
    steps: int
    objective: float


def _held_out_objective(stylized: Sequence[Tensor], contents: Sequence[Tensor], loss: PerceptualLoss) -> float:
    """Mean objective of stylized pictures (3, H, W), clamped to [0, 1] as they would be saved."""
    with torch.no_grad():
        values = [
            loss(one[None].clamp(0, 1), content[None]).total.item()
            for one, content in zip(stylized, contents, strict=True)
        ]
    return sum(values) / len(values)


def our_curve(command: Sequence[str], loss: PerceptualLoss, contents: Sequence[Tensor]) -> list[Point]:
    """Run a training command as a user would, and measure each model file that it leaves.

    The seconds are those in the model's card: everything between the first and the last step, pictures, held-out
    losses and files included; start-up is not.

    Args:
        command: without ``output_dir=``, which is added; ``save_every`` settles how many points there are.
        loss: the objective to measure with.
        contents: held-out pictures (3, H, W).

    Raises:
        InputError: the command failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch, "run", "model.ckpt")
        snapshots: list[Path] = []
        seen = None
        process = subprocess.Popen(
            [*command, f"output_dir={model.parent}"], env={**os.environ, "PYTHONPATH": python_path()}
        )
        try:
            while True:
                ended = process.poll() is not None
                if model.exists() and (now := model.stat().st_ino) != seen:
                    seen = now
                    snapshots.append(Path(scratch, f"{len(snapshots)}.ckpt"))
                    shutil.copyfile(model, snapshots[-1])
                if ended:
                    break
                time.sleep(0.5)
        finally:
            process.kill()
        if process.returncode != 0 or not snapshots:
            raise InputError(
                f"{' '.join(command)} ended with code {process.returncode} and {len(snapshots)} model files."
            )
        points: dict[int, Point] = {}
        for snapshot in snapshots:
            network, card, _ = load_model(snapshot)
            with torch.no_grad():
                stylized = [network(content[None])[0] for content in contents]
            objective = _held_out_objective(stylized, contents, loss)
            points.setdefault(card["steps"], Point(card["seconds"], card["steps"], objective))
        return list(points.values())


def peer_curve(
    data: PhotoDataModule, loss: PerceptualLoss, contents: Sequence[Tensor], seconds: float, every: float
) -> list[Point]:
    """Train pytorch/examples' way: its network, plain Adam at 1e-3, on the objective that is measured.

    Args:
        data: set up, of the peer's crop size and batch size (256 and 4).
        loss: the objective, for training and measuring.
        contents: held-out pictures (3, H, W), sides multiples of 4.
        seconds: how long to train.
        every: seconds between points.
    """
    torch.manual_seed(0)
    network = ExamplesNetwork()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    kept = [(0.0, 0, deepcopy(network.state_dict()))]
    batches: Iterator = iter(data.train_dataloader())
    start = time.monotonic()
    for step, batch in enumerate(batches, start=1):
        content = batch["images"]
        optimizer.zero_grad()
        loss(network(content * 255) / 255, content).total.backward()
        optimizer.step()
        elapsed = time.monotonic() - start
        if elapsed >= kept[-1][0] + every or elapsed >= seconds:
            kept.append((elapsed, step, deepcopy(network.state_dict())))
        if elapsed >= seconds:
            break
    points = []
    for elapsed, step, state in kept:
        network.load_state_dict(state)
        with torch.no_grad():
            stylized = [network(content[None] * 255)[0] / 255 for content in contents]
        points.append(Point(elapsed, step, _held_out_objective(stylized, contents, loss)))
    return points


def first_reaching(points: Sequence[Point], objective: float) -> float | None:
    """Seconds at which a curve is first at or under ``objective``, on a line between its points; None if never."""
    previous: Point | None = None
    for point in points:
        if point.objective <= objective:
            if previous is None or previous.objective <= point.objective:
                return point.seconds
            part = (previous.objective - objective) / (previous.objective - point.objective)
            return previous.seconds + part * (point.seconds - previous.seconds)
        previous = point
    return None


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py learning``: both trainings one after the other, their curves, and a plot.

    Raises:
        InputError: no time for the peer, or a GPU was asked for: the peer's step is written for the CPU.
    """
    if not options.peer_minutes > 0:
        raise InputError(f"--peer-minutes {options.peer_minutes}: expected more than 0.")
    if device.type != "cpu":
        raise InputError(f"--device {device}: learning compares on the CPU; add --device cpu.")
    source = "samples" if options.photos is None else "folder"
    data = PhotoDataModule(
        source, options.photos and str(options.photos), image_size=PEER_SIZE, batch_size=4, steps=10**6
    )
    data.setup()
    batches: Any = data.val_dataloader()
    contents = [image for batch in batches for image in batch["images"]][:HELD_OUT]
    loss = PerceptualLoss(
        VGG(list(STYLE_LAYERS), load_vgg_weights()),
        read_picture(picture_path(options.style), STYLE_SIZE, "style.size")[None],
        {"relu2_2": 1.0}, STYLE_LAYERS,
        content_weight=1.0, style_weight=5.0, moments_weight=0.0, tv_weight=1e-6, tv_range=255.0,
        content_distance="squared", style_distance="squared",
    )  # fmt: skip
    command = [
        sys.executable, "-m", "fastnst", "train", f"style={options.style}", f"style.size={STYLE_SIZE}", "trainer=cpu",
        f"experiment={options.experiment}", "initial=null", f"data={source}", "save_every=50", *options.override,
        *([f"data.root={options.photos}"] if options.photos else []),
    ]  # fmt: skip
    ours = our_curve(command, loss, contents)
    peer = peer_curve(data, loss, contents, 60 * options.peer_minutes, every=6 * options.peer_minutes)
    curves = {"fastnst": ours, "pytorch/examples": peer}
    for name, points in curves.items():
        rows = [[f"{one.seconds:.1f}", str(one.steps), f"{one.objective:.3g}"] for one in points]
        print(table([[f"{name}, seconds", "steps", "objective"], *rows]))
    reached = min(peer, key=lambda point: point.objective)
    when = first_reaching(ours, reached.objective)
    best = f"the peer's best, {reached.objective:.3g} after {reached.seconds:.0f} s"
    sooner = f"{best}, is ours after {when:.0f} s: {reached.seconds / when:.1f} times sooner." if when else None
    print(sooner or f"Not reached: {best}.")
    lines = [
        Line(name, [one.seconds / 60 for one in points], [one.objective for one in points])
        for name, points in curves.items()
    ]
    answer = {
        "held_out": len(contents),
        "command": command[2:],
        "times_sooner": reached.seconds / when if when else None,
        **{name: [one._asdict() for one in points] for name, points in curves.items()},
    }
    return answer, plot(f"The paper's objective on {len(contents)} held-out photographs", "minutes", lines)
