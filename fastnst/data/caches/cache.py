"""A cache of photographs that are decoded and made small once, so that a fast GPU does not wait for JPEG files.

It holds each photograph whole, as plain bytes, its shorter side as long as the largest scale of a run asks for: crops
and scales stay as random as without it. They are resampled twice instead of once, so they are a trace softer;
everything else (which photograph, where, how large, which are unreadable) is the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.reading import MAX_PIXELS, open_image
from fastnst.places import home
from fastnst.writing import written_whole

FORMAT = 1
PHOTOS_IN_PART = 256  # about; a part is what is built, found out of date and built again
FORGOTTEN_AFTER = 30 * 24 * 3600  # seconds after which a part that no run has used is removed
ADVICE = "make room, give data.cache_dir=FOLDER, or train with data.cache=false"
_NAME = re.compile(r"[0-9a-f]{40}\.(json|bin|lock)")


class Stored(NamedTuple):
    """A photograph in the cache: file, first byte, and size in pixels."""

    file: str
    offset: int
    width: int
    height: int


class PhotoCache:
    """Photographs of one folder, made small.

    They are divided into parts by a hash of their names. The name of a part's two files follows from the names, sizes
    and times of its photographs and from the settings: a changed photograph makes its part be built anew, an
    interrupted build resumes where it was, and processes that build at once divide the parts among themselves.

    Args:
        photos: picture files.
        root: the folder that they are in.
        short: length of the shorter side in pixels; smaller photographs are kept as they are.
        folder: holds the caches of all folders; made where it is missing. None: :func:`fastnst.places.home`.
        max_pixels: larger files count as unreadable.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        root: Path,
        short: int,
        folder: str | os.PathLike | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.short = short
        self.max_pixels = max_pixels
        real = os.path.realpath(root)
        identity = hashlib.sha256(f"{FORMAT} {short} {max_pixels} {real}".encode()).hexdigest()[:16]
        parent = home() if folder is None else Path(folder).expanduser()
        self.folder = parent / f"{Path(real).name or 'root'}-{short}-{identity}"
        count = 1 << max(0, math.ceil(math.log2(max(1, len(photos)) / PHOTOS_IN_PART)))
        parts: list[list[tuple[str, str]]] = [[] for _ in range(count)]
        prefix = len(os.fspath(root).rstrip(os.sep)) + 1
        for photo in photos:
            path = os.fspath(photo)
            name = path[prefix:]
            parts[int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % count].append((name, path))
        self._parts = {self._digest(part): part for part in parts if part}
        self._stored: dict[str, Stored | str] = {}  # or the reason why it cannot be read

    def build(self, progress: Callable[[int, int], object] = lambda done, total: None) -> None:
        """Build what is missing or out of date, then load the table of contents.

        Args:
            progress: called with how many photographs are stored and how many there will be, only while building.

        Raises:
            InputError: the folder cannot be made or written, or the disk is too small.
        """
        missing = [digest for digest in self._parts if not self._whole(digest)]
        total = sum(len(part) for part in self._parts.values())
        if missing:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"the cache {self.folder} cannot be made ({error.strerror}): give data.cache_dir"
                ) from None
            self._require_space(missing)
            done = total - sum(len(self._parts[digest]) for digest in missing)
            start = os.getpid() % len(missing)  # others begin elsewhere
            for digest in missing[start:] + missing[:start]:
                with self._lock(digest):  # whoever comes second finds it built
                    if not self._whole(digest):
                        self._build_part(digest)
                done += len(self._parts[digest])
                progress(done, total)
        for digest, part in self._parts.items():
            index = self._file(digest, "json")
            contents = json.loads(index.read_text(encoding="utf-8"))["photos"]
            for name, path in part:
                entry = contents[name]
                self._stored[path] = entry if isinstance(entry, str) else Stored(self._name(digest), *entry)
            with suppress(OSError):
                os.utime(index)  # used today
        self._forget()

    def open_photo(
        self, path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS, draft_size: int | None = None
    ) -> Image.Image:
        """The small copy of a photograph; the arguments are those of ``open_image`` and change nothing here.

        Raises:
            InputError: the photograph could not be read when the cache was built.
        """
        stored = self._stored[os.fspath(path)]
        if isinstance(stored, str):
            raise InputError(stored)
        length = stored.width * stored.height * 3
        try:
            with open(stored.file, "rb") as file:
                file.seek(stored.offset)
                pixels = file.read(length)
        except OSError:
            pixels = b""
        if len(pixels) < length:  # the cache was deleted under the run
            return open_image(path, max_pixels=self.max_pixels, draft_size=draft_size)
        return Image.frombuffer("RGB", (stored.width, stored.height), pixels, "raw", "RGB", 0, 1)

    def _build_part(self, digest: str) -> None:
        contents: dict[str, list[int] | str] = {}
        part = self._parts[digest]
        with (
            written_whole(self._file(digest, "bin"), ADVICE) as beside,
            open(beside, "wb") as file,
            ThreadPoolExecutor(os.cpu_count() or 1) as threads,
        ):
            for (name, _), small in zip(part, threads.map(lambda entry: self._small(entry[1]), part), strict=True):
                if isinstance(small, str):
                    contents[name] = small
                    continue
                contents[name] = [file.tell(), *small.size]
                file.write(small.tobytes())
            size = file.tell()
        with written_whole(self._file(digest, "json"), ADVICE) as beside:  # last: it says that the part is whole
            beside.write_text(json.dumps({"format": FORMAT, "bytes": size, "photos": contents}), encoding="utf-8")

    def _small(self, path: str) -> Image.Image | str:
        try:
            picture = open_image(path, max_pixels=self.max_pixels, draft_size=self.short)
        except InputError as error:
            return str(error)
        width, height = picture.size
        shortest = min(width, height)
        if shortest <= self.short:
            return picture
        size = (max(1, round(width * self.short / shortest)), max(1, round(height * self.short / shortest)))
        return picture.resize(size, Image.Resampling.BICUBIC)

    def _whole(self, digest: str) -> bool:
        try:
            index = json.loads(self._file(digest, "json").read_text(encoding="utf-8"))
            whole = self._file(digest, "bin").stat().st_size == index["bytes"] and index["format"] == FORMAT
            return whole and all(name in index["photos"] for name, _ in self._parts[digest])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _digest(self, part: list[tuple[str, str]]) -> str:
        digest = hashlib.sha1(f"{FORMAT} {self.short} {self.max_pixels}".encode(), usedforsecurity=False)
        for name, path in part:
            try:
                status = os.stat(path)
            except OSError:  # gone since it was listed
                digest.update(f"\0{name}\0gone".encode())
            else:
                digest.update(f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}".encode())
        return digest.hexdigest()

    def _lock(self, digest: str):
        """One builder for a part; where the file system has no locks, two may do the same work, and one wins."""
        lock = FileLock(self._file(digest, "lock"))
        try:
            lock.acquire()
            lock.release()
        except (OSError, NotImplementedError):
            return nullcontext()
        return lock

    def _file(self, digest: str, kind: str) -> Path:
        return self.folder / f"{digest}.{kind}"

    def _name(self, digest: str) -> str:
        return os.fspath(self._file(digest, "bin"))

    def _require_space(self, missing: list[str]) -> None:
        """Refuse before hours of work what will not fit, judged by the sizes of some photographs."""
        paths = [path for digest in missing for _, path in self._parts[digest]]
        sample = paths[:: max(1, len(paths) // 32)]
        expected = sum(map(self._bytes, sample)) / len(sample) * len(paths)
        free = shutil.disk_usage(self.folder).free
        if expected > free * 0.95:
            raise InputError(
                f"the cache of {len(paths):,} photographs needs about {expected / 1e9:,.1f} GB, {free / 1e9:,.1f} GB "
                f"are free in {self.folder}: give data.cache_dir=FOLDER, lower data.scale or data.image_size, or train "
                "with data.cache=false"
            )

    def _bytes(self, path: str) -> int:
        try:
            with Image.open(path) as picture:  # reads the head of the file only
                width, height = picture.size
        except Exception:  # decoders raise of all kinds; it will be named when it is decoded
            return 0
        smaller = min(1.0, self.short / max(1, min(width, height)))
        return int(3 * width * height * smaller**2)

    def _forget(self) -> None:
        """Remove parts that no run has used for long, of this folder and these settings only."""
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            ours = _NAME.fullmatch(entry.name) or (entry.name.startswith(".") and ".part" in entry.name)
            if not ours or entry.name.split(".")[0] in self._parts:
                continue
            with suppress(OSError):
                if time.time() - entry.stat().st_mtime > FORGOTTEN_AFTER:
                    os.unlink(entry.path)
