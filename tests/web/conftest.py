"""A headless Chromium, and one picture with what the command line makes of it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.export.web import PAGE_FILES, RUNTIME_FILES
from fastnst.models.model_file import save_model
from fastnst.networks import build_network
from tests.conftest import PROJECT, run_script

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a camera that shows a test card
]
PACKED_RUNTIME = PROJECT / ".venv" / "onnxruntime-web-1.30.0.tgz"
"""Where `.ci/run` keeps it; without it the export asks npm."""
PATIENCE = 120
"""Seconds to wait for anything; it takes one or two, but tests may share the machine with a training."""
BROKEN = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}


@pytest.fixture(scope="session")
def browser():
    """Not skipped where Chromium is missing: who asked for `-m browser` wants to know."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "browser tests need Chromium: apt-get install chromium, or set CHROMIUM to its path"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


class Sample(NamedTuple):
    """A model and a picture, and what the command line makes of them, as bytes (H, W, 3)."""

    model: Path
    picture: Path
    expected: np.ndarray

    def difference(self, path: Path) -> int:
        """Largest difference of a downloaded picture, in 1/255."""
        got = np.asarray(Image.open(path).convert("RGB")).astype(int)
        assert got.shape == self.expected.shape
        return int(np.abs(got - self.expected).max())


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Iterator[Sample]:
    folder = tmp_path_factory.mktemp("web")
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 8, "residual_blocks": 2, "grain": 0.03})
    for name, seed in (("first", 0), ("second", 1)):
        torch.manual_seed(seed)
        with torch.no_grad():
            for value in network.parameters():
                value.add_(0.05 * torch.randn_like(value))
        save_model(folder / f"{name}.ckpt", network, {"style": {"name": name}}, torch.rand(3, 32, 32))
    y, x = np.mgrid[:95, :131]
    noise = np.random.default_rng(0).integers(0, 60, (95, 131, 3))
    pixels = np.stack((x, y * 2, (x - 60) ** 2 // 30 + y), -1) % 196 + noise
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "picture.png")
    answer = run_script(
        "stylize", "--model", "first.ckpt", "--input", "picture.png", "--output", "expected.png", cwd=folder
    )
    assert answer.code == 0, answer.err
    yield Sample(
        folder / "first.ckpt", folder / "picture.png", np.asarray(Image.open(folder / "expected.png")).astype(int)
    )


def exported_page(model: Path, folder: Path) -> Iterator[str]:
    """The address of a model's static page, while a file server serves it."""
    runtime = ["--runtime", PACKED_RUNTIME] if PACKED_RUNTIME.exists() else []
    answer = run_script("export", "--model", model, "--format", "web", "--output", folder, *runtime, cwd=model.parent)
    assert answer.code == 0, answer.err
    assert {file.name for file in folder.iterdir()} == {"model.onnx", *PAGE_FILES, *RUNTIME_FILES}
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    port = server.stdout.readline().split(" port ")[1].split()[0]
    yield f"http://127.0.0.1:{port}/"
    server.kill()
    server.wait()


def says(page, pattern: str, seconds: float = PATIENCE) -> str:
    """Wait until the page's status line matches; returns it."""
    from playwright.sync_api import expect

    status = page.locator("#status")
    expect(status).to_have_text(re.compile(pattern), timeout=1000 * seconds)
    return status.text_content()
