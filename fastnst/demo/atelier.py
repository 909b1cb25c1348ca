"""What paints and enlarges for the page: all models, their uploads and results, and the room these may take."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout

from fastnst.command_line import called
from fastnst.demo.apprentice import Apprentice
from fastnst.errors import InputError
from fastnst.images.reading import read_image_with_alpha
from fastnst.images.resizing import resize
from fastnst.images.saving import save_image
from fastnst.images.tensors import to_pil
from fastnst.models.model_file import (
    BASE,
    STEADY,
    AnyModel,
    Model,
    find_model,
    load_model,
    model_folders,
    read_model,
    style_name,
)
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
        learning: options of the command train, for visitors' own paintings; None: they cannot have any learnt.

    Raises:
        InputError: there is no model, or one cannot be read.
    """

    def __init__(
        self,
        models: Sequence[str] = (),
        device: str | None = None,
        max_seconds: float = MAX_SECONDS,
        learning: Sequence[str] | None = None,
    ) -> None:
        paths = [find_model(name) for name in models] or sorted(
            {
                path.name: path
                for folder in reversed(model_folders())
                for path in folder.glob("*.ckpt")
                if path.stem not in (BASE, STEADY)  # which is to begin from, and paintings once more, for films
            }.values()
        )
        if not paths:
            raise InputError(f"no trained styles are here: train one ({called('train')} --help), or give --model.")
        self.device, self.max_seconds = device, max_seconds
        self.models: dict[str, AnyModel] = {}
        self.stylizers: dict[str, Stylizer | Enlarger] = {}
        self.locks: dict[str, threading.Lock] = {}
        self.ends: dict[str, float] = {}
        self.taken: dict[str, int] = {}
        self.learnt: dict[str, float] = {}
        for path in paths:
            model = read_model(path)
            several: dict[str, AnyModel] = {style_name(path, model.card): model}
            if isinstance(model, Model) and style_names(model):
                several = {name: pick(model, {name: 1}) for name in style_names(model)}
            for name, one in several.items():
                self.add(name, one)
        self.shipped = list(self.models)
        forget_dead_demos()
        self.results = tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=os.path.realpath(tempfile.gettempdir()), ignore_cleanup_errors=True
        )
        self.lock = FileLock(Path(self.results.name) / LOCK)
        self.lock.acquire()
        self.uploads = Path(self.results.name) / "uploads"
        self.live = Path(self.results.name) / "live"
        for folder in (self.uploads, self.live):
            folder.mkdir()
        self.apprentice = None if learning is None else Apprentice(Path(self.results.name), learning)

    def close(self) -> None:
        """Delete all uploads and results; the end of the process does so, too."""
        if self.apprentice is not None:
            self.apprentice.stop()
        self.lock.release()
        self.results.cleanup()

    def add(self, name: str, model: AnyModel) -> str:
        """Take a model in, of one style or one that enlarges.

        Returns:
            The name under which it is known, another one where ``name`` is taken.
        """
        self.taken[name] = self.taken.get(name, 0) + 1
        name = name if self.taken[name] == 1 else f"{name} {self.taken[name]}"
        for module in model.network.modules():
            module.register_forward_pre_hook(lambda module, inputs: self._check_time(name))
        if isinstance(model, Model):
            self.stylizers[name] = Stylizer(model, self.device)
        else:
            self.stylizers[name] = Enlarger(model, self.device, most_pixels=MAX_PIXELS)
        self.locks[name] = threading.Lock()
        self.models[name] = model
        return name

    def _check_time(self, style: str) -> None:
        if time.monotonic() > self.ends.get(style, float("inf")):
            raise InputError(f"This takes more than {self.max_seconds:g} seconds: choose a smaller longer side.")

    def add_painting(self, path: Path) -> str:
        """Take in the model of a visitor's painting, for as long as results are kept; its name."""
        name = self.add("your painting", load_model(path))
        self.learnt[name] = time.time()
        return name

    def thumbnails(self, names: Sequence[str]) -> list[tuple[object, str]]:
        """Each of these styles' picture, grey where there is none, and its name."""
        grey = torch.full((3, 64, 64), 0.5)
        pictures = [self.models[name].thumbnail if name in self.models else None for name in names]
        return [(to_pil(grey if one is None else one), name) for one, name in zip(pictures, names, strict=True)]

    def paint(self, style: str, picture: str | os.PathLike | None, controls: Controls) -> Painted:
        """Stylize a picture file as the command line does.

        Raises:
            InputError: no picture was given, it cannot be read or is too large, or the style is forgotten.
        """
        if picture is None:
            raise InputError("Give a picture first: upload one, or use the camera.")
        started = time.perf_counter()
        self.forget_old_results()
        if size_of(self.results.name) > ROOM:
            raise InputError("There is no room for more pictures on this machine: try again later.")
        if style not in self.models:
            raise InputError("A painting is forgotten after an hour: choose another style, or have it learnt again.")
        content, alpha = read_image_with_alpha(picture, max_pixels=MAX_PIXELS)
        with self.in_turn(style):
            stylized = self.stylizers[style](content, controls)
        content = controls.reduce(content)
        alpha = None if alpha is None else resize(alpha, *stylized.shape[-2:])
        content = content if stylized.shape == content.shape else resize(content, *stylized.shape[-2:])
        folder = Path(tempfile.mkdtemp(dir=self.results.name))
        before, after = folder / "before.png", folder / f"{Path(picture).stem}_{style}.png".replace(" ", "_")
        save_image(content, before, alpha=alpha)
        save_image(stylized, after, alpha=alpha)
        height, width = stylized.shape[-2:]
        return Painted(before, after, f"{style}: {width} x {height} in {time.perf_counter() - started:.1f} s.")

    @contextmanager
    def in_turn(self, style: str) -> Iterator[None]:
        """Use a style alone, for :attr:`max_seconds`.

        Raises:
            InputError: it was in use for that long.
        """
        if not self.locks[style].acquire(timeout=self.max_seconds):
            raise InputError("Too many pictures of this style are being painted: try again later.")
        try:
            self.ends[style] = time.monotonic() + self.max_seconds
            yield
        finally:
            self.locks[style].release()

    def forget_old_results(self) -> None:
        """Delete results and visitors' paintings older than :data:`KEPT_SECONDS` (the page keeps copies of pictures
        that it still shows), and uploads that were broken off."""
        now = time.time()
        for name in [name for name, since in self.learnt.items() if now - since > KEPT_SECONDS]:
            for known in (self.models, self.stylizers, self.locks, self.ends, self.learnt):
                known.pop(name, None)
        for path in Path(self.results.name).iterdir():
            if path.is_dir() and path not in (self.uploads, self.live) and now - path.stat().st_mtime > KEPT_SECONDS:
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
