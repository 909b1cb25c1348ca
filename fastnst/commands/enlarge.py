"""Enlarge pictures, folders, animations and videos with trained models; docs/super_resolution.md shows examples."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fastnst.command_line import ArgumentParser, called
from fastnst.commands.picture_files import add_file_options, work_on_files  # first: it starts quickly
from fastnst.models.model_file import find_model, load_enlarger, style_name


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog=called("enlarge"), description=__doc__)
    add = parser.add_argument
    add("--model", default="enlarge4_exact", help="model file or name in checkpoints/ (default: %(default)s)")
    add_file_options(parser, "enlarged")
    add("--tile", type=int, help="side of tiles in pixels of the given picture (default: 768, where it is larger)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    path = find_model(options.model)
    model = load_enlarger(path)
    if options.info:
        print(json.dumps(model.card, indent=2))
        return 0

    def prepare(work: list) -> tuple[Any, Any, Any]:
        from fastnst.stylization import Controls
        from fastnst.stylization.enlarger import Enlarger
        from fastnst.stylization.files.one_file import Handling

        enlarger = Enlarger(model, options.device, tile=options.tile, most_pixels=options.max_pixels)
        handling = Handling(
            options.quality, options.overwrite, options.max_pixels, options.compare, options.start, options.end,
            max_frames=options.max_frames, resume=options.resume, grows=1 if options.max_side else enlarger.factor**2,
        )  # fmt: skip
        return handling, Controls(max_side=options.max_side), enlarger

    return work_on_files(options, style_name(path, model.card), "enlarged", prepare)
