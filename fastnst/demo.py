"""A web page on one's own machine: choose a style, give a picture or use the camera, turn the controls, download."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import torch
from filelock import FileLock, Timeout

from fastnst.checkpoints import SHIPPED, Model, find_model, load_model
from fastnst.errors import InputError
from fastnst.images.color import COLOR_MODES
from fastnst.images.files import read_image_with_alpha, save_image, to_pil
from fastnst.stylization import Stylizer
from fastnst.stylization.controls import Controls

if TYPE_CHECKING:
    import gradio

MAX_PIXELS = 50_000_000
"""A page for several people refuses larger pictures; the command line does not."""
KEPT_SECONDS = 3600
"""Results are deleted after an hour."""
MAX_SECONDS = 120
"""One picture may take so long, and wait so long for its style; then its painting is broken off."""
WAITING = 20
"""So many pictures wait at most; further ones are turned away."""
UPLOADS_AT_ONCE = 8
UPLOAD_SECONDS = 120
"""What is sent more slowly is cut off: it would keep others out."""
REQUESTS_AT_ONCE = 200
"""An open page holds two."""
ROOM = 1_000_000_000
"""Bytes of uploads and results on the disk; while there are more, uploads and pictures are turned away."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
READ = re.compile(
    r"/|/(config|theme\.css|manifest\.json|favicon\.ico|robots\.txt|pwa_icon(/\w+)?)|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|startup-events|upload_progress|queue/data|heartbeat/\w+|file=.*)"
)
SENT = re.compile(r"/gradio_api/(upload|queue/join|cancel|reset)/?")
"""What the page asks for and what it sends; nothing else of what gradio can do is let in."""
FILE = "/gradio_api/file="
PREFIX = "fastnst-demo-"
LOCK = "in_use.lock"
STARTING_SECONDS = 60
USERS_AT_ONCE = 2
"""So many pictures are painted at the same time, of different styles; others wait in a queue."""
HINT = "Choose a style, give a picture, press **Paint**. Everything is computed on the machine that runs this page."


class Painted(NamedTuple):
    """Files of one result, and a sentence about it."""

    before: Path
    after: Path
    text: str


class Atelier:
    """All styles, each with one stylizer that paints one picture at a time.

    Args:
        models: paths or names of models; none: those in ``checkpoints/``.
        device: as for :class:`~fastnst.stylization.Stylizer`.
        max_seconds: for one picture.

    Raises:
        InputError: there is no model, or one cannot be read.
    """

    def __init__(self, models: Sequence[str] = (), device: str | None = None, max_seconds: float = MAX_SECONDS) -> None:
        paths = [find_model(name) for name in models] or sorted(
            {path.name: path for folder in (SHIPPED, Path("checkpoints")) for path in folder.glob("*.ckpt")}.values()
        )
        if not paths:
            raise InputError("no trained styles in checkpoints/: train one with scripts/train.py, or give --model.")
        self.models: dict[str, Model] = {}
        for path in paths:
            model = load_model(path)
            name = path.stem if path.stem != "model" else str(model.card["style"]["name"])
            self.models[name if name not in self.models else f"{name} {len(self.models) + 1}"] = model
        self.stylizers = {name: Stylizer(model, device) for name, model in self.models.items()}
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
        alpha = None if alpha is None else controls.reduce(alpha)
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


