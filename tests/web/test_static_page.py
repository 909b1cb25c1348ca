"""`scripts/export.py --format web`, served by nothing but a file server, in a real browser."""

import urllib.request

import pytest

from tests.web.conftest import BROKEN, exported_page, says

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(sample, tmp_path_factory):
    yield from exported_page(sample.model, tmp_path_factory.mktemp("page") / "first")


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
    says(page, "pictures a second")
    page.click("#camera")
    says(page, "stays")
    assert not errors
    assert all(method == "GET" and url.startswith((address, f"blob:{address}")) for method, url in asked), asked
    page.close()
