"""Measure a trained network against the optimisation that it replaces: benchmark.py objective | speed."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a source tree that is not installed, too

from fastnst.errors import InputError, input_errors_end_with_code_2, require_whole

if TYPE_CHECKING:
    import torch


class ArgumentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help.")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    objective = commands.add_parser("objective", help="how many L-BFGS iterations one pass of the network is worth")
    objective.add_argument(
        "--photos", type=Path, help="folder of held-out photographs (default: scikit-image's samples)"
    )
    objective.add_argument("--count", type=int, default=5, help="so many of them (default: 5)")
    objective.add_argument("--iterations", type=int, default=500, help="of L-BFGS (default: 500)")
    speed = commands.add_parser("speed", help="seconds of a pass and of 100, 300 and 500 iterations")
    speed.add_argument("--repeats", type=int, default=5, help="timings of each kind; the median counts (default: 5)")
    speed.add_argument("--against", choices=("pastiche",), help="also time this program, at the same size and layers")
    speed.add_argument("--iterations", type=int, default=20, help="of --against (default: 20)")
    for command in (objective, speed):
        default = [256] if command is objective else [256, 512, 1024]
        shown = " ".join(map(str, default))
        command.add_argument("--model", default="mosaic", help="a model file, or the name of one in checkpoints/")
        command.add_argument("--style", type=Path, help="its style picture, where it is none of the shipped ones")
        command.add_argument("--sizes", type=int, nargs="+", default=default, help=f"in pixels (default: {shown})")
        command.add_argument(
            "--device", default="auto", help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)"
        )
        command.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
        command.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves here (.png)")
        command.add_argument("--overwrite", action="store_true", help="replace --json and --plot where they exist")
    return parser.parse_args(arguments)


def table(rows: list[list[str]]) -> str:
    """Columns under their heads, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def number(value: float, most: int) -> str:
    return f">{most}" if math.isinf(value) else f"{value:.0f}"


def finite(value: Any) -> Any:
    """JSON has no infinity: null stands for iterations that were not enough."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run_objective(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Any]:
    from tqdm import tqdm

    from fastnst.benchmark import objective
    from fastnst.benchmark.plots import Line, plot
    from fastnst.checkpoints import find_model, load_model
    from fastnst.data.sources import folder_photos, sample_photos
    from fastnst.stylization import Stylizer

    photos = (sample_photos() if options.photos is None else folder_photos(options.photos))[: options.count]
    model = load_model(find_model(options.model))
    loss = objective.objective_of(model.card, options.style, device)
    stylizer = Stylizer(model, device)
    found: list[objective.Comparison] = []
    total = len(photos) * len(options.sizes) * len(objective.STARTS) * options.iterations
    with tqdm(desc="L-BFGS", total=total, unit="iteration", dynamic_ncols=True) as bar:
        for size in options.sizes:
            for photo in photos:
                found += objective.compare(
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
    rows = objective.summary(found)
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
    print(f"equals: iterations of L-BFGS after which it is as low as the network, median. {objective.PUBLISHED}")
    size = options.sizes[0]
    first = [one for one in found if one.size == size and one.photo == photos[0].stem]
    lines = [Line(f"L-BFGS from {one.start}", list(range(1, len(one.curve))), one.curve[1:]) for one in first]
    lines.append(Line("network", [], [first[0].network]))
    picture = plot(f"Objective, {first[0].photo}, {size} pixels", "iterations", lines, log_x=most > 20)
    return {
        "command": "objective",
        "model": str(options.model),
        "summary": rows,
        "runs": [o._asdict() for o in found],
    }, picture


def run_speed(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Any]:
    import torch

    from fastnst.benchmark import speed
    from fastnst.benchmark.objective import objective_of
    from fastnst.benchmark.peers import ExamplesNetwork, require_pastiche
    from fastnst.benchmark.plots import Line, plot
    from fastnst.checkpoints import find_model, load_model

    if options.against == "pastiche":
        require_pastiche()
    model = load_model(find_model(options.model))
    loss = objective_of(model.card, options.style, device)
    network, peer = model.network.to(device), ExamplesNetwork().eval().to(device)
    rows, cells = [], []
    for size in options.sizes:
        row = speed.speed_row(network, loss, size, device, options.repeats)
        row["examples_seconds"] = speed.forward_seconds(peer, size, device, options.repeats)
        rows.append(row)
        ratios = [f"{row[f'seconds_{count}']:.1f} ({row[f'ratio_{count}']:.0f}x)" for count in speed.ITERATIONS]
        cells.append([str(size), f"{row['network_seconds']:.4f}", f"{row['examples_seconds']:.4f}", *ratios])
        if (paper := speed.PUBLISHED.get(size)) is not None:
            ratios = [f"{paper[n]:.1f} ({paper[n] / paper['network']:.0f}x)" for n in speed.ITERATIONS]  # type: ignore[index]
            cells.append(["paper", f"{paper['network']:.4f}", "", *ratios])
    heads = ["size", "network", "pytorch/examples", *(f"{count} iterations" for count in speed.ITERATIONS)]
    print(f"Seconds for one picture on {device} ({torch.get_num_threads()} threads); paper: table 1, GTX Titan X.")
    print(table([heads, *cells]))
    answer: dict[str, Any] = {
        "command": "speed",
        "device": str(device),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    if options.against == "pastiche":
        answer["pastiche"] = against_pastiche(options)
    lines = [Line(f"{n} iterations", options.sizes, [row[f"seconds_{n}"] for row in rows]) for n in speed.ITERATIONS]
    lines.append(Line("network", options.sizes, [row["network_seconds"] for row in rows]))
    return answer, plot(f"Seconds for one picture on {device}", "pixels a side", lines, log_x=True)


def against_pastiche(options: argparse.Namespace) -> list[dict[str, Any]]:
    from fastnst.benchmark.objective import square_photo
    from fastnst.benchmark.peers import compare_with_pastiche
    from fastnst.data.sources import sample_photos
    from fastnst.images.files import save_image
    from fastnst.styles import picture_path

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


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    for name in ("count", "iterations", "repeats"):
        if hasattr(options, name):
            require_whole(f"--{name}", getattr(options, name), 3 if name == "iterations" else 1)
    for size in options.sizes:
        require_whole("--sizes", size, 16)
    for name, path in (("--json", options.json), ("--plot", options.plot)):
        if path is not None and path.exists() and not options.overwrite:
            raise InputError(f"{name} {path} exists: add --overwrite to replace it, or give another name.")

    from fastnst.images.files import savable_extensions, save_image
    from fastnst.optimization.objective import choose_device

    if options.plot is not None and options.plot.suffix.lower() not in savable_extensions():
        raise InputError(f"--plot {options.plot}: expected one of {', '.join(savable_extensions())} at its end.")
    device = choose_device(options.device)
    answer, picture = (run_objective if options.command == "objective" else run_speed)(options, device)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(finite(answer), indent=2) + "\n", encoding="utf-8")
        print(f"Figures: {options.json}")
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        save_image(picture, options.plot, overwrite=options.overwrite)
        print(f"Plot: {options.plot}")
    return 0


if __name__ == "__main__":
    with input_errors_end_with_code_2():
        try:
            sys.exit(main())
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            sys.exit(130)
