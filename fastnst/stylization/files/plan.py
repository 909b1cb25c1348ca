"""Which file a picture, a folder of pictures or a video is stylized into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fastnst.errors import InputError
from fastnst.images.listing import list_images
from fastnst.images.numbered import is_numbered
from fastnst.images.saving import savable_extensions
from fastnst.stylization.moving.parts import parts_folder
from fastnst.stylization.moving.video_reader import VIDEO_EXTENSIONS
from fastnst.stylization.moving.video_writer import CODECS
from fastnst.stylization.probe import ANIMATED, ANIMATION, VIDEO, probe


def plan(
    sources: Sequence[Path],
    output: Path | None,
    model: str,
    *,
    kind: str | None = None,
    sheet: Path | None = None,
    overwrite: bool = False,
    folder: str = "stylized",
    resume: bool = False,
    preview: bool = False,
) -> list[tuple[Path, Path]]:
    """:func:`pairs` of everything there is to do, checked before anything is painted.

    Args:
        sources: files and folders.
        output: as for :func:`pairs`.
        model: likewise.
        kind: likewise.
        sheet: a picture that is written, too.
        overwrite: files that are there already may be replaced, though never the input.
        folder: likewise.
        resume: likewise videos that were interrupted.
        preview: videos only, into files of other names.

    Raises:
        InputError: no input, or an output that cannot hold it, or that is taken.
    """
    work = [pair for source in sources for pair in pairs(source, output, model, kind, folder)]
    if preview:
        if any(probe(path).kind != VIDEO for path, _ in work):
            raise InputError("--preview is for videos: the first second of one.")
        work = [(path, output.with_suffix(f".preview{output.suffix}")) for path, output in work]
    if sheet is not None and sheet.suffix.lower() not in savable_extensions():
        raise InputError(f"--sheet {sheet}: expected one of {', '.join(savable_extensions())} at its end.")
    if len({output for _, output in work}) < len(work):
        raise InputError(f"--output {output} is one file for {len(work)} pictures: give a folder.")
    outputs = [output for _, output in work] + ([] if sheet is None else [sheet])
    taken = [path for path in outputs if path.exists() and not (resume and parts_folder(path).exists())]
    if taken and not overwrite:
        raise InputError(
            f"{taken[0]} exists ({len(taken)} in all): add --overwrite to replace, or give another --output."
        )
    inputs = {source.resolve() for source, _ in work}
    for path in taken:
        if path.resolve() in inputs:
            raise InputError(f"--output {path} is the input itself: give another name.")
    return work


def pairs(
    source: Path, output: Path | None, model: str, kind: str | None = None, folder: str = "stylized"
) -> list[tuple[Path, Path]]:
    """Each input file with its output file: folders keep their structure, one file goes to a file or into a folder.

    Args:
        source: a file or a folder.
        output: a file, a folder, or None for a file or folder in ``folder``.
        model: the name that default outputs end in.
        kind: the format of outputs that are not named, for instance ``jpg``; in a folder, of all that can be written
            so. None: PNG, and animations and videos keep their format.
        folder: of outputs without a name.

    Raises:
        InputError: there is no input, or the output cannot hold it.
    """
    extension = as_extension(kind)
    if source.is_dir():
        return _pairs_in_folder(source, output or Path(folder) / f"{source.resolve().name}_{model}", extension)
    numbered = is_numbered(source) and not source.exists()
    if not source.is_file() and not numbered:
        raise InputError(f"--input {source}: there is no such file or folder.")
    if numbered:
        probe(source)
        if output is None or output.is_dir() or not output.suffix:
            output = (output or Path(folder) / f"{source.resolve().parent.name}_{model}") / source.name
            output = output.with_suffix(extension or output.suffix)
    elif source.stat().st_size == 0:  # what it was to hold, and so where it could go, nobody can tell
        raise InputError(f"{source} is empty (0 bytes); get the file again")
    if output is None or output.is_dir() or not output.suffix:
        output = (output or Path(folder)) / f"{source.stem}_{model}{extension or default_extension(source)}"
    elif extension is not None and output.suffix.lower() != extension:
        raise InputError(f"--format {kind} and --output {output} name two formats: give one of them.")
    formats = formats_for(source)
    if is_numbered(output):
        formats = savable_extensions()
        if output.resolve() == source.resolve():
            raise InputError(f"--output {output} is the input itself: give another name.")
    if output.suffix.lower() not in formats:
        raise InputError(f"--output {output}: expected one of {', '.join(formats)} at its end.")
    return [(source, output)]


def _pairs_in_folder(source: Path, target: Path, extension: str | None = None) -> list[tuple[Path, Path]]:
    if target.is_file():
        raise InputError(f"--output {target} is a file and --input {source} a folder: give a folder for the results.")
    found = list_images(source) + [path for path in source.rglob("*") if is_visible_video(path, source)]
    results = target.resolve()
    pictures = [path for path in sorted(found) if results not in path.resolve().parents]
    if not pictures:
        raise InputError(f"--input {source}: no pictures in this folder or below it.")
    names = [path.relative_to(source) for path in pictures]
    outputs = [name.with_suffix(ending_for(path, extension)) for name, path in zip(names, pictures, strict=True)]
    shared = Counter(outputs)
    return [
        (path, target / (result if shared[result] == 1 else Path(f"{name}{result.suffix}")))
        for path, name, result in zip(pictures, names, outputs, strict=True)
    ]


def formats_for(source: Path) -> list[str]:
    """Extensions that a file can be stylized into."""
    kind = probe(source).kind
    if kind == VIDEO:
        return [*CODECS, *ANIMATED]
    return savable_extensions() + ([*CODECS, ".gif", ".apng"] if kind == ANIMATION else [])


def as_extension(kind: str | None) -> str | None:
    """``jpg`` as ``.jpg``.

    Raises:
        InputError: nothing is saved as that.
    """
    if kind is None:
        return None
    extension = f".{kind.lower().lstrip('.')}"
    if extension not in {*savable_extensions(), *CODECS, *ANIMATED}:
        raise InputError(f"--format {kind}: expected one of {', '.join(endings_without_dots())}.")
    return extension


def ending_for(source: Path, extension: str | None) -> str:
    """What one of many files is saved as: ``extension``, if a still can be, or what moves goes on moving in it."""
    default = default_extension(source)
    possible = savable_extensions() if default == ".png" else [*CODECS, *ANIMATED]
    return extension if extension in possible else default


def endings_without_dots() -> list[str]:
    """Everything that ``--format`` takes."""
    return [extension[1:] for extension in dict.fromkeys([*savable_extensions(), *ANIMATED, *CODECS])]


def is_visible_video(path: Path, folder: Path) -> bool:
    """Whether a file below ``folder`` is a video that is not hidden."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in VIDEO_EXTENSIONS and not hidden and path.is_file()


def default_extension(source: Path) -> str:
    """What is moving keeps its format where it can be written; pictures become PNG files."""
    extension = source.suffix.lower()
    if extension in VIDEO_EXTENSIONS:
        return extension if extension in CODECS else ".mp4"
    return extension if extension in ANIMATED and extension != ".png" and probe(source).kind == ANIMATION else ".png"
