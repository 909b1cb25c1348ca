"""Which pictures are to be painted: of a folder, a pattern, shards or a list; here or in an object store."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fastnst.cluster.tree import Tree
from fastnst.data.shards import Shards
from fastnst.errors import InputError
from fastnst.images.listing import list_images, readable_extensions
from fastnst.stylization.files.plan import is_visible_video
from fastnst.stylization.moving.video_reader import VIDEO_EXTENSIONS

COLUMNS = ("source", "path", "file", "filename", "url", "uri")
"""The column of a list that names the pictures; without one of these the first."""


class Picture(NamedTuple):
    """One picture to be painted.

    Attributes:
        source: its path or URL; of one in a shard the shard's, ``/``, and its name there.
        name: where it goes below the target, with the picture's own extension.
        shard: the shard's folder and file, where it lies in one.
        offset, size: its first byte and bytes in the shard.
    """

    source: str
    name: str
    shard: tuple[str, str] | None = None
    offset: int = 0
    size: int = 0


def list_pictures(source: str, target: str | None = None) -> list[Picture]:
    """All pictures of a source, by name; none below ``target``.

    Args:
        source: a folder with its sub-folders, a pattern with ``*``, ``?`` or ``**``, a ``.tar`` shard or several, a
            list (``.parquet`` or ``.csv``), or one file. A folder that holds shards and no pictures stands for these.
        target: where the results go.

    Raises:
        InputError: there is no such thing, or nothing in it.
    """
    if source.lower().endswith((".parquet", ".csv")) and not is_pattern(source):
        pictures = from_list(source)
    else:
        root, names = names_of(source)
        shards = [name for name in names if name.lower().endswith(".tar")]
        known = (*readable_extensions(), *VIDEO_EXTENSIONS)
        wanted = [name for name in names if name.lower().endswith(known)]
        pictures = [Picture(join(root, name), name) for name in wanted] or from_shards(root, shards)
    if target is not None:
        results = join(target if "://" in target else os.path.realpath(target), "")
        pictures = [each for each in pictures if not real(each.source).startswith(results)]
    if not pictures:
        raise InputError(f"--input {source}: no pictures there.")
    return sorted(pictures, key=lambda picture: picture.source)


def names_of(source: str) -> tuple[str, list[str]]:
    """The folder that names start from, and the names of all files that a source means; hidden ones are left out."""
    if "://" not in source:
        return _names_here(os.path.abspath(source))
    root, pattern = split_pattern(source)
    names = list(Tree(root).sizes())
    if not names:  # one file
        root, _, last = root.rpartition("/")
        names = [name for name in Tree(root).sizes() if name == last]
        if not names:
            raise InputError(f"--input {source}: there is no such folder, file or bucket.")
    matching = [name for name in names if pattern is None or matches(name, pattern)]
    return root, [name for name in matching if not any(part.startswith(".") for part in name.split("/"))]


def _names_here(source: str) -> tuple[str, list[str]]:
    path = Path(source)
    if path.is_dir():
        found = list_images(path)
        found += [each for each in path.rglob("*") if is_visible_video(each, path)]
        found = found or sorted(path.glob("*.tar"))
        return source, [each.relative_to(path).as_posix() for each in found]
    if path.is_file():
        return os.fspath(path.parent), [path.name]
    if not is_pattern(source):
        raise InputError(f"--input {source}: there is no such file or folder.")
    root, _ = split_pattern(source)
    names = [each for each in glob.glob(source, recursive=True) if os.path.isfile(each)]
    return root, [Path(each).relative_to(root).as_posix() for each in names]


def from_shards(root: str, names: list[str]) -> list[Picture]:
    """The pictures of these shards of a folder; those of ``a.tar`` go to the folder ``a``."""
    if not names:
        return []
    folders: dict[str, set[str]] = {}
    for name in names:
        folder, _, last = name.rpartition("/")
        folders.setdefault(folder, set()).add(last)
    found = []
    for folder, wanted in folders.items():
        where = join(root, folder) if folder else root
        shards = Shards(where)
        for path, place in shards.places.items():
            if place.shard in wanted:
                inside = path[len(os.fspath(Path(where, place.shard))) + 1 :]
                name = "/".join(filter(None, (folder, place.shard.removesuffix(".tar"), plain_name(inside))))
                source = join(where, f"{place.shard}/{inside}")
                found.append(Picture(source, name, (where, place.shard), place.offset, place.size))
    return found


def from_list(path: str) -> list[Picture]:
    """The pictures that a Parquet or CSV file names; relative paths start at its folder, and ``~`` is not known.

    They go where a column ``name`` says; without one, below the target as they lie below the folder that all of them
    share.

    Raises:
        InputError: no such file, or it names nothing.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    folder, _, last = os.path.abspath(path).rpartition("/") if "://" not in path else path.rpartition("/")
    data = pa.BufferReader(Tree(folder).read(last))
    try:
        table = pa.parquet.read_table(data) if path.lower().endswith(".parquet") else pa.csv.read_csv(data)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is no list that can be read ({str(error).splitlines()[0]}).") from None
    if not table.num_columns or not table.num_rows:
        raise InputError(f"{path} names no pictures.")
    column = next((name for name in COLUMNS if name in table.column_names), table.column_names[0])
    given = [str(each) for each in table[column].to_pylist() if each]
    sources = [each if "://" in each or os.path.isabs(each) else join(folder, each) for each in given]
    if "name" in table.column_names:
        names = [str(each) for each in table["name"].to_pylist()]
    else:
        inner = [(each.partition("://")[2] or each).lstrip("/") for each in sources]
        shared = os.path.commonpath([os.path.dirname(each) for each in inner])
        names = [each[len(shared) :] for each in inner]
    twice = [source for source, count in Counter(sources).items() if count > 1]
    if twice:
        raise InputError(f"{path} names {twice[0]} more than once ({len(twice)} such): name each picture once.")
    if len(names) != len(sources):
        raise InputError(f"{path} has a column `name` but not a `{column}` in each row.")
    return [Picture(source, plain_name(name)) for source, name in zip(sources, names, strict=True)]


def shared_stems(pictures: Iterable[Picture]) -> set[str]:
    """Names without extension that several pictures have: their results keep the whole name (``a.jpg.png``)."""
    stems = Counter(os.path.splitext(picture.name)[0] for picture in pictures)
    return {stem for stem, count in stems.items() if count > 1}


def plain_name(name: str) -> str:
    """A name that stays below the target, whatever an archive or a list says."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts) or "unnamed"


def is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not os.path.exists(source)


def split_pattern(source: str) -> tuple[str, str | None]:
    """``s3://b/x/*/a?.jpg`` as ``s3://b/x`` and ``*/a?.jpg``; None where nothing in it is a pattern."""
    parts = source.rstrip("/").split("/")
    first = next((place for place, part in enumerate(parts) if glob.has_magic(part)), None)
    if first is None:
        return "/".join(parts), None
    return "/".join(parts[:first]) or ("/" if source.startswith("/") else "."), "/".join(parts[first:])


def matches(name: str, pattern: str) -> bool:
    """``**`` stands for any number of folders, ``*`` for a part of one name."""
    names, patterns = name.split("/"), pattern.split("/")

    def rest(i: int, j: int) -> bool:
        if j == len(patterns):
            return i == len(names)
        if patterns[j] == "**":
            return any(rest(k, j + 1) for k in range(i, len(names) + 1))
        return i < len(names) and fnmatch(names[i], patterns[j]) and rest(i + 1, j + 1)

    return rest(0, 0)


def join(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}"


def real(source: str) -> str:
    return source if "://" in source else os.path.realpath(source)
