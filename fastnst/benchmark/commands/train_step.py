"""Seconds and memory of a training step: ours in several ways, and that of pytorch/examples, on the same pictures."""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import trange

from fastnst.allocation import keep_freed_memory
from fastnst.benchmark.commands.objective import square_photo
from fastnst.benchmark.instruments.against import load_against
from fastnst.benchmark.instruments.machine import ceilings, ceilings_line, count_flops
from fastnst.benchmark.instruments.peers import ExamplesNetwork
from fastnst.benchmark.instruments.race import race, race_plot, race_table
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.hardware import computes_in_bfloat16
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.losses import PerceptualLoss
from fastnst.losses.functional import gram_matrix
from fastnst.losses.perceptual import CONTENT_LAYERS
from fastnst.networks import TransformerNetwork
from fastnst.styles import NAMES, picture_path

EXAMPLES = "pytorch/examples"
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
STYLE_SIZE = 256
VARIANTS = {
    "float32": {},
    "float32, without NNPACK": {"nnpack": False},
    "channels_last": {"channels_last": True},
    "bfloat16": {"bfloat16": True},
    "bfloat16, channels_last": {"bfloat16": True, "channels_last": True},
    "compile": {"channels_last": True, "compiled": True},
    "bfloat16, compile": {"bfloat16": True, "channels_last": True, "compiled": True},
}
"""Ways of doing our step; ``trainer.precision``, ``trainer.channels_last`` and ``trainer.compile`` choose them."""
FRONT_DOOR = {"GOMP_SPINCOUNT": "10000"}
"""As scripts/train.py sets it before torch is imported."""

Step = Callable[[Tensor], Tensor]


def batches(photos: Path | None, size: int, batch: int, count: int = 1) -> list[Tensor]:
    """``count`` batches (batch, 3, size, size) of photographs, each one's middle; they start over when all are used."""
    paths = sample_photos() if photos is None else folder_photos(photos)
    pictures = [square_photo(path, size) for path in paths[: batch * count]]
    return [torch.stack([pictures[(n * batch + k) % len(pictures)] for k in range(batch)]) for n in range(count)]


def style_picture(style: str) -> Tensor:
    """(3, H, W) of a shipped style, as large for all contenders.

    Raises:
        InputError: there is no such style.
    """
    if style not in NAMES:
        raise InputError(f"--style {style}: expected one of {', '.join(NAMES)}.")
    return resize_short_side(read_image(picture_path(style)), STYLE_SIZE)


def our_step(
    style: Tensor,
    device: torch.device,
    width: int = 32,
    channels_last: bool = False,
    bfloat16: bool = False,
    compiled: bool = False,
    nnpack: bool = True,
) -> Step:
    """The step of ``scripts/train.py`` at its default settings, as a function of the photographs (N, 3, H, W).

    Stylize, compare (the photographs pass VGG up to the content layer only, the style's statistics are those of one
    picture), the range penalty, Adam. Returns the loss, detached. Without ``nnpack`` all convolutions are torch's own.
    """
    network = TransformerNetwork(width=width, grain=0.03).to(device)
    loss = PerceptualLoss(VGG(LAYERS, load_vgg_weights()).to(device), style[None].to(device))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(memory_format=layout)  # type: ignore[call-overload]
    loss.to(memory_format=layout)  # type: ignore[call-overload]
    forward, features = network.preactivation, loss.vgg.forward
    if compiled:
        network.grain.forward = torch.compiler.disable(network.grain.forward)  # type: ignore[method-assign]
        forward = torch.compile(forward)
        loss.vgg.forward = torch.compile(features)  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=device.type == "cuda")

    @torch.backends.nnpack.flags(enabled=nnpack)
    def step(content: Tensor) -> Tensor:
        optimizer.zero_grad()
        content = content.to(memory_format=layout)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            z = forward(content).float()
            excess = torch.relu(z.abs() - 1.2).square().mean()
            objective = loss(network.to_unit_range(z), content).total
            total = objective + objective.detach() * excess
        total.backward()
        optimizer.step()
        return total.detach()

    return step


