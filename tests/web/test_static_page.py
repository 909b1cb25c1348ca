"""`scripts/export.py --format web`, served by nothing but a file server, in a real browser."""

import subprocess
import sys
import urllib.request

import pytest

from fastnst.export.web import PAGE_FILES, RUNTIME_FILES
from tests.conftest import run_script
from tests.web.conftest import BROKEN, PACKED_RUNTIME, says

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "first"
    runtime = ["--runtime", PACKED_RUNTIME] if PACKED_RUNTIME.exists() else []
    answer = run_script(
        "export", "--model", sample.model, "--format", "web", "--output", folder, *runtime, cwd=folder.parent
    )
    assert answer.code == 0, answer.err
    assert {file.name for file in folder.iterdir()} == {"model.onnx", *PAGE_FILES, *RUNTIME_FILES}
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = server.stdout.readline().split(" port ")[1].split()[0]
    yield f"http://127.0.0.1:{port}/"
    server.kill()
    server.wait()


def test_the_page_paints_what_the_command_line_paints(browser, sample, address, tmp_path):
    assert b"first" in urllib.request.urlopen(address).read()
    page = browser.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    says(page, "Ready")
    assert page.locator("#download").is_disabled()

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
    says(page, "pictures a second")
    page.click("#camera")
    says(page, "stays")
    assert not errors
    assert all(method == "GET" and url.startswith((address, f"blob:{address}")) for method, url in asked), asked
    page.close()
