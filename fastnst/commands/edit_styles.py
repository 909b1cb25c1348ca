"""Take a style out of a model file of many, drop some, or put those of another file in; the result is a new file."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError
from fastnst.models.model_file import STYLE, find_model, load_model, save_model
from fastnst.models.style_file import pick_by_text, read_style
from fastnst.models.style_rows import drop, put, put_rows
from fastnst.models.styles import style_names


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog=called("edit_styles"), description=__doc__)
    parser.add_argument("--model", required=True, help="a model file, or the name of one in checkpoints/")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--take", help="make a model of one style: a name, or shares such as candy=0.6,ink=0.4")
    what.add_argument("--drop", help="make a model without these styles: names with commas between them")
    what.add_argument(
        "--put", help="make a model with the styles of this one, too, whose convolutions are the same, or a .style file"
    )
    parser.add_argument("--output", type=Path, required=True, help="the new model file, .ckpt")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if options.output.suffix != ".ckpt":
        raise InputError(f"--output {options.output}: expected .ckpt at its end.")
    if options.output.exists() and not options.overwrite:
        raise InputError(f"{options.output} exists: add --overwrite to replace it, or give another --output.")
    model = load_model(find_model(options.model))
    if options.take is not None:
        model = pick_by_text(model, options.take)
    elif options.drop is not None:
        model = drop(model, options.drop.split(","))
    elif options.put.endswith(STYLE):
        model = put_rows(model, read_style(options.put, model))
    else:
        model = put(model, load_model(find_model(options.put)))
    save_model(options.output, *model)
    print(f"{', '.join(style_names(model) or [model.card['style']['name']])} -> {options.output}")
    return 0
