"""Download COCO's photographs: resumed after a cut line, checked before they get their name, unpacked safely."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fastnst.data.sources import folder_photos
from fastnst.errors import InputError

OFFICIAL_URL = "http://images.cocodataset.org/zips"
"""No https: the host answers with a certificate of another name. The checksum is what vouches for the content."""

Progress = Callable[[str, int, int], None]
"""Called with what is going on ("download", "check" or "unpack"), how much is done and how much there is in all."""


@dataclass(frozen=True)
class Archive:
    """One zip file of COCO, holding one folder named like itself."""

    name: str
    size: int  # bytes
    md5: str
    photos: int


# Photographs per split: https://cocodataset.org/#download. Sizes and checksums: as published with the downloaders of
# NVIDIA's and Paddle's object detection examples (checksum) and in the server's Content-Length (size).
ARCHIVES = {
    "train2017": Archive("train2017", 19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2", 118_287),
    "val2017": Archive("val2017", 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80", 5_000),
}

_BLOCK = 1 << 20


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def download_coco(
    archive: Archive,
    root: str | os.PathLike,
    *,
    url: str = OFFICIAL_URL,
    agree: Callable[[str], bool] = lambda question: True,
    progress: Progress = silent,
    keep_zip: bool = False,
) -> Path:
    """Download and unpack one archive into ``root``; work that is already done is not done again.

    Args:
        archive: one of ``ARCHIVES``.
        root: gets the folder ``root/<archive name>``.
        url: folder on the server that holds ``<archive name>.zip``.
        agree: asked once, with the sizes, before anything is written.
        progress: told how far it is.
        keep_zip: do not delete the zip file after unpacking.

    Returns:
        The folder of photographs.

    Raises:
        InputError: not agreed, not enough disk space, an incomplete folder in the way, server not reachable, wrong size
            or checksum, or an archive that does not hold what it should.
    """
    root = Path(root)
    folder, zipped = root / archive.name, root / f"{archive.name}.zip"
    if folder.exists():
        present = len(folder_photos(folder))
        if present != archive.photos:
            raise InputError(
                f"{folder} holds {present:,} of {archive.photos:,} photographs; move it away and start again"
            )
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root} cannot be made ({error.strerror}); choose another folder") from error

    part = _part_of(zipped)
    present = archive.size if zipped.exists() else part.stat().st_size if part.exists() else 0
    _require_space(root, archive.size - min(present, archive.size) + archive.size, archive.name)
    question = (
        f"{archive.name}: {_gigabytes(archive.size - min(present, archive.size))} to download, "
        f"{_gigabytes(2 * archive.size)} of disk needed while unpacking, {_gigabytes(archive.size)} afterwards, "
        f"{_gigabytes(shutil.disk_usage(root).free)} free in {root.resolve()}. Go on?"
    )
    if not agree(question):
        raise InputError(f"{archive.name} was not downloaded, as you asked; run it again to go on")
    if not zipped.exists():
        download(f"{url.rstrip('/')}/{archive.name}.zip", zipped, archive.size, archive.md5, progress=progress)
    unpack(zipped, folder, archive.photos, progress=progress)
    if not keep_zip:
        zipped.unlink()
    return folder


def download(
    url: str,
    target: Path,
    size: int,
    md5: str,
    *,
    progress: Progress = silent,
    attempts: int = 8,
    pause: float = 2.0,
    timeout: float = 30.0,
) -> None:
    """Download one file to ``target``; until size and checksum are right it is called ``target.part``.

    A line that is cut is taken up where it broke, now or in a later run. It is given up only after ``attempts`` tries
    in a row that brought nothing new, with longer and longer pauses (``pause`` seconds, doubled up to a minute).

    Raises:
        InputError: as in :func:`download_coco`.
    """
    part = _part_of(target)
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    furthest, failures = 0, 0
    while not part.exists() or part.stat().st_size < size:
        problem: object = "the connection was closed early"
        try:
            _continue(url, part, size, progress, timeout)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 416, 429):
                raise InputError(
                    f"{url} answers {error.code} {error.reason}; check the address given by --url"
                ) from None
            if error.code == 416:  # what lies here does not fit what the server has
                part.unlink(missing_ok=True)
            problem = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:  # trouble with the line: URLError and time-outs too
            problem = str(error) or type(error).__name__
        reached = part.stat().st_size if part.exists() else 0
        if reached > furthest:
            furthest, failures = reached, 0
        elif reached < size:
            failures += 1
            if failures >= attempts:
                raise InputError(
                    f"{url} could not be downloaded ({problem}); run it again to resume from {reached:,} bytes"
                )
            time.sleep(min(60.0, pause * 2 ** (failures - 1)))

    digest = hashlib.md5(usedforsecurity=False)
    with open(part, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            progress("check", file.tell(), size)
    if digest.hexdigest() != md5:
        part.unlink()
        raise InputError(f"{url} has checksum {digest.hexdigest()} instead of {md5}; deleted, download it again")
    os.replace(part, target)


def unpack(zipped: Path, folder: Path, photos: int, *, progress: Progress = silent) -> None:
    """Unpack the folder of the same name out of a zip file; ``folder`` appears only when it is complete.

    Raises:
        InputError: the archive is damaged, holds anything outside that folder, links, or another number of
            photographs, or there is no room for it.
    """
    unpacking = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)  # of a run that was broken off
    try:
        with zipfile.ZipFile(zipped) as archive:
            members = archive.infolist()
            for member in members:
                _require_inside(member, folder.name, zipped)
            total = sum(member.file_size for member in members)
            _require_space(folder.parent, total, folder.name)
            done = 0
            for member in members:
                archive.extract(member, unpacking)
                done += member.file_size
                progress("unpack", done, total)
        found = len(folder_photos(unpacking / folder.name))
        if found != photos:
            raise InputError(f"{zipped} holds {found:,} photographs instead of {photos:,}; delete it and start again")
        os.replace(unpacking / folder.name, folder)
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{zipped} is damaged ({error}); delete it and start again") from error
    except OSError as error:
        raise InputError(
            f"{zipped} cannot be unpacked ({error.strerror or error}); make room and run it again"
        ) from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def _continue(url: str, part: Path, size: int, progress: Progress, timeout: float) -> None:
    """Fetch what is missing of ``part``, up to the end or until the line is cut."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        if answer.status != 206:
            start = 0  # the server sends the whole file whatever was asked for
        length = answer.headers.get("Content-Length")
        if length is not None and start + int(length) != size:
            raise InputError(f"{url} offers {start + int(length):,} bytes instead of {size:,}; check the address")
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise InputError(f"{url} sends another part than was asked for; delete {part} and start again")
        with _open_for_writing(part, keep=start > 0) as file:
            while start < size and (block := answer.read1(min(_BLOCK, size - start))):
                try:
                    file.write(block)
                    file.flush()
                except OSError as error:  # the disk, not the line: trying again would not help
                    raise InputError(f"{part} cannot be written ({error.strerror}); make room, run it again") from error
                start += len(block)
                progress("download", start, size)


def _open_for_writing(part: Path, keep: bool) -> BinaryIO:
    try:
        return open(part, "ab" if keep else "wb")
    except OSError as error:
        raise InputError(f"{part} cannot be written ({error.strerror}); choose another folder with --root") from error


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _require_inside(member: zipfile.ZipInfo, folder: str, zipped: Path) -> None:
    """Refuse members that would land outside ``folder``, and links, which could lead there."""
    path = PurePosixPath(member.filename)
    outside = path.is_absolute() or ".." in path.parts or not path.parts or path.parts[0] != folder
    if outside or "\\" in member.filename or stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{zipped} holds {member.filename!r}, which does not belong into {folder}/; do not use it")


def _require_space(root: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(root).free
    if free < needed:
        raise InputError(
            f"{name} needs {_gigabytes(needed)} more in {root.resolve()}, {_gigabytes(free)} are free; "
            "make room or choose another folder with --root"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
