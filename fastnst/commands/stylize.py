"""Stylize pictures, folders, animations and videos with trained models; docs/stylizing.md shows every control."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fastnst.command_line import ArgumentParser, called
from fastnst.commands.picture_files import add_file_options, work_on_files  # first: it starts quickly
from fastnst.errors import InputError
from fastnst.images.color import COLOR_MODES
from fastnst.models.model_file import Model, find_model, load_model, style_name
from fastnst.models.style_file import pick_by_text, with_style_files
from fastnst.models.styles import check_shares, joined, shares_from_text


def shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers like 0.6,0.4") from None


def argument_parser() -> ArgumentParser:
    parser = ArgumentParser(prog=called("stylize"), description=__doc__)
    add = parser.add_argument
    add("--model", required=True, action="append", help="model file or name in checkpoints/; several: see --mix")
    add("--style", help="of a model with many: a name, or shares, for instance candy=0.6,ink=0.4; or a .style file")
    add("--style-from", help="animations and videos: the style of the first frame, which changes by and by")
    add("--style-to", help="the style of the last frame; both a name or shares, as --style")
    add("--mix", type=shares, help="share of each --model, for instance 0.6,0.4 (default: equal shares)")
    add_file_options(parser, "stylized")
    add("--strength", type=float, default=1.0, help="0 (the photograph) to 1 (the painting)")
    add("--colors", choices=COLOR_MODES, default="style", help="colours of the painting, of the photograph, or matched")
    add("--detail", type=float, default=0.0, help="0 to 1: how much fine structure of the photograph comes back")
    add("--mask", type=Path, help="picture that is white where to stylize and black where not")
    add("--stroke-scale", type=float, default=1.0, help="2: strokes twice as large, 0.5: half as large")
    add("--then", metavar="MODEL", help="enlarge2, enlarge4_exact: paint at 1/2, 1/4 of the size, then enlarge")
    add("--tile", type=int, help="side of tiles in pixels (default: tiles of 512 where memory is short)")
    add("--temporal", type=float, nargs="?", const=0.8, help="steadier frames, 0 to below 1 (without number: 0.8)")
    add("--stats", action="store_true", help="videos and animations: print how much the result flickers")
    add(
        "--engine",
        choices=("auto", "plain"),
        default="auto",
        help="plain: the network as written (default: the fastest)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = argument_parser().parse_args(arguments)
    paths = [find_model(name) for name in options.model]
    models = [load_model(path) for path in paths]
    if len(models) > 1 and (options.style, options.style_from, options.style_to) != (None, None, None):
        raise InputError("--style picks from one --model: give one of them.")
    options.passage = read_passage(options, models[0])
    if options.style is not None:
        models = [pick_by_text(models[0], options.style)]
    if options.info:
        print(json.dumps(models[0].card if len(models) == 1 else [model.card for model in models], indent=2))
        return 0
    names = [style_name(path, model.card) for path, model in zip(paths, models, strict=True)]
    if options.style is not None:
        names = [models[0].card["style"]["name"]]
    if options.passage is not None:
        names = ["_to_".join(joined(shares) for shares in options.passage)]

    def prepared(work: list[tuple[Path, Path]]) -> tuple[Any, Any, Any]:
        if options.passage is not None:
            require_moving(work)
        return prepare(options, models)

    return work_on_files(options, "+".join(names), "stylized", prepared)


def read_passage(options: argparse.Namespace, model: Model) -> tuple[dict[str, float], dict[str, float]] | None:
    """The shares of styles at the first frame and at the last; None where they do not change."""
    ends = [options.style_from, options.style_to]
    if ends == [None, None]:
        return None
    if None in ends or options.style is not None:
        raise InputError("--style-from and --style-to go together, and without --style: the first and the last style.")
    first, last = (shares_from_text(text, model) for text in ends)
    model = with_style_files(model, {**first, **last})
    for shares in (first, last):
        check_shares(model, shares)
    return first, last


def require_moving(work: list[tuple[Path, Path]]) -> None:
    from fastnst.stylization.files.one_file import moves_to
    from fastnst.stylization.probe import probe

    for source, output in work:
        if not moves_to(probe(source), output):
            raise InputError(
                f"{source} -> {output} does not move: --style-from needs animations or videos; give --style."
            )


def prepare(options: argparse.Namespace, models: list) -> tuple[Any, Any, Any]:
    """How files are handled, the controls, and the stylizer."""
    from fastnst.stylization import Stylizer
    from fastnst.stylization.enlarger import Enlarger

    handling, controls = how(options)
    try:
        then = None if options.then is None else Enlarger(options.then, options.device, most_pixels=options.max_pixels)
        stylizer = Stylizer(
            models, options.device, mix=options.mix, shares=options.passage and options.passage[0],
            tile=options.tile, engine=options.engine, then=then,
        )  # fmt: skip
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {options.device}: {str(error).splitlines()[0]}") from None
    return handling, controls, stylizer


def how(options: argparse.Namespace) -> tuple[Any, Any]:
    """How files are handled, and the controls."""
    from fastnst.stylization import Controls
    from fastnst.stylization.files.one_file import Handling
    from fastnst.stylization.files.stills import read_mask

    handling = Handling(
        options.quality, options.overwrite, options.max_pixels, options.compare,
        options.start, options.end, options.temporal, options.stats, options.max_frames,
        options.passage, options.resume,
    )  # fmt: skip
    controls = Controls(
        options.strength, options.colors, options.detail,
        None if options.mask is None else read_mask(options.mask, options.max_pixels),
        options.stroke_scale, options.max_side,
    )  # fmt: skip
    return handling, controls