def examples_step(style: Tensor, device: torch.device, batch: int) -> Step:
    """The step of pytorch/examples' fast_neural_style, from its description, with our VGG weights.

    Both pictures pass VGG16 up to relu4_3; the style's Gram matrices are those of the style repeated over the batch;
    mean squared differences, weights 1e5 and 1e10; Adam; float32; both losses are read after each step. All
    convolutions and Gram matrices are torch's own.
    """
    network = ExamplesNetwork().to(device)
    vgg = VGG(LAYERS, load_vgg_weights()).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def gram(features: Tensor) -> Tensor:
        flat = features.flatten(2)
        return torch.bmm(flat, flat.transpose(1, 2)) / flat[0].numel()

    with torch.no_grad():
        repeated = style[None].to(device).repeat(batch, 1, 1, 1)
        grams = {name: gram(value) for name, value in vgg(repeated).items()}

    @torch.backends.nnpack.flags(enabled=False)
    def step(content: Tensor) -> Tensor:
        optimizer.zero_grad()
        stylized = vgg(network(255 * content) / 255)
        wanted = vgg(content)
        content_loss = 1e5 * F.mse_loss(stylized["relu2_2"], wanted["relu2_2"])
        style_loss = sum(F.mse_loss(gram(value), grams[name]) for name, value in stylized.items()) * 1e10
        total = content_loss + style_loss
        total.backward()
        optimizer.step()
        content_loss.item(), style_loss.item()  # type: ignore[union-attr]
        return total.detach()

    return step


def prepare_step(
    device: torch.device, name: str, style: str, batch: int, photos: str | None, kind: str, **how: Any
) -> Any:
    """A contender: ``kind`` is "ours", "examples", or what ``--against`` names."""
    torch.manual_seed(0)
    picture = style_picture(style)

    def prepare(size: int) -> tuple[Callable[[], object], dict[str, Any]]:
        (content,) = (one.to(device) for one in batches(None if photos is None else Path(photos), size, batch))
        if kind == "ours":
            if device.type == "cpu":
                keep_freed_memory()  # as training does
            step = our_step(picture, device, **how)
        elif kind == "examples":
            step = examples_step(picture, device, batch)
        else:
            return load_against(kind, "build_step")(picture.to(device), content), {}
        return partial(step, content), {}

    return prepare


def step_flops(size: int, batch: int, width: int) -> int:
    """Floating-point operations of our step by its definition."""
    vgg = VGG(LAYERS, load_vgg_weights()).to("meta")
    with torch.device("meta"):
        network = TransformerNetwork(width=width)
        x = torch.rand(batch, 3, size, size)

        def step() -> None:
            features = vgg(network(x))
            with torch.no_grad():
                vgg(x, list(CONTENT_LAYERS))
            sum(gram_matrix(value).sum() for value in features.values()).backward()  # type: ignore[union-attr]

        return count_flops(step)