class Gate:
    """ASGI middleware: lets in what the page itself asks for, and turns away what is too large, too slow or too much,
    before any of it reaches the disk.

    Args:
        app: what is behind it.
        folder: where uploads and results lie; no other file is given out.
        largest: bytes of one request.
        names: under which this machine may be asked; none: any. On the loopback address it keeps out pages from
            elsewhere whose name was made to point here (DNS rebinding).
        tidy: called before room is measured.
        room: bytes that may lie in ``folder``.
        seconds: until a request is sent whole.
    """

    def __init__(
        self,
        app: Any,
        folder: str,
        largest: int,
        names: Sequence[str] = (),
        tidy: Callable[[], None] = lambda: None,
        room: int = ROOM,
        seconds: float = UPLOAD_SECONDS,
    ) -> None:
        self.app, self.folder, self.largest, self.room, self.seconds = app, folder, largest, room, seconds
        self.names, self.tidy = names, tidy
        self.requests = self.uploading = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        length = dict(scope["headers"]).get(b"content-length", b"0")
        uploads = scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/upload")
        if refused := self._refuse(scope, length, uploads):
            return await _turn_away(send, *refused)
        received, end, whole, started, cut = 0, time.monotonic() + self.seconds, False, False, None

        async def counted() -> Any:
            nonlocal received, whole, cut
            if whole:
                return await receive()  # waits until the visitor leaves
            try:
                message = await asyncio.wait_for(receive(), max(0, end - time.monotonic()))
            except asyncio.TimeoutError:
                cut = 408, f"not sent within {self.seconds:g} seconds"
                return {"type": "http.disconnect"}
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > self.largest:
                cut = 413, f"more than {self.largest:,} bytes"
                return {"type": "http.disconnect"}
            return message

        async def answered(message: Any) -> None:
            nonlocal started
            if cut is None:
                started = True
                await send(message)

        self.requests += 1
        self.uploading += uploads
        try:
            await self.app(scope, counted, answered)
        except Exception:
            if cut is None:
                raise
        finally:
            self.requests -= 1
            self.uploading -= uploads
        if cut and not started:
            await _turn_away(send, *cut)

    def _refuse(self, scope: Any, length: bytes, uploads: bool) -> tuple[int, str] | None:
        """Status and words for what is not let in."""
        headers, method, path = dict(scope["headers"]), scope["method"], scope["path"]
        host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
        if self.names and _name(f"//{host}") not in self.names:
            return 403, "this page is not served under that name"
        if origin and origin.partition("//")[2] != host:
            return 403, "pages of other sites may not use this one"
        if not ((SENT if method == "POST" else READ).fullmatch(path) and method in ("GET", "HEAD", "POST")):
            return 404, "not found"
        if path.startswith(FILE) and not Path(os.path.realpath(path[len(FILE) :])).is_relative_to(self.folder):
            return 403, "not a file of this page"
        if not length.isdigit() or int(length) > self.largest:
            return 413, f"more than {self.largest:,} bytes"
        if self.requests >= REQUESTS_AT_ONCE:
            return 503, "too many requests at once, try again"
        if uploads:
            if self.uploading >= UPLOADS_AT_ONCE:
                return 503, "too many uploads at once, try again"
            self.tidy()
            if size_of(self.folder) + int(length) > self.room:
                return 507, "no room for uploads, try again later"
        return None


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def _turn_away(send: Any, status: int, words: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})


def size_of(folder: str | os.PathLike) -> int:
    """Bytes of all files in a folder and below it; files that vanish meanwhile count nothing."""
    total = 0
    for path in Path(folder).rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def build_page(atelier: Atelier) -> gradio.Blocks:
    """The page, not yet served.

    Raises:
        InputError: gradio is not installed.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(atelier.uploads)  # else uploads stay in the system's folder for ever
    try:
        import gradio as gr
    except ImportError as error:
        raise InputError(f"the page needs the package {error.name}: pip install 'fastnst[demo]'.") from None
    names = list(atelier.models)

    def choose(event):
        return names[event.index], f"Style: **{names[event.index]}**"

    choose.__annotations__["event"] = gr.SelectData  # gradio asks for the class; here it would be a string

    def paint(style: str, picture: str | None, strength: float, colors: str, scale: float, detail: float, side: float):
        try:
            painted = atelier.paint(
                style,
                picture,
                Controls(strength, colors, detail, stroke_scale=scale, max_side=int(side)),
            )
        except InputError as error:  # the visitor knows the file by its name, not by its place on this machine
            text = str(error) if picture is None else str(error).replace(str(picture), Path(picture).name)
            raise gr.Error(text, title="This did not work", print_exception=False) from None
        files = (str(painted.before), str(painted.after))
        return files, gr.DownloadButton(value=files[1], interactive=True), painted.text

    with gr.Blocks(title="fastnst", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(f"# fastnst\n{HINT}")
        style = gr.State(names[0])
        with gr.Row():
            with gr.Column():
                gallery = gr.Gallery(
                    atelier.thumbnails(), label="Style", columns=4, height=320, allow_preview=False, selected_index=0,
                    interactive=False, buttons=[], elem_id="styles",
                )  # fmt: skip
                chosen = gr.Markdown(f"Style: **{names[0]}**", elem_id="chosen")
                picture = gr.Image(
                    label="Your picture", type="filepath", image_mode=None, format="png",
                    sources=["upload", "webcam", "clipboard"], elem_id="picture",
                )  # fmt: skip
                # The file as it was sent: our own reader knows more kinds, and says what is wrong with a broken one.
                picture.preprocess = lambda payload: None if payload is None else payload.path  # type: ignore[method-assign]
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
                colors = gr.Radio(list(COLOR_MODES), value="style", label="Colours")
                scale = gr.Slider(0.5, 4, 1, step=0.25, label="Stroke scale")
                detail = gr.Slider(0, 1, 0, step=0.05, label="Detail of the photograph")
                side = gr.Slider(256, 4096, 1600, step=64, label="Longer side at most, in pixels")
                button = gr.Button("Paint", variant="primary", elem_id="paint")
            with gr.Column():
                result = gr.ImageSlider(label="Before and after", type="filepath", format="png", interactive=False)
                status = gr.Markdown("", elem_id="status")
                download = gr.DownloadButton("Download", interactive=False, elem_id="download")
        gallery.select(choose, None, [style, chosen])
        button.click(
            paint,
            [style, picture, strength, colors, scale, detail, side],
            [result, download, status],
            concurrency_limit=USERS_AT_ONCE,
        )
    page.queue(max_size=WAITING)
    return page
