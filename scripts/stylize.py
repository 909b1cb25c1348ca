"""Stylize pictures, folders, animations and videos with trained models; docs/stylizing.md shows every control."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a source tree that is not installed, too

from fastnst.checkpoints import find_model, load_model
from fastnst.errors import InputError, input_errors_end_with_code_2
from fastnst.images.color import COLOR_MODES
from fastnst.images.files import MAX_PIXELS, savable_extensions, save_image


class ArgumentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help.")


def seconds(text: str) -> float:
    """Seconds, or minutes and hours before them: 12.5, 1:30, 1:02:03."""
    try:
        parts = [float(part) for part in text.split(":")]
        return sum(part * 60**place for place, part in enumerate(reversed(parts)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: expected seconds or h:mm:ss") from None


def shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers like 0.6,0.4") from None


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model", required=True, action="append", help="model file or name in checkpoints/; several: see --mix")
    add("--mix", type=shares, help="share of each --model, for instance 0.6,0.4 (default: equal shares)")
    add("--input", type=Path, help="picture, folder, GIF, video, or - for standard input; `samples`: the sample photos")
    add("--output", type=Path, help="file, folder, or - for standard output (default: in stylized/); extension: format")
    add("--strength", type=float, default=1.0, help="0 (the photograph) to 1 (the painting)")
    add("--colors", choices=COLOR_MODES, default="style", help="colours of the painting, of the photograph, or matched")
    add("--detail", type=float, default=0.0, help="0 to 1: how much fine structure of the photograph comes back")
    add("--mask", type=Path, help="picture that is white where to stylize and black where not")
    add("--stroke-scale", type=float, default=1.0, help="2: strokes twice as large, 0.5: half as large")
    add("--max-side", type=int, help="make pictures with a longer side smaller first")
    add("--tile", type=int, help="side of tiles in pixels (default: tiles of 512 where memory is short)")
    add("--max-pixels", type=int, default=MAX_PIXELS, help="refuse larger pictures (default: %(default)s)")
    add("--quality", type=int, default=95, help="1 to 100, for JPEG, WebP, AVIF and videos (default: %(default)s)")
    add("--start", type=seconds, default=0.0, help="videos: from this time on, seconds or h:mm:ss")
    add("--end", type=seconds, help="videos: up to this time")
    add("--temporal", type=float, nargs="?", const=0.8, help="steadier frames, 0 to below 1 (without number: 0.8)")
    add("--stats", action="store_true", help="videos and animations: print how much the result flickers")
    add("--compare", action="store_true", help="write before and after side by side")
    add("--sheet", type=Path, help="also lay all befores and afters out in one picture")
    add("--info", action="store_true", help="print the model's card and stop")
    add("--overwrite", action="store_true", help="replace output files that are there already")
    add("--device", help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)")
    return parser.parse_args(arguments)


def plan(options: argparse.Namespace, name: str) -> list[tuple[Path, Path]]:
    """Which file goes into which, checked before anything is painted."""
    from fastnst.stylization.outputs import pairs

    if options.input is None or (str(options.input) == "samples" and not options.input.exists()):
        from fastnst.data.sources import sample_photos

        photos = [photo for photo in sample_photos() if options.input is not None or photo.stem == "chelsea"]
        work = [pair for photo in photos for pair in pairs(photo, options.output, name)]
    else:
        work = pairs(options.input, options.output, name)
    if options.sheet is not None and options.sheet.suffix.lower() not in savable_extensions():
        raise InputError(f"--sheet {options.sheet}: expected one of {', '.join(savable_extensions())} at its end.")
    if len({output for _, output in work}) < len(work):
        raise InputError(f"--output {options.output} is one file for {len(work)} pictures: give a folder.")
    outputs = [output for _, output in work] + ([] if options.sheet is None else [options.sheet])
    taken = [output for output in outputs if output.exists()]
    if taken and not options.overwrite:
        raise InputError(
            f"{taken[0]} exists ({len(taken)} in all): add --overwrite to replace, or give another --output."
        )
    sources = {source.resolve() for source, _ in work}
    for output in taken:
        if output.resolve() in sources:
            raise InputError(f"--output {output} is the input itself: give another name.")
    return work


def streams(options: argparse.Namespace, stack: ExitStack) -> Path | None:
    """Put files in place of standard input and output; returns the one to copy to standard output."""
    if "-" not in (str(options.input), str(options.output)):
        return None
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastnst-")))
    if str(options.input) == "-":
        options.input = folder / "standard_input"
        with open(options.input, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    if str(options.output) != "-":
        return None
    options.output = folder / "standard_output.png"
    return options.output


def stylize_one(source: Path, output: Path, options: argparse.Namespace, stylizer: Any, controls: Any) -> tuple:
    """One file, still or moving: before and after of a still, a line about it, and why it ended early or None."""
    from tqdm import tqdm

    from fastnst.stylization.moving import Painter, is_moving, stylize_moving
    from fastnst.stylization.stills import stylize_still
    from fastnst.stylization.temporal import Flicker, Steady
    from fastnst.stylization.video_writer import CODECS

    shared = {"quality": options.quality, "overwrite": options.overwrite, "max_pixels": options.max_pixels}
    moves = is_moving(source, options.max_pixels)
    with tqdm(disable=None, leave=False, unit="frame", dynamic_ncols=True) as bar:

        def tell(done: float, total: int | None = 100) -> None:
            bar.total = total
            bar.update((done if moves else round(100 * done)) - bar.n)

        if not moves or output.suffix.lower() not in {*CODECS, ".gif", ".webp", ".png", ".apng", ".avif"}:
            bar.unit = "%"
            content, stylized, notes = stylize_still(
                source, output, stylizer, controls, compare=options.compare, progress=tell, **shared
            )
            size = f"{content.shape[-1]}x{content.shape[-2]}"
            return (content, stylized), f"{source} ({', '.join([size, *notes])}) -> {output}", None
        painter = Painter(stylizer, controls)
        painter.steady = None if options.temporal is None else Steady(options.temporal)
        painter.flicker = Flicker() if options.stats else None
        outcome = stylize_moving(source, output, painter, start=options.start, end=options.end, progress=tell, **shared)
    notes = [f"{outcome.frames} frames", *outcome.notes, *([str(painter.flicker)] if painter.flicker else [])]
    return None, f"{source} ({', '.join(notes)}) -> {output}", outcome.problem


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    paths = [find_model(name) for name in options.model]
    models = [load_model(path) for path in paths]
    if options.info:
        print(json.dumps(models[0].card if len(models) == 1 else [model.card for model in models], indent=2))
        return 0
    names = [
        path.stem if path.stem != "model" else model.card["style"]["name"]
        for path, model in zip(paths, models, strict=True)
    ]
    with ExitStack() as stack:
        to_standard_output = streams(options, stack)
        work = plan(options, "+".join(names))
        code = stylize_all(work, options, models, sys.stderr if to_standard_output else sys.stdout)
        if to_standard_output is not None and to_standard_output.exists():
            with open(to_standard_output, "rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
    return code


def stylize_all(work: list[tuple[Path, Path]], options: argparse.Namespace, models: list, out: Any) -> int:
    import torch
    from PIL import Image

    from fastnst.images.grids import labelled_grid
    from fastnst.stylization import Controls, Stylizer
    from fastnst.stylization.stills import read_mask

    if not 1 <= options.quality <= 100:
        raise InputError(f"--quality {options.quality}: quality {options.quality} is outside 1 to 100; 95 is good.")
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit answers, in one line
    if options.max_pixels > MAX_PIXELS:
        Image.MAX_IMAGE_PIXELS = options.max_pixels
    controls = Controls(
        options.strength, options.colors, options.detail,
        None if options.mask is None else read_mask(options.mask, options.max_pixels),
        options.stroke_scale, options.max_side,
    )  # fmt: skip
    try:
        stylizer = Stylizer(models, options.device, mix=options.mix, tile=options.tile)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {options.device}: {str(error).splitlines()[0]}") from None
    failed, shown = 0, []
    for number, (source, output) in enumerate(work, start=1):
        place = f"[{number}/{len(work)}]"
        try:
            still, line, problem = stylize_one(source, output, options, stylizer, controls)
        except (InputError, torch.OutOfMemoryError) as error:
            if len(work) == 1 and isinstance(error, InputError):
                raise
            failed += 1
            print(f"{place} {source} FAILED: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
            continue
        except KeyboardInterrupt:
            print(f"Stopped; what was finished until then: {output}", file=sys.stderr)
            return 130
        print(f"{place} {line}", file=out, flush=True)
        if problem is not None:
            failed += 1
            print(f"{problem}: what could be read is in {output}.", file=sys.stderr)
        if still is not None:
            content, stylized = still
            if controls.mask is not None and controls.mask.shape[-2:] != stylized.shape[-2:]:
                print(f"{options.mask}: the mask was resized to the picture.", file=sys.stderr)
            if options.sheet is not None:
                shown.append((source.stem, content, stylized))
    if shown:
        names, before, after = zip(*shown, strict=True)
        sheet = labelled_grid([before, after], names, ["before", "after"])
        save_image(sheet, options.sheet, overwrite=options.overwrite)
        print(f"Before and after: {options.sheet}", file=out)
    if failed and len(work) > 1:
        print(f"{failed} of {len(work)} failed, the others are done.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    with input_errors_end_with_code_2():
        sys.exit(main())
