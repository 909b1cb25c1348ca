"""`scripts/demo.py` in a real browser: upload, paint, download, a broken upload, two people at once."""

import socket
import time
import urllib.error
import urllib.request

import pytest

from tests.conftest import start_script
from tests.web.conftest import BROKEN, PACKED_RUNTIME, PATIENCE, says

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(sample, small):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [option for name in ("first", "second") for option in ("--model", sample.model.with_stem(name))]
    learning = [option for one in (*small, "trainer.max_steps=20", "preview_every=5") for option in ("--learning", one)]
    runtime = ["--runtime", PACKED_RUNTIME] if PACKED_RUNTIME.exists() else []
    options = ["--port", port, "--device", "cpu", "--max-upload", 1, *runtime]
    server = start_script("demo", *both, *options, *learning, cwd=sample.model.parent)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(10 * PATIENCE):
            assert server.poll() is None, server.communicate()
            try:
                urllib.request.urlopen(address).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def opened(browser, address):
    page = browser.new_context().new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(address)
    page.locator("#paint").wait_for()
    return page


def upload(page, picture):
    with page.expect_response(lambda response: "/upload" in response.url and response.request.method == "POST"):
        page.set_input_files("#picture input[type=file]", picture)


def test_two_people_paint_at_once(browser, sample, address, tmp_path):
    one, other = opened(browser, address), opened(browser, address)
    asked = []
    one.on("request", lambda request: asked.append(request.url))
    upload(one, sample.picture)
    one.locator("#picture img").wait_for()
    upload(other, sample.picture)
    other.locator("#picture img").wait_for()
    other.locator("#styles button.thumbnail-item, #styles .thumbnail-lg").nth(1).click()
    other.locator("#chosen", has_text="second").wait_for()
    one.click("#paint")
    other.click("#paint")
    assert "131 x 95" in says(one, "first: ")
    assert "131 x 95" in says(other, "second: ")
    for page, name in ((one, "first"), (other, "second")):
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == f"picture_{name}.png"
        download.value.save_as(tmp_path / f"{name}.png")
    assert sample.difference(tmp_path / "first.png") <= 2 < sample.difference(tmp_path / "second.png")
    assert all(url.startswith((address, f"blob:{address}", "data:")) for url in asked), asked


def test_bad_uploads_get_a_clear_word(browser, address):
    page = opened(browser, address)
    page.click("#paint")
    page.locator(".toast-body", has_text="Give a picture first").wait_for()
    upload(page, [BROKEN])
    page.wait_for_timeout(500)
    page.click("#paint")
    page.locator(".toast-body", has_text="broken.png is not a picture that Pillow can read").wait_for()
    assert "Traceback" not in page.content() and "/tmp" not in page.locator(".toast-body").last.text_content()
    large = opened(browser, address)
    large.set_input_files(
        "#picture input[type=file]", [{"name": "large.png", "mimeType": "image/png", "buffer": bytes(1_200_000)}]
    )
    large.locator(".toast-body", has_text="maximum allowed size").wait_for()


def test_the_camera_live_in_the_chosen_style(browser, address):
    page = opened(browser, address)
    page.locator("#styles button.thumbnail-item, #styles .thumbnail-lg").nth(1).click()
    page.locator("#chosen", has_text="second").wait_for()
    path = page.locator("#chosen a").get_attribute("href")
    assert path.endswith("/live/second/")
    page.goto(address.rstrip("/") + "/live/second/")
    says(page, "Ready")
    assert page.evaluate("self.crossOriginIsolated") and page.locator("h1").text_content() == "second"
    page.click("#camera")
    threads = page.evaluate("navigator.hardwareConcurrency")
    assert f"WebAssembly, {threads} thread" in says(page, "frames a second, 320 x 240, steadied")
    for wrong in ("live/third/", "live/first/../second/", "live/first/other.js", "live/first/%2e%2e/model.ckpt"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + wrong)


def test_a_painting_of_ones_own_is_learnt_kept_and_used(browser, sample, address, tmp_path):
    page, other = opened(browser, address), opened(browser, address)
    page.locator("#own button").first.click()
    page.locator("#learn").click()
    page.locator(".toast-body", has_text="Give a painting first").wait_for()
    with page.expect_response(lambda response: "/upload" in response.url and response.request.method == "POST"):
        page.set_input_files("#painting input[type=file]", sample.picture)
    page.locator("#painting img").wait_for()
    page.locator("#learn").click()
    page.locator("#learnt", has_text="Learnt in").wait_for()
    page.locator("#preview img").wait_for()
    with page.expect_download() as download:
        page.click("#keep")
    assert download.value.suggested_filename == "model.ckpt"
    upload(page, sample.picture)
    page.locator("#picture img").wait_for()
    page.click("#paint")
    assert "131 x 95" in says(page, "your painting: ")
    assert other.locator("#styles").get_by_text("your painting").count() == 0
