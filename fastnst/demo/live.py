"""The camera, live, in each style of the demo: pages of ``export --format web``, each exported when first opened."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastnst.demo.atelier import Atelier
from fastnst.errors import InputError
from fastnst.export.web import PAGE_FILES, RUNTIME_FILES, export_web

PLACE = "/live"
"""Under which address the pages lie: ``/live/STYLE/``."""
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""Without these headers browsers give a page one thread."""


class LivePages:
    """ASGI app of the pages of all shipped styles; visitors' own paintings have none.

    Args:
        atelier: whose models; the pages lie beside its results and go with them.
        runtime: as for :func:`~fastnst.export.web.export_web`.
    """

    def __init__(self, atelier: Atelier, runtime: Path | None = None) -> None:
        self.atelier, self.runtime, self.lock = atelier, runtime, threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.responses import FileResponse, PlainTextResponse, Response

        style, _, name = scope["path"].removeprefix(f"{PLACE}/").partition("/")
        name = name or "index.html"
        answer: Response = PlainTextResponse("not found", 404)
        if style in self.atelier.shipped and name in (*PAGE_FILES, *RUNTIME_FILES, "model.onnx"):
            try:
                folder = await asyncio.to_thread(self.folder, style)
                answer = FileResponse((folder.parent if name in RUNTIME_FILES else folder) / name, headers=ISOLATED)
            except InputError as error:
                answer = PlainTextResponse(f"The camera cannot be shown live: {error}", 503)
        await answer(scope, receive, send)

    def folder(self, style: str) -> Path:
        """Where a style's page is, without the runtime, which all pages share: that lies in the folder above.

        Raises:
            InputError: it cannot be exported.
        """
        shared = self.atelier.live
        folder = shared / str(self.atelier.shipped.index(style))
        with self.lock:
            if not folder.exists():
                whole = shared / "whole"
                shutil.rmtree(whole, ignore_errors=True)
                with self.atelier.in_turn(style):
                    export_web(self.atelier.models[style], whole, style, runtime=self.runtime)
                for file in RUNTIME_FILES:
                    (whole / file).replace(shared / file)
                whole.rename(folder)
                self.runtime = shared
        return folder


def link(style: str) -> str:
    """To a style's page, in Markdown."""
    return f"[camera, live]({PLACE}/{quote(style)}/)"
