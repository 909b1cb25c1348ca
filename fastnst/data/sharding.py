"""Pack a folder of photographs into shards: plain tar files that WebDataset reads too, with an index of their own."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fastnst.data.shards import FORMAT, INDEX, Store, members_of
from fastnst.errors import InputError
from fastnst.writing import written_whole


def write_shards(
    photos: Sequence[Path],
    root: Path,
    folder: Path,
    shard_bytes: int = 1 << 30,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> list[Path]:
    """Pack files, unchanged, into ``folder/photos-000000.tar`` and so on, and write the index.

    The same photographs give the same bytes. A shard appears under its name only when it is complete.

    Args:
        photos: picture files under ``root``.
        root: their names in the shards are relative to it; dots before the extension become underscores, because
            WebDataset cuts names at the first dot.
        folder: made where it is missing; must not hold shards already.
        shard_bytes: a new shard is begun rather than pass this size; one photograph is never divided.
        progress: called with how many are done and how many there are.

    Returns:
        The shards.

    Raises:
        InputError: shards are there already, a photograph cannot be read, or the disk is full.
    """
    if folder.is_dir() and (any(folder.glob("*.tar")) or (folder / INDEX).exists()):
        raise InputError(f"{folder} holds shards already; they are not replaced: choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); choose another folder") from None
    shards: list[Path] = []
    taken: set[str] = set()
    done = 0
    while done < len(photos):
        shard = folder / f"photos-{len(shards):06}.tar"
        finished = f"{len(shards)} shards are finished"
        with written_whole(shard, finished) as beside, tarfile.open(beside, "w", format=tarfile.PAX_FORMAT) as archive:
            first = done
            while done < len(photos):
                path = photos[done]
                try:
                    content = path.read_bytes()
                except OSError as error:
                    raise InputError(f"{path} cannot be read ({error.strerror}); {finished}") from None
                if done > first and archive.offset + len(content) > shard_bytes:
                    break
                member = tarfile.TarInfo(_member_name(path.relative_to(root), taken))
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
                done += 1
                progress(done, len(photos))
        shards.append(shard)
    write_index(folder)
    return shards


def write_index(root: str | os.PathLike, progress: Callable[[int, int], object] = lambda done, total: None) -> int:
    """Read all shards of a folder or object store through and write their index beside them.

    Returns:
        How many photographs there are.

    Raises:
        InputError: no shards, a damaged one, or the index cannot be written.
    """

    def refuse(message: str) -> None:
        raise InputError(f"{message}; make that shard anew, then the index")

    store = Store(root)
    names = [name for name in store.sizes() if name != INDEX]
    if not names:
        raise InputError(f"{store.root} holds no shards (*.tar)")
    shards, count = {}, 0
    for done, name in enumerate(names, start=1):
        with store.open(name) as file:
            size = file.seek(0, os.SEEK_END)
        members = members_of(store, name, refuse)
        shards[name] = {"bytes": size, "members": members}
        count += len(members)
        progress(done, len(names))
    store.write(INDEX, json.dumps({"format": FORMAT, "shards": shards}, separators=(",", ":")).encode())
    return count


def _member_name(relative: Path, taken: set[str]) -> str:
    stem = relative.stem.replace(".", "_")
    name = relative.with_name(f"{stem}{relative.suffix}").as_posix()
    number = 1
    while name in taken:
        number += 1
        name = relative.with_name(f"{stem}_{number}{relative.suffix}").as_posix()
    taken.add(name)
    return name
