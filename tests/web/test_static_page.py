"""`scripts/export.py --format web`, served by nothing but a file server, in a real browser."""

import urllib.request

import numpy as np
import onnxruntime
import pytest

from tests.web.conftest import BROKEN, exported_page, says

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(sample, tmp_path_factory):
    yield from exported_page(sample.model, tmp_path_factory.mktemp("page") / "first")


LIVE = """async (frames) => {
  const worker = new Worker("worker.js", { type: "module" });
  const next = () => new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
  await next();
  const painted = [];
  for (const [id, values] of frames.entries()) {
    worker.postMessage({ id, image: new ImageData(new Uint8ClampedArray(values), 32, 24), style: null, live: true });
    painted.push([...(await next()).image.data]);
  }
  worker.terminate();
  return painted;
}"""
"""Bytes of frames (24, 32, 4) to those of the painted ones."""


def test_the_camera_is_steadied(browser, address):
    random = np.random.default_rng(0)
    frames = random.integers(0, 200, (3, 24, 32, 4))
    frames[1:] = frames[0] + random.integers(-20, 21, (2, 24, 32, 4))
    frames[2, :, 16:] = random.integers(0, 200, (24, 16, 4))  # half of it has changed
    frames = frames.clip(0, 255)
    frames[..., 3] = 255
    session = onnxruntime.InferenceSession(urllib.request.urlopen(address + "model.onnx").read())

    def paint(seen):
        return session.run(None, {"picture": seen[None].astype(np.float32)})[0][0]

    page = browser.new_page()
    page.goto(address)
    got = page.evaluate(LIVE, [frame.ravel().tolist() for frame in frames])
    page.close()
    seen = shown = None
    for frame, painted in zip(frames, got, strict=True):
        now = frame[..., :3].transpose(2, 0, 1) / 255
        kept = 0 if seen is None else 0.8 * np.maximum(0, 1 - np.abs(now - seen).max(axis=0) / 0.125)
        seen = now if seen is None else (1 - kept) * now + kept * seen
        fresh = paint(seen)
        shown = fresh if shown is None else (1 - kept) * fresh + kept * shown
        pixels = np.reshape(painted, (24, 32, 4))[..., :3].transpose(2, 0, 1)
        assert np.abs(pixels - 255 * shown).max() <= 1
    assert kept[:, :16].mean() > 0.2 > 0.1 > kept[:, 16:].mean()


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'))", "none is connected"),
        ("getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))", "refused; allow it"),
        ("getUserMedia = () => Promise.reject(new DOMException('', 'NotReadableError'))", "another program uses it"),
        (None, "needs https or localhost"),
    ],
)
def test_without_a_camera_there_is_a_clear_word(browser, address, broken, word):
    page = browser.new_page()
    what = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })"  # as in no secure context
    page.add_init_script(what if broken is None else f"navigator.mediaDevices.{broken}")
    page.goto(address)
    says(page, "Ready")
    page.click("#camera")
    assert word in says(page, "No camera")
    assert page.locator("#camera").text_content() == "Camera" and page.locator("#camera").is_enabled()
    page.close()


def test_the_page_paints_what_the_command_line_paints(browser, sample, address, tmp_path):
    assert b"first" in urllib.request.urlopen(address).read()
    page = browser.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    says(page, "Ready")
    assert page.locator("#download").is_disabled() and page.locator("#styles").count() == 0

    page.set_input_files("#file", sample.picture)
    assert "131 x 95" in says(page, "Done")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "picture_stylized.png"
    download.value.save_as(tmp_path / "got.png")
    assert sample.difference(tmp_path / "got.png") <= 2
    page.locator("#slider").fill("30")
    assert page.locator("#after").evaluate("canvas => canvas.style.clipPath") == "inset(0px 0px 0px 70%)"

    page.set_input_files("#file", [BROKEN])
    assert "broken.png is not a picture" in says(page, "not a picture")
    page.click("#camera")  # Chromium's fake device
    says(page, r"\d+\.\d frames a second, 320 x 240, steadied")
    page.click("#camera")
    says(page, "stays")
    assert not errors
    assert all(method == "GET" and url.startswith((address, f"blob:{address}")) for method, url in asked), asked
    page.close()
