"""Measure ours against others, in turn in one run: quality for time, a training step, one picture, the data path."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError, require_whole
from fastnst.writing import require_writable, written_whole


def objective(add) -> None:
    """how many L-BFGS iterations one pass of the network is worth"""
    add("--photos", type=Path, help="folder of held-out photographs (default: scikit-image's samples)")
    add("--count", type=int, default=5, help="so many of them (default: 5)")
    add("--iterations", type=int, default=500, help="of L-BFGS (default: 500)")
    add("--starts", nargs="+", choices=("noise", "content"), default=["noise", "content"], help="of L-BFGS")
    add("--keep", type=Path, metavar="FILE", help="keep the L-BFGS curves here, and resume from those that are there")
    add("--model", nargs="+", default=["mosaic"], help="model files, or names of some in checkpoints/")
    add("--style", type=Path, help="its style picture, where it is none of the shipped ones")
    add("--sizes", type=int, nargs="+", default=[256], help="in pixels (default: 256)")


def paintings(add) -> None:
    """what networks keep of photographs and of paintings, by figures that no objective descends on"""
    add("--styles", type=Path, metavar="DIR", help="folder of paintings (default: the shipped style pictures)")
    add("--photos", type=Path, metavar="DIR", help="folder of held-out photographs (default: scikit-image's samples)")
    add("--count", type=int, default=10, help="so many of them (default: 10)")
    add("--models", nargs="*", default=[], metavar="MODEL", help="model files or names; their cards name the painting")
    add("--others", type=Path, metavar="FILE", help="CSV of other people's pictures: picture,photo,painting,by")
    add("--iterations", type=int, default=100, help="of L-BFGS on the same objective; 0: leave it out (default: 100)")
    add("--lbfgs-photos", type=int, default=1, help="photographs of each painting for L-BFGS (default: 1)")
    add("--size", type=int, default=512, help="shorter side of the photographs in pixels (default: 512)")
    add("--keep", type=Path, metavar="DIR", default=Path("outputs/benchmark/paintings"),
        help="keep figures and pictures here, and resume from those that are there (default: %(default)s)")  # fmt: skip
    add("--sheet", type=Path, metavar="FILE", help="lay out the pictures here")


def against_originals(add) -> None:
    """how near enlarged pictures come to their originals"""
    add(
        "--photos", type=Path, metavar="DIR", help="folder of originals, such as Set5 (default: scikit-image's samples)"
    )
    add("--count", type=int, default=1000, help="at most so many of them (default: 1000)")
    add(
        "--models",
        nargs="+",
        default=["enlarge4_exact"],
        metavar="MODEL",
        help="of one factor (default: enlarge4_exact)",
    )
    add("--sheet", type=Path, metavar="FILE", help="lay out the middles of the pictures here")


def speed(add) -> None:
    """seconds of a pass and of 100, 300 and 500 iterations"""
    add("--repeats", type=int, default=5, help="timings of each kind; the median counts (default: 5)")
    add("--against", choices=("pastiche",), help="also time this program, at the same size and layers")
    add("--iterations", type=int, default=20, help="of --against (default: 20)")
    add("--model", default="mosaic", help="a model file, or the name of one in checkpoints/")
    add("--style", type=Path, help="its style picture, where it is none of the shipped ones")
    add("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="in pixels (default: 256 512 1024)")


def frontier(add) -> None:
    """size, speed and objective of several models of one style, compared with the first"""
    add("--model", nargs="+", default=["mosaic"], help="model files, or names of some in checkpoints/")
    add("--photos", type=Path, help="folder of held-out photographs (default: scikit-image's samples)")
    add("--count", type=int, default=5, help="so many of them (default: 5)")
    add("--style", type=Path, help="their style picture, where it is none of the shipped ones")
    add("--size", type=int, default=1024, help="side in pixels of the picture that is timed (default: 1024)")
    add("--repeats", type=int, default=5, help="timings of each; the median counts (default: 5)")
    add("--against", type=Path, metavar="FILE.onnx", help="also time somebody else's network")


def data(add) -> None:
    """photographs per second of the loader, from files, a cache and shards; start-up with many files"""
    add("--photos", type=Path, help="folder of photographs (default: scikit-image's samples)")
    add("--size", type=int, default=256, help="of the crops, in pixels (default: 256)")
    add("--count", type=int, default=100, help="photographs in a timing (default: 100)")
    add("--repeats", type=int, default=5, help="timings of each kind; the median counts (default: 5)")
    add("--workers", type=int, nargs="+", default=[0, 1, 2], help="loading processes (default: 0 1 2)")
    add("--files", type=int, nargs="+", default=[1, 1000, 118_000], help="at start-up (default: 1 1000 118000)")


def train_step(add) -> None:
    """seconds and memory of a training step, against the step of pytorch/examples"""
    add("--photos", type=Path, help="folder of photographs for the steps (default: scikit-image's samples)")
    add("--style", default="mosaic", help="one of the shipped styles (default: mosaic)")
    add("--sizes", type=int, nargs="+", default=[256], help="sides of the crops in pixels (default: 256)")
    add("--batch", type=int, default=4, help="pictures in a step (default: 4)")
    add("--width", type=int, default=32, help="of our network (default: 32, the paper's)")
    add("--repeats", type=int, default=5, help="timings of each; the median counts (default: 5)")
    add("--variants", nargs="+", help="ways of doing our step (default: all that this device can do; see the docs)")
    add("--against", metavar="MODULE_OR_PATH", help="also time its `build_step(style, images)`, see the docs")
    add("--curves", type=int, metavar="STEPS", help="instead: losses over so many steps of each way and of --seeds")
    add("--seeds", type=int, default=2, help="of --curves (default: 2)")


def learning(add) -> None:
    """how soon training reaches a quality, against the algorithm of pytorch/examples"""
    add("--photos", type=Path, help="folder of photographs for both (default: the samples)")
    add("--style", default="mosaic", help="one of the shipped styles (default: mosaic)")
    add("--experiment", default="quick", help="our recipe, a file in configs/train/experiment/ (default: quick)")
    add("--peer-minutes", type=float, default=20.0, help="how long the peer trains (default: 20)")
    add("--override", action="append", default=[], metavar="KEY=VALUE", help="a setting of our training; repeatable")


def one_picture(add) -> None:
    """seconds and memory of one picture, against pytorch/examples in PyTorch and in ONNX Runtime"""
    add("--model", default="mosaic", help="a model file, or the name of one in checkpoints/")
    add("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048], help="(default: 256 512 1024 2048)")
    add("--repeats", type=int, default=5, help="timings of each; the median counts (default: 5)")
    add("--engines", nargs="+", help="ways of running our model (default: all that are installed)")
    add("--against", metavar="MODULE_OR_PATH", help="also time this network: build_network() or :CLASS")


def crew(text: str) -> tuple[int, int]:
    """``2x4``: two workers of four cores."""
    workers, _, cores = text.partition("x")
    if not (workers.isdigit() and cores.isdigit() and int(workers) and int(cores)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected workers and their cores, such as 2x4")
    return int(workers), int(cores)


def cluster(add) -> None:
    """what Ray costs against stylize.py, what more workers bring, memory over many files"""
    add("--model", nargs="+", default=["mosaic", "mosaic_slim"], help="model files, or names of some in checkpoints/")
    add("--photos", type=Path, help="folder of photographs (default: scikit-image's samples)")
    add("--count", type=int, default=500, help="photographs in a run (default: 500)")
    add("--size", type=int, default=256, help="their shorter side in pixels (default: 256)")
    add("--workers", type=crew, nargs="+", default=[(1, 2), (1, 1), (2, 1)], help="crews (default: 1x2 1x1 2x1)")
    add("--repeats", type=int, default=3, help="runs of each kind; the median counts (default: 3)")
    add("--files", type=int, nargs="+", default=[1000, 10_000, 100_000], help="only listed (default: up to 100000)")


def under_motion(add) -> None:
    """flicker, drift, and error against exact flow on what moves, plain and with --temporal"""
    add("--models", nargs="+", default=["mosaic"], metavar="MODEL", help="model files or names (default: mosaic)")
    add("--film", type=Path, metavar="FILE", help="(default: one made of a sample photograph)")
    add("--frames", type=int, help="so many of the film (default: all)")
    add("--photos", type=Path, metavar="DIR", help="folder of held-out photographs (default: scikit-image's samples)")
    add("--count", type=int, default=10, help="so many of them (default: 10)")
    add("--style", type=Path, help="the models' style picture, where it is none of the shipped ones")


def cyclegan(add) -> None:
    """a CycleGAN for a painter against our network for one of the painter's pictures, at equal time"""
    add("--photos", type=Path, metavar="DIR", help="folder of photographs for both (default: scikit-image's samples)")
    add("--held-out", type=Path, metavar="DIR", help="photographs to measure on (default: scikit-image's samples)")
    add("--count", type=int, default=40, help="at most so many of them (default: 40)")
    add("--style", default="mosaic", help="the painter, one of the shipped styles (default: mosaic)")
    add("--paintings", type=int, default=64, help="so many of the painter's pictures for CycleGAN (default: 64)")
    add("--size", type=int, default=256, help="shorter side of all pictures in pixels (default: 256)")
    add("--experiment", default="quick", help="our recipe, a file in configs/train/experiment/ (default: quick)")
    add("--override", action="append", default=[], metavar="KEY=VALUE", help="a setting of our training; repeatable")
    add("--minutes", type=float, help="how long CycleGAN trains, processor time on a CPU (default: as ours)")
    add("--crop", type=int, default=128, help="side of CycleGAN's crops in pixels (default: 128)")
    add("--width", type=int, default=32, help="of its networks (default: 32; the paper's is 64)")
    add("--blocks", type=int, default=6, help="residual blocks of its generators (default: 6, the paper's for 128)")
    add("--keep", type=Path, metavar="DIR", default=Path("outputs/benchmark/cyclegan"),
        help="keep paintings and trainings here, and go on with those there (default: %(default)s)")  # fmt: skip
    add("--sheet", type=Path, metavar="FILE", help="lay out the pictures here")


