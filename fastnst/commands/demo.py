"""Serve a page to stylize pictures in the browser; for this machine only, unless --host says otherwise."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from fastnst.command_line import ArgumentParser, called
from fastnst.demo.atelier import MAX_SECONDS, Atelier
from fastnst.demo.gate import LOOPBACK, Gate
from fastnst.demo.live import PLACE, LivePages
from fastnst.demo.page import build_page
from fastnst.errors import InputError, require_whole


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog=called("demo"), description=__doc__)
    parser.add_argument("--model", action="append", default=[], help="a model, as often as you like (default: all)")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets everybody in the network in")
    parser.add_argument("--name", action="append", default=[], help="of this page at a proxy on this machine")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--max-upload", type=int, default=30, help="largest upload in megabytes (default: 30)")
    parser.add_argument("--max-seconds", type=int, default=MAX_SECONDS, help="for one picture (default: %(default)s)")
    parser.add_argument("--no-learning", action="store_true", help="visitors cannot have paintings of their own learnt")
    parser.add_argument("--learning", action="append", help="option of train for that (default: experiment=minute)")
    parser.add_argument("--runtime", type=Path, help="for the live camera: as of export --format web")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps ... (default: a GPU if there is one)")
    options = parser.parse_args(arguments)
    require_whole("--max-upload", options.max_upload, least=1)
    require_whole("--max-seconds", options.max_seconds, least=1)
    require_whole("--port", options.port, least=1)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as in stylize.py
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing leaves this machine
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # else the uploads would stay
    learning = None if options.no_learning else options.learning or ["experiment=minute"]
    atelier = Atelier(options.model, options.device, options.max_seconds, learning)
    page = build_page(atelier)
    import gradio as gr
    from starlette.middleware import Middleware
    from starlette.routing import Mount

    largest = options.max_upload * 1_000_000
    names = [*LOOPBACK, options.host, *options.name] if options.host in LOOPBACK else []
    gate = Middleware(
        Gate,
        folder=atelier.results.name,
        largest=largest + 10_000,  # and what a form puts around it
        names=names,
        tidy=atelier.forget_old_results,
    )
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            share=False,
            max_file_size=largest,
            app_kwargs={"middleware": [gate], "routes": [Mount(PLACE, LivePages(atelier, options.runtime))]},
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),  # none from elsewhere
            footer_links=[],
            ssr_mode=False,
            show_error=True,
            enable_monitoring=False,
        )
    except OSError as error:
        raise InputError(f"--port {options.port} on --host {options.host}: {error}") from None
    finally:
        page.close(verbose=False)
        atelier.close()
    return 0
