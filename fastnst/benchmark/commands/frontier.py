"""Size, speed and quality of several networks trained on one style: which of them is worth having."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastnst.benchmark.commands.objective import objective_of, same_objective, square_photo
from fastnst.benchmark.instruments.timing import interleaved
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.losses import PerceptualLoss
from fastnst.models.model_file import find_model, load_model
from fastnst.stylization import Stylizer

HELD_OUT_SIZE = 256
"""Side in pixels of the photographs on which the objective is measured."""


def held_out_objective(loss: PerceptualLoss, stylizer: Stylizer, photos: list[Path]) -> float:
    """Mean objective of a model's pictures of the middle squares of photographs."""
    total = 0.0
    with torch.no_grad():
        for photo in photos:
            content = square_photo(photo, HELD_OUT_SIZE)
            stylized = stylizer(content).to(loss.vgg.mean)
            total += loss(stylized[None], content.to(loss.vgg.mean)[None]).total.item()
    return total / len(photos)


def peer(path: Path, size: int) -> Callable[[], object]:
    """One pass of an ONNX model of somebody else on one picture.

    Its picture input is the one with four dimensions, channels first or last; any other input, such as the shares of
    several styles in one network, is filled with equal shares.

    Raises:
        InputError: it cannot be read, or onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError("--against needs onnxruntime: pip install 'fastnst[export]'") from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # a class of its own for each failure
        raise InputError(
            f"--against {path} is no ONNX model that can be read ({str(error).splitlines()[0]})."
        ) from None
    feed = {}
    for one in session.get_inputs():
        if len(one.shape) == 4:
            shape = [1, 3, size, size] if one.shape[1] == 3 else [1, size, size, 3]
            feed[one.name] = torch.rand(shape, generator=torch.Generator().manual_seed(0)).numpy()
        else:
            shape = [side if isinstance(side, int) else 1 for side in one.shape]
            feed[one.name] = torch.full(shape, 1 / max(shape)).numpy()
    return lambda: session.run(None, feed)


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py frontier``: a row for each model, first the reference; the figures, and a plot."""
    photos = (sample_photos() if options.photos is None else folder_photos(options.photos))[: options.count]
    models = {name: load_model(find_model(name)) for name in options.model}
    same_objective(models)
    loss = objective_of(next(iter(models.values())).card, options.style, device)
    picture = torch.rand(3, options.size, options.size, generator=torch.Generator().manual_seed(0))
    stylizers = {name: Stylizer(model, device) for name, model in models.items()}
    calls: dict[str, Callable[[], object]] = {name: partial(one, picture) for name, one in stylizers.items()}
    if options.against is not None:
        calls[str(options.against)] = peer(options.against, options.size)
    times = interleaved(calls, device, options.repeats)
    rows: list[dict[str, Any]] = []
    for name, model in models.items():
        arguments = getattr(model.network, "arguments", {})
        rows.append(
            {
                "model": Path(name).parent.name if Path(name).stem == "model" else Path(name).stem,  # RUN/model.ckpt
                "network": dict(arguments),
                "steps": model.card.get("steps"),
                "parameters": sum(one.numel() for one in model.network.parameters()),
                "kilobytes": find_model(name).stat().st_size / 1000,
                "seconds": times[name].median,
                "spread": times[name].spread,
                "objective": held_out_objective(loss, stylizers[name], photos),
            }
        )
    for row in rows:
        row["objective_ratio"] = row["objective"] / rows[0]["objective"]
    heads = ["model", "parameters", "kB", f"seconds at {options.size}", "times as fast", "objective", "ratio"]
    cells = [
        [
            row["model"],
            f"{row['parameters']:,}",
            f"{row['kilobytes']:.0f}",
            f"{row['seconds']:.3f}",
            f"{rows[0]['seconds'] / row['seconds']:.1f}",
            f"{row['objective']:.3f}",
            f"{row['objective_ratio']:.3f}",
        ]
        for row in rows
    ]
    answer: dict[str, Any] = {"size": options.size, "photographs": len(photos), "rows": rows}
    if options.against is not None:
        seconds = times[str(options.against)].median
        kilobytes = options.against.stat().st_size / 1000
        answer["against"] = {"file": options.against.name, "kilobytes": kilobytes, "seconds": seconds}
        ratio = f"{rows[0]['seconds'] / seconds:.1f}"
        cells.append([options.against.name, "", f"{kilobytes:.0f}", f"{seconds:.3f}", ratio, "", ""])
    print(table([heads, *cells]))
    print(
        f"objective: mean over {len(photos)} photographs at {HELD_OUT_SIZE} pixels, and its ratio to the first model's."
    )
    lines = [Line(row["model"], [row["seconds"]], [row["objective"]]) for row in rows]
    return answer, plot(
        f"Objective against seconds at {options.size} pixels", "seconds for one picture", lines, log_x=True
    )
