"""Photographs inside tar files (shards, as WebDataset has them), in a folder or an object store.

Each photograph is read by its place in its shard, so training draws them in the same order, resumes at the same step
and divides them among processes exactly as from a folder. The places stand in an index beside the shards; shards
without one are read through once. See :mod:`fastnst.data.sharding` for how both are made.
"""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from PIL import Image

from fastnst.command_line import called
from fastnst.errors import InputError
from fastnst.images.listing import readable_extensions
from fastnst.images.reading import MAX_PIXELS, open_image
from fastnst.writing import written_whole

INDEX = "fastnst_index.json"
FORMAT = 1
LARGEST_INDEX = 1 << 30  # bytes


class Place(NamedTuple):
    """Where a photograph lies: its shard, and the first byte and the number of bytes in it."""

    shard: str
    offset: int
    size: int


class SourceLost(InputError):
    """What holds many photographs does not answer: that is no broken photograph to be passed over."""


REFUSALS = (401, 403, 405, 410)
"""HTTP's answers that stay the same however often one asks (RFC 9110, section 15.5)."""


class Store:
    """Files of one folder, local or remote (``s3://bucket/folder``, ``gs://...``, ``https://...``: any fsspec URL).

    Args:
        root: folder or URL.
        attempts: so often a remote read is tried before :class:`SourceLost`.
        pause: seconds before the second try, doubled each time.
    """

    def __init__(self, root: str | os.PathLike, attempts: int = 5, pause: float = 1.0) -> None:
        self.root = os.fspath(root).rstrip("/") or "/"
        self.remote = "://" in self.root
        self.attempts = attempts
        self.pause = pause

    def sizes(self) -> dict[str, int | None]:
        """The ``*.tar`` files and the index, with their sizes where the store tells them.

        Raises:
            InputError: there is no such folder.
        """
        if not self.remote:
            if not os.path.isdir(self.root):
                kind = "a file" if os.path.exists(self.root) else "not there"
                raise InputError(f"{self.root} is {kind}; give the folder that holds the shards (*.tar)")
            listed = {entry.name: entry.stat().st_size for entry in os.scandir(self.root) if entry.is_file()}
        else:
            filesystem, path = self._filesystem()
            try:
                entries = self._patiently(lambda: filesystem.ls(path, detail=True), "the list of shards")
            except (SourceLost, FileNotFoundError):  # a web server need not list its folders
                entries = [{"name": f"{path}/{INDEX}", "size": None}] if filesystem.exists(f"{path}/{INDEX}") else []
            listed = {PurePosixPath(entry["name"].split("?")[0]).name: entry.get("size") for entry in entries}
        wanted = {name: size for name, size in listed.items() if not name.startswith(".")}
        return {name: wanted[name] for name in sorted(wanted) if name.endswith(".tar") or name == INDEX}

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes of a file, all or a part; fewer where it ends before.

        Raises:
            SourceLost: it is gone, or does not answer.
        """
        if not self.remote:
            try:
                with open(os.path.join(self.root, name), "rb") as file:
                    file.seek(start)
                    there = max(0, os.fstat(file.fileno()).st_size - start)  # room is made for all that is asked for
                    return file.read(there if size is None else min(size, there))
            except OSError as error:
                raise SourceLost(f"{self.root}/{name} cannot be read ({error.strerror}); was it moved?") from error
        filesystem, path = self._filesystem()
        stop = None if size is None else start + size
        return self._patiently(lambda: filesystem.cat_file(f"{path}/{name}", start=start, end=stop), name)

    def open(self, name: str) -> IO[bytes]:
        """A file to read through."""
        if not self.remote:
            return open(os.path.join(self.root, name), "rb")
        filesystem, path = self._filesystem()
        return self._patiently(lambda: filesystem.open(f"{path}/{name}", "rb"), name)

    def write(self, name: str, data: bytes) -> None:
        """Put a new file there; in a folder it appears only when it is complete."""
        if self.remote:
            filesystem, path = self._filesystem()
            self._patiently(lambda: filesystem.pipe_file(f"{path}/{name}", data), name)
            return
        with written_whole(Path(self.root, name)) as beside:
            beside.write_bytes(data)

    def _filesystem(self) -> tuple[Any, str]:
        """Asked for anew each time: fsspec keeps one per process, and a loading process must not use another's."""
        import fsspec.core

        try:
            filesystem, path = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:  # s3fs, gcsfs and the like are packages of their own
            raise InputError(f"{self.root} cannot be reached: {error}") from None
        return filesystem, path.rstrip("/")

    def _patiently(self, read: Callable[[], Any], what: str) -> Any:
        for attempt in range(self.attempts):
            try:
                return read()
            except FileNotFoundError:
                raise SourceLost(f"{self.root} has no {what}; was it moved?") from None
            except Exception as error:  # each store has kinds of its own
                problem = str(error) or type(error).__name__
                if isinstance(error, PermissionError) or getattr(error, "status", None) in REFUSALS:
                    raise SourceLost(f"{self.root} refuses {what} ({problem}); may you read it?") from None
            if attempt + 1 < self.attempts:
                time.sleep(self.pause * 2**attempt)
        raise SourceLost(f"{self.root} does not answer ({what}: {problem}); try again later, nothing is lost")


