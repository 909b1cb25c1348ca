"""Time to quality: the paper's objective on held-out photographs against wall-clock seconds, ours and a peer's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.checkpoints import load_model
from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError
from fastnst.losses import PerceptualLoss


class Point(NamedTuple):
    """One point of a curve: the objective after so many seconds and steps of training."""

    seconds: float
    steps: int
    objective: float


class PyTorchExamplesNetwork(nn.Module):
    """The network of pytorch/examples fast_neural_style, from its description: RGB in [0, 255] in and out, no tanh.

    Reflection padding before every convolution, instance normalisation, nearest-neighbour upsampling, a plain
    convolution at the end: 1,679,235 parameters.
    """

    def __init__(self) -> None:
        super().__init__()

        def conv(inside: int, outside: int, size: int, stride: int = 1) -> nn.Conv2d:
            return nn.Conv2d(inside, outside, size, stride, size // 2, padding_mode="reflect")

        def normalized(outside: int) -> nn.InstanceNorm2d:
            return nn.InstanceNorm2d(outside, affine=True)

        self.start = nn.ModuleList([conv(3, 32, 9), conv(32, 64, 3, 2), conv(64, 128, 3, 2)])
        self.residual = nn.ModuleList([conv(128, 128, 3) for _ in range(10)])
        self.end = nn.ModuleList([conv(128, 64, 3), conv(64, 32, 3)])
        self.start_norms = nn.ModuleList([normalized(width) for width in (32, 64, 128)])
        self.residual_norms = nn.ModuleList([normalized(128) for _ in range(10)])
        self.end_norms = nn.ModuleList([normalized(width) for width in (64, 32)])
        self.to_rgb = conv(32, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 255] to the same, H and W multiples of 4."""
        for layer, norm in zip(self.start, self.start_norms, strict=True):
            x = F.relu(norm(layer(x)))
        for index in range(0, 10, 2):
            inner = F.relu(self.residual_norms[index](self.residual[index](x)))
            x = x + self.residual_norms[index + 1](self.residual[index + 1](inner))
        for layer, norm in zip(self.end, self.end_norms, strict=True):
            x = F.relu(norm(layer(F.interpolate(x, scale_factor=2, mode="nearest"))))
        return self.to_rgb(x)


def held_out_objective(stylized: Sequence[Tensor], contents: Sequence[Tensor], loss: PerceptualLoss) -> float:
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
        process = subprocess.Popen([*command, f"output_dir={model.parent}"])
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
            objective = held_out_objective(stylized, contents, loss)
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
    network = PyTorchExamplesNetwork()
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
        points.append(Point(elapsed, step, held_out_objective(stylized, contents, loss)))
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
