"""Stylize a picture or a folder of pictures with a trained model."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a source tree that is not installed, too

from fastnst.checkpoints import find_model, load_model
from fastnst.errors import InputError, input_errors_end_with_code_2
from fastnst.images.files import list_images, read_image_with_alpha, savable_extensions, save_image
from fastnst.images.grids import labelled_grid, side_by_side


class ArgumentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help.")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a model file, or the name of one in checkpoints/")
    parser.add_argument(
        "--input", type=Path, help="picture or folder; `samples`: all sample photographs (default: one)"
    )
    parser.add_argument("--output", type=Path, help="file or folder (default: stylized/, or a file in it)")
    parser.add_argument("--compare", action="store_true", help="write before and after side by side")
    parser.add_argument("--sheet", type=Path, help="also lay all befores and afters out in one picture")
    parser.add_argument("--info", action="store_true", help="print the model's card and stop")
    parser.add_argument("--overwrite", action="store_true", help="replace output files that are there already")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)")
    return parser.parse_args(arguments)


def pairs(source: Path, output: Path | None, model: str) -> list[tuple[Path, Path]]:
    """Which picture goes into which file: folders keep their structure, one picture goes to a file or into a folder."""
    if not source.is_dir():
        if not source.is_file():
            raise InputError(f"--input {source}: there is no such file or folder.")
        if output is None or output.is_dir() or not output.suffix:
            output = (output or Path("stylized")) / f"{source.stem}_{model}.png"
        if output.suffix.lower() not in savable_extensions():
            raise InputError(f"--output {output}: expected one of {', '.join(savable_extensions())} at its end.")
        return [(source, output)]
    target = output or Path("stylized") / f"{source.resolve().name}_{model}"
    if target.is_file():
        raise InputError(f"--output {target} is a file and --input {source} a folder: give a folder for the results.")
    pictures = [path for path in list_images(source) if target.resolve() not in path.resolve().parents]
    if not pictures:
        raise InputError(f"--input {source}: no pictures in this folder or below it.")
    names = [path.relative_to(source) for path in pictures]
    stems = [name.with_suffix("") for name in names]
    return [
        (path, target / (name.with_suffix(".png") if stems.count(stem) == 1 else Path(f"{name}.png")))
        for path, name, stem in zip(pictures, names, stems, strict=True)
    ]


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    path = find_model(options.model)
    model = load_model(path)
    if options.info:
        print(json.dumps(model.card, indent=2))
        return 0
    name = path.stem if path.stem != "model" else model.card["style"]["name"]
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

    import torch

    from fastnst.stylization import Stylizer

    try:
        stylizer = Stylizer(model, options.device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {options.device}: {str(error).splitlines()[0]}") from None
    failed, shown = [], []
    for number, (picture, output) in enumerate(work, start=1):
        try:
            content, alpha = read_image_with_alpha(picture)
            stylized = stylizer(content)
            if options.sheet is not None:
                shown.append((picture.stem, content, stylized))
            if options.compare:
                stylized, alpha = side_by_side(content, stylized), None
            save_image(stylized, output, alpha=alpha, overwrite=options.overwrite)
            height, width = content.shape[-2:]
            print(f"[{number}/{len(work)}] {picture} ({width}x{height}) -> {output}", flush=True)
        except (InputError, torch.OutOfMemoryError) as error:
            if len(work) == 1 and isinstance(error, InputError):
                raise
            failed.append(picture)
            print(f"[{number}/{len(work)}] {picture} FAILED: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
    if shown:
        names, before, after = zip(*shown, strict=True)
        save_image(
            labelled_grid([before, after], names, ["before", "after"]), options.sheet, overwrite=options.overwrite
        )
        print(f"Before and after: {options.sheet}")
    if failed:
        print(f"{len(failed)} of {len(work)} failed, the others are done.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    with input_errors_end_with_code_2():
        sys.exit(main())