class Shards:
    """The photographs of all shards of a store, by name: ``ROOT/SHARD.tar/path/in/the/shard.jpg``.

    Args:
        root: folder or URL of the shards.
        warn: told about shards that are damaged or have no index.

    Attributes:
        photos: the names, in the order of shards and of places in them.
        places: by name, where each lies.

    Raises:
        InputError: no shards, no photographs in them, or an index that is damaged.
    """

    def __init__(self, root: str | os.PathLike, warn: Callable[[str], object] = lambda message: None) -> None:
        self.store = Store(root)
        sizes = self.store.sizes()
        known = self._known(sizes)
        places: dict[str, Place] = {}
        unknown = [name for name in sizes if name != INDEX and name not in known]
        if unknown and self.store.remote:
            warn(
                f"{len(unknown)} shards in {self.store.root} have no index and are read through now; make one for next "
                f"time: {called('make_shards')} --index {self.store.root}"
            )
        for shard in sorted({*known, *unknown}):
            members = known[shard] if shard in known else members_of(self.store, shard, warn)
            for name, offset, size in members:
                path = os.fspath(Path(self.store.root, shard, name))
                while path in places:  # tar files may hold a name twice
                    path += "+"
                places[path] = Place(shard, offset, size)
        if not places:
            raise InputError(f"{self.store.root} holds no shards with pictures (*.tar); make some: make_shards.py")
        self.places = places
        self.photos = [Path(name) for name in places]

    def open_photo(
        self, path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS, draft_size: int | None = None
    ) -> Image.Image:
        """Like :func:`~fastnst.images.reading.open_image`, for one of ``photos``.

        Raises:
            SourceLost: the shard is gone or the store does not answer.
            InputError: what lies there is not a picture that can be read.
        """
        place = self.places[os.fspath(path)]
        data = self.store.read(place.shard, place.offset, place.size)
        return open_image(path, data=data, max_pixels=max_pixels, draft_size=draft_size)

    def _known(self, sizes: dict[str, int | None]) -> dict[str, list[tuple[str, int, int]]]:
        """What the index says of the shards whose size has not changed since."""
        if INDEX not in sizes:
            return {}
        if (sizes[INDEX] or 0) > LARGEST_INDEX:
            raise InputError(f"{self.store.root}/{INDEX} is larger than {LARGEST_INDEX:,} bytes; make it anew")
        listed = len(sizes) > 1
        found = {}
        try:
            index = json.loads(self.store.read(INDEX, size=sizes[INDEX]))
            if index["format"] != FORMAT:
                raise InputError(
                    f"{self.store.root}/{INDEX} has format {index['format']!r}, this program knows {FORMAT}; make it "
                    f"anew: {called('make_shards')} --index {self.store.root}"
                )
            for shard, entry in index["shards"].items():
                if "/" in shard or "\\" in shard or not shard.endswith(".tar"):
                    raise ValueError(f"shard name {shard!r}")
                if (listed and shard not in sizes) or sizes.get(shard) not in (None, entry["bytes"]):
                    continue
                members = [(str(name), int(offset), int(size)) for name, offset, size in entry["members"]]
                if any(offset < 0 or size < 0 or offset + size > entry["bytes"] for _, offset, size in members):
                    raise ValueError(f"places outside {shard}")
                found[shard] = members
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{self.store.root}/{INDEX} is damaged ({error}); delete it, or make it anew: "
                f"{called('make_shards')} --index {self.store.root}"
            ) from None
        return found


def members_of(
    store: Store, shard: str, warn: Callable[[str], object] = lambda message: None
) -> list[tuple[str, int, int]]:
    """Names, first bytes and sizes of the pictures in a shard; of a damaged one, those before the damage."""
    extensions = tuple(readable_extensions())
    found = []
    with store.open(shard) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if member.isreg() and name.lower().endswith(extensions) and not name.startswith("."):
                        found.append((member.name, member.offset_data, member.size))
        except tarfile.TarError as error:
            warn(
                f"shard {store.root}/{shard} is no whole, uncompressed tar file ({error}): "
                f"{len(found)} pictures before that place are used"
            )
    return found