def choose_variants(given: list[str] | None, device: torch.device) -> list[str]:
    """Those asked for, or those that this device is likely to profit from; says what it cannot compute and leaves out.

    Raises:
        InputError: there is no such variant.
    """
    if given is None:
        likely = [name for name in VARIANTS if device.type == "cuda" or "compile" not in name]
        left_out = [name for name in likely if "bfloat16" in name and not computes_in_bfloat16(device.type)]
        if left_out:
            print(f"left out: {'; '.join(left_out)} (this device has no bfloat16; --variants takes them all the same)")
        return [name for name in likely if name not in left_out]
    for name in given:
        if name not in VARIANTS:
            raise InputError(f"--variants {name!r}: expected some of {', '.join(map(repr, VARIANTS))}.")
    return given


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py train``: print the table (or that of the curves); the figures, and a plot."""
    variants = choose_variants(options.variants, device)
    style_picture(options.style)
    if options.curves is not None:
        return run_curves(options, device, variants)
    shared = {"style": options.style, "batch": options.batch, "photos": options.photos and str(options.photos)}
    build = f"{__name__}:prepare_step"
    contenders: dict[str, tuple[str, dict[str, Any]]] = {EXAMPLES: (build, {**shared, "kind": "examples"})}
    if options.against is not None:
        load_against(options.against, "build_step")
        contenders[options.against] = (build, {**shared, "kind": options.against})
    peers = list(contenders)
    ours = [f"fastnst, {name}" for name in variants]
    for name in variants:
        contenders[f"fastnst, {name}"] = (build, {**shared, "kind": "ours", "width": options.width, **VARIANTS[name]})
    ceiling = ceilings(device, options.repeats)
    print(ceilings_line(ceiling), flush=True)
    rows = race(contenders, options.sizes, device, options.repeats, dict.fromkeys(ours, FRONT_DOOR))
    flops = {size: step_flops(size, options.batch, options.width) for size in options.sizes}
    print(race_table(rows, peers, flops))
    answer = {"batch": options.batch, "width": options.width, "ceilings": ceiling, "flops": flops, "rows": rows}
    return answer, race_plot(f"Seconds for a step of {options.batch} on {device}", rows)


def loss_curve(
    style: Tensor, contents: Sequence[Tensor], device: torch.device, steps: int, seed: int, **how: Any
) -> list[float]:
    """Our loss at every step of a training on the same photographs in the same order."""
    torch.manual_seed(seed)
    step = our_step(style, device, **how)
    losses = [step(contents[number % len(contents)].to(device)) for number in trange(steps, disable=None, leave=False)]
    return [one.item() for one in losses]


def run_curves(options: argparse.Namespace, device: torch.device, variants: list[str]) -> tuple[dict[str, Any], Tensor]:
    """Whether every variant learns as float32 does: curves of one seed, and those of float32 from several.

    The spread is the largest distance between two of those: rounding alone leads training astray as another seed does.
    """
    style, size = style_picture(options.style), options.sizes[0]
    contents = batches(options.photos, size, options.batch, count=8)
    curves = {
        f"float32, seed {seed}": loss_curve(style, contents, device, options.curves, seed, width=options.width)
        for seed in range(options.seeds)
    }
    same = list(curves.values())
    spread = max(distance(one, other) for one, other in itertools.combinations(same, 2))
    for name in variants:
        if name != "float32":
            curves[name] = loss_curve(style, contents, device, options.curves, 0, width=options.width, **VARIANTS[name])
    rows: list[dict[str, Any]] = []
    for name, curve in curves.items():
        apart = distance(same[0], curve)
        rows.append({"name": name, "last": tail(curve), "distance": apart, "within": apart <= spread})
    heads = ["", "loss, last quarter", "distance to float32, seed 0", f"within the spread of {options.seeds} seeds"]
    cells = [[r["name"], f"{r['last']:.4f}", f"{r['distance']:.4f}", "yes" if r["within"] else "NO"] for r in rows]
    print(table([heads, *cells]))
    print(f"spread: {spread:.4f}, the largest distance between two seeds of float32.")
    print("distance: mean absolute difference of the logarithms of the losses, averaged over a tenth of the steps.")
    numbers = list(range(1, options.curves + 1))
    lines = [Line(name, numbers, curve) for name, curve in curves.items()]
    picture = plot(f"Loss, {size} pixels, batch {options.batch}", "steps", lines, log_x=True)
    return {"size": size, "batch": options.batch, "spread": spread, "summary": rows, "curves": curves}, picture


def tail(curve: Sequence[float]) -> float:
    """Mean of the last quarter."""
    return statistics.fmean(curve[-max(1, len(curve) // 4) :])


def distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Mean absolute difference of the logarithms of two curves, each averaged over tenths of the steps first."""
    window = max(1, len(a) // 10)
    parts = [torch.tensor(curve)[: len(curve) // window * window].reshape(-1, window).mean(1).log() for curve in (a, b)]
    return (parts[0] - parts[1]).abs().mean().item()
