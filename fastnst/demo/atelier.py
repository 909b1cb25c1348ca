"""What paints and enlarges for the page: all models, their uploads and results, and the room these may take."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout

from fastnst.command_line import called
from fastnst.errors import InputError
from fastnst.images.reading import read_image_with_alpha
from fastnst.images.resizing import resize
from fastnst.images.saving import save_image
from fastnst.images.tensors import to_pil
from fastnst.models.model_file import AnyModel, Model, find_model, model_folders, read_model, style_name
from fastnst.models.styles import pick, style_names
from fastnst.stylization import Stylizer
from fastnst.stylization.controls import Controls
from fastnst.stylization.enlarger import Enlarger

MAX_PIXELS = 50_000_000
"""A page for several people refuses larger pictures; the command line does not."""
KEPT_SECONDS = 3600
"""Results are deleted after an hour."""
MAX_SECONDS = 120
"""One picture may take so long, and wait so long for its style; then its painting is broken off."""
UPLOAD_SECONDS = 120
"""What is sent more slowly is cut off: it would keep others out."""
ROOM = 1_000_000_000
"""Bytes of uploads and results on the disk; while there are more, uploads and pictures are turned away."""
PREFIX = "fastnst-demo-"
LOCK = "in_use.lock"
STARTING_SECONDS = 60
"""A folder younger than this may belong to a page that has not taken its lock yet."""


class Painted(NamedTuple):
    """Files of one result, and a sentence about it."""

    before: Path
    after: Path
    text: str


class Atelier:
    """All styles, each with one stylizer that paints one picture at a time.

    Args:
        models: paths or names of models; none: all that are found by name.
        device: as for :class:`~fastnst.stylization.Stylizer`.
        max_seconds: for one picture.

    Raises:
        InputError: there is no model, or one cannot be read.
    """

    def __init__(self, models: Sequence[str] = (), device: str | None = None, max_seconds: float = MAX_SECONDS) -> None:
        paths = [find_model(name) for name in models] or sorted(
            {path.name: path for folder in reversed(model_folders()) for path in folder.glob("*.ckpt")}.values()
        )
        if not paths:
            raise InputError(f"no trained styles are here: train one ({called('train')} --help), or give --model.")
        self.models: dict[str, AnyModel] = {}
        for path in paths:
            model = read_model(path)
            several: dict[str, AnyModel] = {style_name(path, model.card): model}
            if isinstance(model, Model) and style_names(model):
                several = {name: pick(model, {name: 1}) for name in style_names(model)}
            for name, one in several.items():
                self.models[name if name not in self.models else f"{name} {len(self.models) + 1}"] = one
        self.stylizers = {
            name: Stylizer(one, device) if isinstance(one, Model) else Enlarger(one, device, most_pixels=MAX_PIXELS)
            for name, one in self.models.items()
        }
        self.locks = {name: threading.Lock() for name in self.models}
        self.max_seconds = max_seconds
        self.ends: dict[str, float] = {}
        for name, model in self.models.items():
            for module in model.network.modules():
                module.register_forward_pre_hook(lambda module, inputs, name=name: self._check_time(name))
        forget_dead_demos()
        self.results = tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=os.path.realpath(tempfile.gettempdir()), ignore_cleanup_errors=True
        )
        self.lock = FileLock(Path(self.results.name) / LOCK)
        self.lock.acquire()
        self.uploads = Path(self.results.name) / "uploads"
        self.uploads.mkdir()

    def close(self) -> None:
        """Delete all uploads and results; the end of the process does so, too."""
        self.lock.release()
        self.results.cleanup()

    def _check_time(self, style: str) -> None:
        if time.monotonic() > self.ends.get(style, float("inf")):
            raise InputError(f"This takes more than {self.max_seconds:g} seconds: choose a smaller longer side.")

    def thumbnails(self) -> list[tuple[object, str]]:
        """Each style's picture, grey where the model file has none, and its name."""
        grey = torch.full((3, 64, 64), 0.5)
        return [
            (to_pil(grey if model.thumbnail is None else model.thumbnail), name) for name, model in self.models.items()
        ]

    def paint(self, style: str, picture: str | os.PathLike | None, controls: Controls) -> Painted:
        """Stylize a picture file as the command line does.

        Raises:
            InputError: no picture was given, or it cannot be read or is too large.
        """
        if picture is None:
            raise InputError("Give a picture first: upload one, or use the camera.")
        started = time.perf_counter()
        self.forget_old_results()
        if size_of(self.results.name) > ROOM:
            raise InputError("There is no room for more pictures on this machine: try again later.")
        content, alpha = read_image_with_alpha(picture, max_pixels=MAX_PIXELS)
        if not self.locks[style].acquire(timeout=self.max_seconds):
            raise InputError("Too many pictures of this style are being painted: try again later.")
        try:
            self.ends[style] = time.monotonic() + self.max_seconds
            stylized = self.stylizers[style](content, controls)
        finally:
            self.locks[style].release()
        content = controls.reduce(content)
        alpha = None if alpha is None else resize(alpha, *stylized.shape[-2:])
        content = content if stylized.shape == content.shape else resize(content, *stylized.shape[-2:])
        folder = Path(tempfile.mkdtemp(dir=self.results.name))
        before, after = folder / "before.png", folder / f"{Path(picture).stem}_{style}.png".replace(" ", "_")
        save_image(content, before, alpha=alpha)
        save_image(stylized, after, alpha=alpha)
        height, width = stylized.shape[-2:]
        return Painted(before, after, f"{style}: {width} x {height} in {time.perf_counter() - started:.1f} s.")

    def forget_old_results(self) -> None:
        """Delete results older than :data:`KEPT_SECONDS` (the page keeps copies of those that it still shows), and
        uploads that were broken off."""
        now = time.time()
        for path in Path(self.results.name).iterdir():
            if path.is_dir() and path != self.uploads and now - path.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        for path in self.uploads.iterdir():  # whole ones lie in folders; gradio deletes those
            with suppress(OSError):
                if path.is_file() and now - path.stat().st_mtime > UPLOAD_SECONDS:
                    path.unlink()


def forget_dead_demos() -> None:
    """Delete what demos left behind that were killed; a stopped one does that itself.

    Ours is a folder of our user's with a lock file that nobody holds: a lock ends with its process.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = folder / LOCK
        with suppress(OSError, Timeout):
            foreign = hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid()
            if foreign or folder.is_symlink() or not lock.is_file():
                continue
            if time.time() - lock.stat().st_mtime > STARTING_SECONDS:
                FileLock(lock).acquire(timeout=0).lock.release()
                shutil.rmtree(folder, ignore_errors=True)


def size_of(folder: str | os.PathLike) -> int:
    """Bytes of all files in a folder and below it; files that vanish meanwhile count nothing."""
    total = 0
    for path in Path(folder).rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