COMMANDS = {
    **{
        command.__name__: command
        for command in (objective, paintings, cyclegan, speed, frontier, data, learning, cluster)
    },
    "train": train_step,
    "stylize": one_picture,
    "enlarge": against_originals,
    "steadiness": under_motion,
}
"""Each is run by ``run(options, device)`` of the file of its function's name in fastnst/benchmark/commands/."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog=called("benchmark"), description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, add_arguments in COMMANDS.items():
        command = commands.add_parser(name, help=add_arguments.__doc__, description=add_arguments.__doc__)
        add_arguments(command.add_argument)
        add = command.add_argument
        add("--device", default="auto", help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)")
        add("--json", type=Path, metavar="FILE", help="write all figures here")
        add("--plot", type=Path, metavar="FILE", help="draw the curves here (.png)")
        add("--overwrite", action="store_true", help="replace --json and --plot where they exist")
    return parser.parse_args(arguments)


def check(options: argparse.Namespace) -> None:
    least = {"count": 1, "repeats": 1, "iterations": 3, "batch": 1, "width": 1, "curves": 2, "seeds": 2, "size": 16}
    least |= {"frames": 2}
    if options.command == "paintings":
        least |= {"iterations": 0, "lbfgs_photos": 1}
    for name, value in vars(options).items():
        if name in least and value is not None:
            require_whole(f"--{name}", value, least[name])
    for name, least_each in (("files", 1), ("workers", 0)):
        for value in getattr(options, name, []):
            if not isinstance(value, tuple):  # a crew, which is checked already
                require_whole(f"--{name}", value, least_each)
    for size in getattr(options, "sizes", []):
        require_whole("--sizes", size, 16)
    outputs = {f"--{name}": getattr(options, name, None) for name in ("json", "plot", "sheet")}
    for name, path in outputs.items():
        if path is not None and path.exists() and not options.overwrite:
            raise InputError(f"{name} {path} exists: add --overwrite to replace it, or give another name.")
    kept = options.keep if options.command == "objective" else None
    for path in (*outputs.values(), kept):
        if path is not None:
            require_writable(path)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    check(options)

    from fastnst.benchmark.instruments.machine import describe
    from fastnst.benchmark.report.tables import finite
    from fastnst.hardware import choose_device
    from fastnst.images.saving import savable_extensions, save_image

    if options.plot is not None and options.plot.suffix.lower() not in savable_extensions():
        raise InputError(f"--plot {options.plot}: expected one of {', '.join(savable_extensions())} at its end.")
    device = choose_device(options.device)
    command = COMMANDS[options.command].__name__
    if command == "cluster":
        from fastnst.cluster.session import import_ray

        import_ray()
    answer, picture = import_module(f"fastnst.benchmark.commands.{command}").run(options, device)
    answer = {"command": options.command, "machine": describe(device), **answer}
    if options.json is not None:
        with written_whole(options.json) as beside:
            beside.write_text(json.dumps(finite(answer), indent=2) + "\n", encoding="utf-8")
        print(f"Figures: {options.json}")
    if options.plot is not None:
        save_image(picture, options.plot, overwrite=options.overwrite)
        print(f"Plot: {options.plot}")
    return 0
