"""Stylize more pictures than one machine can paint, through Ray Data; docs/cluster.md shows how."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastnst.command_line import ArgumentParser, called
from fastnst.commands.picture_files import heed_only_our_limits
from fastnst.commands.stylize import argument_parser, how
from fastnst.errors import InputError, one_line, require_whole
from fastnst.models.model_file import Model, find_model, load_model, style_name
from fastnst.models.style_file import pick_by_text

UNDERSTOOD = {
    *("model", "style", "mix", "input", "output", "format", "strength", "colors", "detail", "mask", "stroke_scale"),
    *("max_side", "tile", "max_pixels", "max_frames", "quality", "start", "end", "temporal", "compare", "overwrite"),
    *("engine", "device", "kind", "once", "address", "workers", "cores", "batch"),
}
"""The options of stylize.py that mean the same here, and our own."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(
        prog=called("stylize_many"),
        description=__doc__,
        parents=[argument_parser()],
        add_help=False,
        conflict_handler="resolve",
    )
    add = parser.add_argument
    add("--model", required=True, action="append", help="file or name; several: each picture in all, --once or --mix")
    add(
        "--input",
        required=True,
        help="folder, pattern with * or **, shards (*.tar), list (.parquet, .csv) or film; here or in s3://, gs:// ...",
    )
    add("--output", required=True, help="folder or URL of one")
    add("--as", dest="kind", choices=("files", "shards", "parquet"), default="files", help="how results are kept")
    add(
        "--style",
        action="append",
        help="of a model with many: a name, or shares; several: each picture in all, or --once",
    )
    add("--once", action="store_true", help="of several models or styles each picture gets one, chosen by its name")
    add("--address", help="HOST:PORT of a Ray cluster, or auto (default: start Ray on this machine)")
    add("--workers", type=int, help="at most (default: as many as there is room for)")
    add("--cores", type=int, help="of each worker (default: 4, or what a node has); with GPUs a worker has one GPU")
    add("--batch", type=int, help="pictures that a worker gets at once (default: 32, fewer where there are few)")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if name not in UNDERSTOOD and value != parser.get_default(name):
            raise InputError(f"--{name.replace('_', '-')} is of one machine only: use {called('stylize')}.")
    for name in ("workers", "cores", "batch"):
        if (value := getattr(options, name)) is not None:
            require_whole(f"--{name}", value, 1)
    if options.once and options.mix:
        raise InputError("--once picks one of several models and --mix joins them: give one of both.")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        return stylize_many(options)
    except KeyboardInterrupt:
        print("Stopped; the same command paints the rest.", file=sys.stderr)
        return 130


def stylize_many(options: argparse.Namespace) -> int:
    """All pictures, or one film; returns the exit code."""
    models = models_of(options)
    options.passage = None
    handling, controls = how(options)
    heed_only_our_limits(options.max_pixels)

    from fastnst.cluster.session import import_ray

    import_ray()

    from fastnst.cluster.inputs import is_pattern, list_pictures
    from fastnst.cluster.manifest import MANIFEST
    from fastnst.cluster.paint_film import paint_film
    from fastnst.cluster.paint_many import paint_many
    from fastnst.cluster.painting_actor import Painting
    from fastnst.cluster.session import dashboard, session
    from fastnst.cluster.tree import Tree
    from fastnst.stylization.files.plan import as_extension, ending_for
    from fastnst.stylization.moving.video_reader import VIDEO_EXTENSIONS
    from fastnst.stylization.stylizer import Stylizer

    for mixed in models.values():
        Stylizer(mixed, "cpu", mix=options.mix, tile=options.tile, engine="plain")  # says now what workers would
    film = Path(options.input).suffix.lower() in VIDEO_EXTENSIONS and not is_pattern(options.input)
    named = film and Path(options.output).suffix != ""
    folder, name = os.path.split(options.output) if named else (options.output, "")
    target = Tree(folder)
    painting = Painting(
        models, controls, replace(handling, overwrite=True), options.mix, options.device, options.tile, options.engine,
        as_extension(options.format), options.kind, target, options.overwrite,
    )  # fmt: skip
    if film:
        if len(models) > 1 or options.kind != "files":
            raise InputError("a film is painted by one --model and --style, or by several with --mix, into a file.")
        result = name or f"{Path(options.input).stem}{ending_for(Path(options.input), painting.form)}"
    pictures = [] if film else list_pictures(options.input, target.root)
    with session(options.address) as ray:
        print(f"Ray's dashboard: {dashboard(ray) or 'not installed (pip install ray[default])'}", flush=True)
        with Progress("piece" if film else "picture") as progress:
            crew = {"cores": options.cores, "workers": options.workers}
            if film:
                line = paint_film(ray, options.input, result, painting, **crew, tell=progress.reach)
            else:
                ended = paint_many(
                    ray, pictures, painting, once=options.once, batch=options.batch, **crew, tell=progress
                )
    if film:
        print(line)
        return 0
    earlier = f", {ended.before:,} were there already" if ended.before else ""
    print(f"{ended.painted:,} painted{earlier}: {target.where(MANIFEST)}")
    if ended.failed:
        print(f"{ended.failed:,} failed, the others are done; the manifest says why.", file=sys.stderr)
    return 1 if ended.failed else 0


def models_of(options: argparse.Namespace) -> dict[str, list[Model]]:
    """By name, the models that go into a picture: one, or with --mix all."""
    paths = [find_model(name) for name in options.model]
    models = [load_model(path) for path in paths]
    names = [style_name(path, model.card) for path, model in zip(paths, models, strict=True)]
    if options.style is not None:
        if len(models) > 1:
            raise InputError("--style picks from one --model: give one of them.")
        models = [pick_by_text(models[0], text) for text in options.style]
        names = [model.card["style"]["name"] for model in models]
    if options.mix is not None:
        return {"+".join(names): models}
    if len(set(names)) < len(names):
        raise InputError(
            f"two of {', '.join(names)} have the same name: rename a model, or give each a run of its own."
        )
    return {name: [model] for name, model in zip(names, models, strict=True)}


class Progress:
    """Pictures a second, failures, time left; each failure in a line of its own.

    Args:
        unit: what is counted.
    """

    def __init__(self, unit: str) -> None:
        from tqdm import tqdm

        self.failed = 0
        self.bar: Any = tqdm(unit=unit, disable=None, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def reach(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __call__(self, rows: list[dict[str, Any]], total: int) -> None:
        self.bar.total = total
        for row in rows:
            if row["error"] is not None:
                self.failed += 1
                self.bar.write(one_line(f"{row['source']} FAILED: {row['error']}"), file=sys.stderr)
        self.bar.set_postfix(failed=self.failed, refresh=False)
        self.bar.update(len(rows))

    def __exit__(self, *_: object) -> None:
        self.bar.close()
