"""What the page's server lets in, and what it turns away."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastnst.demo.atelier import ROOM, UPLOAD_SECONDS, size_of

UPLOADS_AT_ONCE = 8
REQUESTS_AT_ONCE = 200
"""An open page holds two."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
READ = re.compile(
    r"/|/(config|theme\.css|manifest\.json|favicon\.ico|robots\.txt|pwa_icon(/\w+)?)|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|startup-events|upload_progress|queue/data|heartbeat/\w+|file=.*)|/live/[^/]+/[\w.-]*"
)
SENT = re.compile(r"/gradio_api/(upload|queue/join|cancel|reset)/?")
"""What the page asks for and what it sends; nothing else of what gradio can do is let in."""
FILE = "/gradio_api/file="


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
