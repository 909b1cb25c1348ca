"""Which file a picture, a folder of pictures or a video is stylized into."""

from __future__ import annotations

from pathlib import Path

from fastnst.errors import InputError
from fastnst.images.files import list_images, savable_extensions
from fastnst.stylization.animation import ANIMATED
from fastnst.stylization.moving import is_moving
from fastnst.stylization.video_reader import VIDEO_EXTENSIONS
from fastnst.stylization.video_writer import CODECS


def pairs(source: Path, output: Path | None, model: str) -> list[tuple[Path, Path]]:
    """Each input file with its output file: folders keep their structure, one file goes to a file or into a folder.

    Args:
        source: a file or a folder.
        output: a file, a folder, or None for a file or folder in ``stylized/``.
        model: the name that default outputs end in.

    Raises:
        InputError: there is no input, or the output cannot hold it.
    """
    if source.is_dir():
        return _pairs_in_folder(source, output, model)
    if not source.is_file():
        raise InputError(f"--input {source}: there is no such file or folder.")
    if output is None or output.is_dir() or not output.suffix:
        output = (output or Path("stylized")) / f"{source.stem}_{model}{default_extension(source)}"
    moving = source.suffix.lower() in VIDEO_EXTENSIONS
    formats = [*CODECS, *ANIMATED] if moving else savable_extensions()
    if output.suffix.lower() not in formats and not (
        output.suffix.lower() in {*CODECS, *ANIMATED} and is_moving(source)
    ):
        raise InputError(f"--output {output}: expected one of {', '.join(formats)} at its end.")
    return [(source, output)]


def _pairs_in_folder(source: Path, output: Path | None, model: str) -> list[tuple[Path, Path]]:
    target = output or Path("stylized") / f"{source.resolve().name}_{model}"
    if target.is_file():
        raise InputError(f"--output {target} is a file and --input {source} a folder: give a folder for the results.")
    found = list_images(source) + [path for path in source.rglob("*") if is_visible_video(path, source)]
    pictures = [path for path in sorted(found) if target.resolve() not in path.resolve().parents]
    if not pictures:
        raise InputError(f"--input {source}: no pictures in this folder or below it.")
    names = [path.relative_to(source) for path in pictures]
    outputs = [name.with_suffix(default_extension(path)) for name, path in zip(names, pictures, strict=True)]
    return [
        (path, target / (result if outputs.count(result) == 1 else Path(f"{name}{result.suffix}")))
        for path, name, result in zip(pictures, names, outputs, strict=True)
    ]


def is_visible_video(path: Path, folder: Path) -> bool:
    """Whether a file below ``folder`` is a video that is not hidden."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in VIDEO_EXTENSIONS and not hidden and path.is_file()


def default_extension(source: Path) -> str:
    """What is moving keeps its format where it can be written; pictures become PNG files."""
    extension = source.suffix.lower()
    if extension in VIDEO_EXTENSIONS:
        return extension if extension in CODECS else ".mp4"
    try:
        return extension if is_moving(source) else ".png"
    except InputError:  # too many pixels: whoever reads it says so
        return ".png"
