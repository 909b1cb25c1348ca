"""Files below a folder or an object store's URL; each appears there whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastnst.errors import InputError, reason
from fastnst.writing import written_whole

WHOLE_ANYWAY = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss"}
"""Object stores show an upload when it is complete. Elsewhere a file gets its name when it is."""


class Tree:
    """A folder, or the same in a store that fsspec reaches (``s3://bucket/folder``, ``gs://``, ``hdfs://``, ...).

    Names are relative, with ``/``. Trees can be sent to other processes.

    Args:
        root: folder or URL.
    """

    def __init__(self, root: str | os.PathLike) -> None:
        root = os.fspath(root)
        self.remote = "://" in root
        self.root = root.rstrip("/") if self.remote else os.path.abspath(root)

    def where(self, name: str) -> str:
        return f"{self.root}/{name}"

    def local(self, name: str) -> Path | None:
        """The file's path, where a path leads to it."""
        return None if self.remote else Path(self.root, name)

    def sizes(self, below: str = "") -> dict[str, int]:
        """Every file's name and bytes, none where there is no such folder.

        Raises:
            InputError: the store cannot be reached, here and in all that follows.
        """
        with self._reached() as (filesystem, path):
            top = f"{path}/{below}".rstrip("/")
            filesystem.invalidate_cache()
            try:
                if self.remote:
                    filesystem.ls(top)  # `find` answers a missing bucket and missing rights with no files
                found = filesystem.find(top, detail=True)
            except FileNotFoundError:
                return {}
            inside = f"{path}/"  # a root that is a file holds none
            sizes = {name: int(entry.get("size") or 0) for name, entry in found.items() if name.startswith(inside)}
            return {name[len(inside) :]: size for name, size in sizes.items()}

    def has(self, name: str) -> bool:
        with self._reached() as (filesystem, path):
            return bool(filesystem.exists(f"{path}/{name}"))

    def read(self, name: str) -> bytes:
        with self._reached() as (filesystem, path):
            return filesystem.cat_file(f"{path}/{name}")

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file to this machine."""
        with self._reached() as (filesystem, path):
            filesystem.get_file(f"{path}/{name}", str(to))

    def put(self, file: Path, name: str) -> None:
        """Copy a file from this machine; one of that name is replaced."""
        if (local := self.local(name)) is not None:
            with written_whole(local) as beside:
                shutil.copyfile(file, beside)
            return
        with self._reached() as (filesystem, path):
            protocols = {filesystem.protocol} if isinstance(filesystem.protocol, str) else set(filesystem.protocol)
            if protocols & WHOLE_ANYWAY:
                filesystem.put_file(str(file), f"{path}/{name}")
                return
            folder, _, last = f"{path}/{name}".rpartition("/")
            unnamed = f"{folder}/.{uuid.uuid4().hex}.part"
            filesystem.makedirs(folder, exist_ok=True)
            filesystem.put_file(str(file), unnamed)
            with suppress(FileNotFoundError):
                filesystem.rm_file(f"{folder}/{last}")
            filesystem.mv(unnamed, f"{folder}/{last}")

    def remove(self, names: list[str]) -> None:
        with self._reached() as (filesystem, path), suppress(FileNotFoundError):
            if names:
                filesystem.rm([f"{path}/{name}" for name in names])

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """fsspec's file system and the root's path in it; what goes wrong is told in one line."""
        import fsspec.core

        try:
            filesystem, path = fsspec.core.url_to_fs(self.root)
            yield filesystem, path.rstrip("/")
        except FileNotFoundError as error:
            raise NotThere(f"{self.root}: there is no such bucket, folder or file ({reason(error)}).") from None
        except InputError:
            raise
        except Exception as error:  # each store has kinds of its own
            raise InputError(
                f"{self.root} cannot be reached ({reason(error)}): check the address and the credentials."
            ) from None


class NotThere(InputError):
    """A file or bucket that does not exist."""
