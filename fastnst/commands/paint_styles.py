"""Paint the project's own style pictures.

fastnst paint_styles                             # all ten, into styles_painted/
fastnst paint_styles --only mosaic --size 1536   # one, larger
fastnst paint_styles --random 64 --output varied # others: colours, scales and compositions drawn at random
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL.Image import Image

from fastnst import styles
from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError, require_whole
from fastnst.styles.variety import painting

# Close to lossless for the eye, and every picture stays below 400 kB.
JPEG_QUALITY = 92


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and write one JPEG for every picture asked for."""
    parser = ArgumentParser(prog=called("paint_styles"), description="Paint the project's own style pictures by code.")
    parser.add_argument("--output", type=Path, default=Path("styles_painted"), help="folder for the pictures")
    parser.add_argument("--size", type=int, default=styles.SHIPPED_SIZE, help="pixels along one side")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", metavar="NAME", help=f"paint just one of {', '.join(styles.NAMES)}")
    which.add_argument("--random", metavar="COUNT", type=int, help="paint so many at random, to train a start on")
    parser.add_argument("--overwrite", action="store_true", help="replace pictures that are already there")

    options = parser.parse_args(arguments)
    painters: dict[str, Callable[[int], Image]] = {}
    if options.random is None:
        for name in [options.only] if options.only is not None else styles.NAMES:
            painters[styles.picture_path(name).name] = partial(styles.paint, name)
    else:
        require_whole("--random", options.random, 1)
        painters = {f"varied_{seed:04}.jpg": partial(painting, seed) for seed in range(options.random)}
    present = [path for path in (options.output / name for name in painters) if path.exists()]
    if present and not options.overwrite:
        raise InputError(f"{present[0]} is already there; pass --overwrite to replace it, or another --output")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        for name, paint in painters.items():
            path = options.output / name
            paint(options.size).save(path, quality=JPEG_QUALITY, optimize=True)
            print(f"{path} ({path.stat().st_size // 1000} kB)", flush=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {options.output}: {error.strerror or error}; give another --output"
        ) from None
