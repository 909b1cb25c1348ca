"""Stylize pictures, folders, animations and videos with trained models; docs/stylizing.md shows every control."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

fresh = "torch" not in sys.modules
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it once: large memory pages on Linux
gc.disable()  # imports make many objects and hardly any garbage; looking for it would be a quarter of the start
# ruff: noqa: E402

from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError, one_line
from fastnst.images.color import COLOR_MODES
from fastnst.images.reading import MAX_PIXELS
from fastnst.images.saving import save_image
from fastnst.models.model_file import Model, find_model, load_model, style_name
from fastnst.models.styles import check_shares, pick, shares_from_text

if fresh:
    gc.freeze()
gc.enable()


PREVIEW_SIDE = 320
"""Longer side in pixels: a second of most films is then painted in less than ten on two cores."""


def seconds(text: str) -> float:
    """Seconds, or minutes and hours before them: 12.5, 1:30, 1:02:03."""
    try:
        parts = [float(part) for part in text.split(":")]
        return sum(part * 60**place for place, part in enumerate(reversed(parts)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: expected seconds or h:mm:ss") from None


def ending(text: str) -> str:
    return text.lower().lstrip(".")


def shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers like 0.6,0.4") from None


def argument_parser() -> ArgumentParser:
    parser = ArgumentParser(prog=called("stylize"), description=__doc__)
    add = parser.add_argument
    add("--model", required=True, action="append", help="model file or name in checkpoints/; several: see --mix")
    add("--style", help="of a model with many: a name, or shares of several, for instance candy=0.6,ink=0.4")
    add("--style-from", help="animations and videos: the style of the first frame, which changes by and by")
    add("--style-to", help="the style of the last frame; both a name or shares, as --style")
    add("--mix", type=shares, help="share of each --model, for instance 0.6,0.4 (default: equal shares)")
    inputs = parser.add_mutually_exclusive_group()
    inputs.add_argument("photo", type=Path, nargs="?", help="the same as --input")
    inputs.add_argument(
        "--input", type=Path, help="picture, folder, GIF, video, or - for standard input; `samples`: the sample photos"
    )
    add("--output", type=Path, help="file, folder, or - for standard output (default: in stylized/); extension: format")
    add(
        "--format",
        type=ending,
        help="of outputs that are not named, for instance jpg (default: png; animations and videos keep their format)",
    )
    add("--strength", type=float, default=1.0, help="0 (the photograph) to 1 (the painting)")
    add("--colors", choices=COLOR_MODES, default="style", help="colours of the painting, of the photograph, or matched")
    add("--detail", type=float, default=0.0, help="0 to 1: how much fine structure of the photograph comes back")
    add("--mask", type=Path, help="picture that is white where to stylize and black where not")
    add("--stroke-scale", type=float, default=1.0, help="2: strokes twice as large, 0.5: half as large")
    add("--max-side", type=int, help="make pictures with a longer side smaller first")
    add("--tile", type=int, help="side of tiles in pixels (default: tiles of 512 where memory is short)")
    add("--max-pixels", type=int, default=MAX_PIXELS, help="refuse larger pictures (default: %(default)s)")
    add("--max-frames", type=int, default=10_000, help="refuse longer animations (default: %(default)s)")
    add("--quality", type=int, default=95, help="1 to 100, for JPEG, WebP, AVIF and videos (default: %(default)s)")
    add("--start", type=seconds, default=0.0, help="videos: from this time on, seconds or h:mm:ss")
    add("--end", type=seconds, help="videos: up to this time")
    add("--temporal", type=float, nargs="?", const=0.8, help="steadier frames, 0 to below 1 (without number: 0.8)")
    add("--stats", action="store_true", help="videos and animations: print how much the result flickers")
    add("--resume", action="store_true", help="videos: go on with an interrupted one instead of starting over")
    add("--preview", action="store_true", help="videos: only the first second, small, into NAME.preview.EXTENSION")
    add("--compare", action="store_true", help="write before and after side by side")
    add("--sheet", type=Path, help="also lay all befores and afters out in one picture")
    add("--info", action="store_true", help="print the model's card and stop")
    add("--overwrite", action="store_true", help="replace output files that are there already")
    add(
        "--engine",
        choices=("auto", "plain"),
        default="auto",
        help="plain: the network as written (default: the fastest)",
    )
    add("--device", help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = argument_parser().parse_args(arguments)
    paths = [find_model(name) for name in options.model]
    models = [load_model(path) for path in paths]
    if len(models) > 1 and (options.style, options.style_from, options.style_to) != (None, None, None):
        raise InputError("--style picks from one --model: give one of them.")
    options.passage = read_passage(options, models[0])
    if options.style is not None:
        models = [pick(models[0], shares_from_text(options.style, models[0]))]
    if options.info:
        print(json.dumps(models[0].card if len(models) == 1 else [model.card for model in models], indent=2))
        return 0
    from fastnst.data.sources import sample_photos
    from fastnst.stylization.files.plan import plan
    from fastnst.stylization.files.standard_streams import STREAM, files_for_streams

    names = [style_name(path, model.card) for path, model in zip(paths, models, strict=True)]
    if options.style is not None:
        names = [models[0].card["style"]["name"]]
    if options.passage is not None:
        names = ["_to_".join("+".join(shares) for shares in options.passage)]
    if options.preview:
        options.end = min(options.end or math.inf, options.start + 1)
        options.max_side = min(options.max_side or PREVIEW_SIDE, PREVIEW_SIDE)
    source = options.input or options.photo or next(photo for photo in sample_photos() if photo.stem == "chelsea")
    out = sys.stderr if options.output == STREAM else sys.stdout
    with files_for_streams(source, options.output, options.format, sys.stdin, sys.stdout) as files:
        source, options.output = files
        sources = sample_photos() if str(source) == "samples" and not source.exists() else [source]
        work = plan(
            sources, options.output, "+".join(names),
            kind=options.format, sheet=options.sheet, overwrite=options.overwrite, resume=options.resume,
            preview=options.preview,
        )  # fmt: skip
        if options.passage is not None:
            require_moving(work)
        return stylize_all(work, options, models, out)


def read_passage(options: argparse.Namespace, model: Model) -> tuple[dict[str, float], dict[str, float]] | None:
    """The shares of styles at the first frame and at the last; None where they do not change."""
    ends = [options.style_from, options.style_to]
    if ends == [None, None]:
        return None
    if None in ends or options.style is not None:
        raise InputError("--style-from and --style-to go together, and without --style: the first and the last style.")
    first, last = (shares_from_text(text, model) for text in ends)
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


def stylize_all(work: list[tuple[Path, Path]], options: argparse.Namespace, models: list, out: TextIO) -> int:
    """All files, one after the other, whatever becomes of the others; returns the exit code."""
    from fastnst.stylization.files.many_files import stylize_files

    handling, controls, stylizer = prepare(options, models)
    failed, finished, shown = 0, 0, []
    try:
        for result in stylize_files(work, stylizer, controls, handling, progress_bar):
            source, output = work[finished]
            finished += 1
            still = report(result, source, output, f"[{finished}/{len(work)}]", len(work) == 1, out)
            failed += isinstance(result, Exception) or result.problem is not None
            if still is not None:
                if controls.mask is not None and controls.mask.shape[-2:] != still[1].shape[-2:]:
                    print(f"{options.mask}: the mask was resized to the picture.", file=sys.stderr)
                if options.sheet is not None:
                    shown.append((source.stem, *still))
            del result, still  # not held while the next is painted
    except KeyboardInterrupt as stop:
        begun = f", and {stop}" if str(stop) else ""  # a video's frames so far
        print(f"Stopped; {finished - failed} of {len(work)} done{begun}.", file=sys.stderr)
        return 130
    if shown:
        from fastnst.images.grids import labelled_grid

        names, before, after = zip(*shown, strict=True)
        sheet = labelled_grid([before, after], names, ["before", "after"])
        save_image(sheet, options.sheet, overwrite=options.overwrite)
        print(f"Before and after: {options.sheet}", file=out)
    if failed and len(work) > 1:
        print(f"{failed} of {len(work)} failed, the others are done.", file=sys.stderr)
    return 1 if failed else 0


def report(result: Any, source: Path, output: Path, place: str, alone: bool, out: TextIO) -> Any:
    """Say what became of a file; before and after of a still, None of anything else.

    Raises:
        InputError: it could not be used, and is all there was to do.
    """
    if isinstance(result, Exception):
        if alone:
            raise result
        print(one_line(f"{place} {source} FAILED: {result}"), file=sys.stderr, flush=True)
        return None
    print(one_line(f"{place} {result.line}"), file=out, flush=True)
    if result.problem is not None:
        print(one_line(f"{result.problem}: what could be read is in {output}."), file=sys.stderr)
    return result.still


def prepare(options: argparse.Namespace, models: list) -> tuple[Any, Any, Any]:
    """How files are handled, the controls, and the stylizer."""
    from fastnst.stylization import Stylizer

    handling, controls = how(options)
    try:
        stylizer = Stylizer(
            models, options.device, mix=options.mix, shares=options.passage and options.passage[0],
            tile=options.tile, engine=options.engine,
        )  # fmt: skip
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {options.device}: {str(error).splitlines()[0]}") from None
    return handling, controls, stylizer


def how(options: argparse.Namespace) -> tuple[Any, Any]:
    """How files are handled, and the controls."""
    from PIL import Image

    from fastnst.stylization import Controls
    from fastnst.stylization.files.one_file import Handling
    from fastnst.stylization.files.stills import read_mask

    handling = Handling(
        options.quality, options.overwrite, options.max_pixels, options.compare,
        options.start, options.end, options.temporal, options.stats, options.max_frames,
        options.passage, options.resume,
    )  # fmt: skip
    warnings.filterwarnings("ignore", module="PIL")  # our own limits and refusals answer, in one line
    if options.max_pixels > MAX_PIXELS:
        Image.MAX_IMAGE_PIXELS = options.max_pixels
    controls = Controls(
        options.strength, options.colors, options.detail,
        None if options.mask is None else read_mask(options.mask, options.max_pixels),
        options.stroke_scale, options.max_side,
    )  # fmt: skip
    return handling, controls


@contextmanager
def progress_bar() -> Iterator[Callable[[float, int | None], None]]:
    """Frames and frames a second, or the finished part of a picture in percent; nothing where nobody looks."""
    from tqdm import tqdm

    with tqdm(disable=None, leave=False, dynamic_ncols=True) as bar:

        def tell(done: float, total: int | None) -> None:
            still = total == 1
            bar.unit, bar.total = ("%", 100) if still else ("frame", total)
            bar.update((round(100 * done) if still else done) - bar.n)

        yield tell
