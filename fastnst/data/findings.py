"""Look through a folder of photographs before hours of training: what is broken, too small or there twice."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fastnst.errors import InputError
from fastnst.images.reading import open_image


@dataclass
class Findings:
    """What :func:`check_photos` found.

    Attributes:
        sizes: (width, height) in pixels of every readable picture, upright.
        broken: path and reason of every unreadable one.
        duplicates: groups of files with the same bytes.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    broken: list[tuple[Path, str]] = field(default_factory=list)
    duplicates: list[list[Path]] = field(default_factory=list)


def check_photos(paths: Sequence[Path], progress: Callable[[int, int], object] = lambda done, total: None) -> Findings:
    """Decode every picture completely, several at a time, and compare those of equal file size byte for byte.

    Args:
        paths: picture files.
        progress: called with how many are done and how many there are.
    """
    findings = Findings()
    same_size: dict[int, list[Path]] = defaultdict(list)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:  # decoding leaves the interpreter lock
        for done, (path, looked) in enumerate(zip(paths, threads.map(_look, paths), strict=True), start=1):
            if isinstance(looked, str):
                findings.broken.append((path, looked))
            else:
                findings.sizes.append(looked)
            if path.exists():
                same_size[path.stat().st_size].append(path)
            progress(done, len(paths))

    same_content: dict[str, list[Path]] = defaultdict(list)
    for group in same_size.values():
        if len(group) > 1:
            for path in group:
                same_content[_digest(path)].append(path)
    findings.duplicates = [group for group in same_content.values() if len(group) > 1]
    return findings


def _look(path: Path) -> tuple[int, int] | str:
    try:
        return open_image(path).size
    except InputError as error:
        return str(error)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
