"""What the commands share that take pictures, folders, animations and videos: options, reports, progress."""

from __future__ import annotations

import argparse
import gc
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

from fastnst.errors import one_line
from fastnst.images.reading import MAX_PIXELS
from fastnst.images.saving import save_image
from fastnst.models import model_file  # noqa: F401  # for whoever comes next, within the quick part

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


def add_file_options(parser: argparse.ArgumentParser, folder: str) -> None:
    """Where pictures come from, and how they are read and written.

    Args:
        folder: of outputs that are not named.
    """
    inputs, add = parser.add_mutually_exclusive_group(), parser.add_argument
    inputs.add_argument("photo", type=Path, nargs="?", help="the same as --input")
    inputs.add_argument(
        "--input", type=Path, help="picture, folder, GIF, video, or - for standard input; `samples`: the sample photos"
    )
    add(
        "--output", type=Path, help=f"file, folder, or - for standard output (default: in {folder}/); extension: format"
    )
    add(
        "--format",
        type=ending,
        help="of outputs that are not named, for instance jpg (default: png; animations and videos keep their format)",
    )
    add("--max-side", type=int, help="make pictures with a longer side smaller first")
    add("--max-pixels", type=int, default=MAX_PIXELS, help="refuse larger pictures (default: %(default)s)")
    add("--max-frames", type=int, default=10_000, help="refuse longer animations (default: %(default)s)")
    add("--quality", type=int, default=95, help="1 to 100, for JPEG, WebP, AVIF and videos (default: %(default)s)")
    add("--start", type=seconds, default=0.0, help="videos: from this time on, seconds or h:mm:ss")
    add("--end", type=seconds, help="videos: up to this time")
    add("--resume", action="store_true", help="videos: go on with an interrupted one instead of starting over")
    add("--preview", action="store_true", help="videos: only the first second, small, into NAME.preview.EXTENSION")
    add("--compare", action="store_true", help="write before and after side by side")
    add("--sheet", type=Path, help="also lay all befores and afters out in one picture")
    add("--info", action="store_true", help="print the model's card and stop")
    add("--overwrite", action="store_true", help="replace output files that are there already")
    add("--device", help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)")


def work_on_files(
    options: argparse.Namespace,
    name: str,
    folder: str,
    prepare: Callable[[list[tuple[Path, Path]]], tuple[Any, Any, Any]],
) -> int:
    """Read, paint and write what the options say; returns the exit code.

    Args:
        name: that default outputs end in.
        folder: they are in.
        prepare: is given the plan, and gives the handling of files, the controls, and what paints.
    """
    from fastnst.data.sources import sample_photos
    from fastnst.stylization.files.plan import plan
    from fastnst.stylization.files.standard_streams import STREAM, files_for_streams

    if options.preview:
        options.end = min(options.end or math.inf, options.start + 1)
        options.max_side = min(options.max_side or PREVIEW_SIDE, PREVIEW_SIDE)
    source = options.input or options.photo or next(photo for photo in sample_photos() if photo.stem == "chelsea")
    out = sys.stderr if options.output == STREAM else sys.stdout
    with files_for_streams(source, options.output, options.format, sys.stdin, sys.stdout) as files:
        source, options.output = files
        sources = sample_photos() if str(source) == "samples" and not source.exists() else [source]
        work = plan(
            sources, options.output, name,
            kind=options.format, sheet=options.sheet, overwrite=options.overwrite, folder=folder,
            resume=options.resume, preview=options.preview,
        )  # fmt: skip
        heed_only_our_limits(options.max_pixels)
        return paint_all(work, options, *prepare(work), out)


def heed_only_our_limits(most_pixels: int) -> None:
    """Our own limits and refusals answer, in one line, and not Pillow's."""
    warnings.filterwarnings("ignore", module="PIL")
    if most_pixels > MAX_PIXELS:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = most_pixels


def paint_all(
    work: list[tuple[Path, Path]], options: argparse.Namespace, handling: Any, controls: Any, painter: Any, out: TextIO
) -> int:
    """All files, one after the other, whatever becomes of the others; returns the exit code."""
    from fastnst.stylization.files.many_files import stylize_files

    failed, finished, shown = 0, 0, []
    try:
        for result in stylize_files(work, painter, controls, handling, progress_bar):
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
