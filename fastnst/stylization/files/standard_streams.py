"""Files in place of standard input and output: formats are read backwards and forwards, and told by their names."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from PIL import Image

from fastnst.errors import InputError
from fastnst.stylization.files.plan import default_extension
from fastnst.stylization.moving.video_reader import import_av
from fastnst.stylization.probe import ANIMATED

STREAM = Path("-")
"""What stands for standard input or output in place of a path."""

MOST_BYTES = 4_000_000_000
"""Of standard input: whatever comes from there lies in the temporary folder until it is read."""


@contextmanager
def files_for_streams(
    source: Path, output: Path | None, kind: str | None, given: TextIO, taken: TextIO
) -> Iterator[tuple[Path, Path | None]]:
    """Two paths for two that may be :data:`STREAM`; what is in the second at the end goes to ``taken``.

    Args:
        source: where the picture is, or :data:`STREAM`.
        output: where it goes, or :data:`STREAM`.
        kind: format of the stream, for instance ``jpg``. None: PNG, and animations and videos keep their format.
        given: standard input.
        taken: standard output.

    Raises:
        InputError: a folder for standard output, or no end of standard input.
    """
    if STREAM not in (source, output):
        yield source, output
        return
    with tempfile.TemporaryDirectory(prefix="fastnst-") as folder:
        if source == STREAM:
            source = Path(folder) / "standard_input"
            with open(source, "wb") as file:
                left = MOST_BYTES
                while left >= 0 and (block := given.buffer.read(1 << 20)):
                    left -= file.write(block)
            if left < 0:
                raise InputError(f"standard input gives more than {MOST_BYTES:,} bytes: save it as a file first.")
            source = source.rename(source.with_suffix(sniffed_extension(source)))
        if output != STREAM:
            yield source, output
            return
        if source.is_dir():
            raise InputError(f"--output - holds one picture, and --input {source} is a folder: give a folder.")
        output = Path(folder) / f"standard_output{f'.{kind}' if kind else default_extension(source)}"
        yield source, output
        if output.exists():
            with open(output, "rb") as file:
                shutil.copyfileobj(file, taken.buffer)


def sniffed_extension(path: Path) -> str:
    """The extension of what a file holds: an animation's own, a video's, none for everything else."""
    with suppress(Exception), Image.open(path) as picture:
        return next((extension for extension, name in ANIMATED.items() if name == picture.format), "")
    with suppress(Exception), import_av().open(str(path)) as container:
        pictures = container.format.name.endswith(("_pipe", "image2"))
        if not pictures and any(stream.average_rate for stream in container.streams.video):
            return ".mp4" if "mp4" in container.format.name else ".mkv"
    return ""
