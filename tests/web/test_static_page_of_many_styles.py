"""The page of a model of many styles: choosing and mixing, by mouse and keyboard, paints what `stylize.py` paints."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.images.resizing import resize
from fastnst.models.model_file import save_model
from fastnst.networks import build_network
from tests.conftest import run_script
from tests.web.conftest import exported_page, says

pytestmark = pytest.mark.browser

NAMES = ("candy", "night_sky", "<sea>")


@pytest.fixture(scope="module")
def folder(sample, tmp_path_factory):
    """A model of three styles, and what the command line paints with it, as ``NAME.png``."""
    folder = tmp_path_factory.mktemp("many")
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 8, "residual_blocks": 2, "grain": 0.03, "styles": 3})
    with torch.no_grad():
        for value in network.parameters():
            value.add_((0.3 if value.ndim == 2 else 0.05) * torch.randn_like(value))
    colours = torch.tensor([[0.9, 0.3, 0.4], [0.1, 0.1, 0.5], [0.2, 0.7, 0.6]])
    pictures = resize(colours[:, :, None, None] + 0.2 * torch.rand(3, 3, 12, 12), 96, 96)
    card = {"style": {"name": "all"}, "styles": [{"name": name} for name in NAMES]}
    save_model(folder / "all.ckpt", network, card, pictures.clamp(0, 1))
    for name, style in (*zip(NAMES, NAMES, strict=True), ("mixed", "night_sky=0.6,<sea>=0.4")):
        options = ["--model", "all.ckpt", "--style", style, "--input", sample.picture, "--output", f"{name}.png"]
        answer = run_script("stylize", *options, cwd=folder)
        assert answer.code == 0, answer.err
    return folder


@pytest.fixture(scope="module")
def address(folder):
    yield from exported_page(folder / "all.ckpt", folder / "page")


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    says(page, "Ready")
    yield page
    page.close()
    assert not errors


def painted(page, folder, name) -> bool:
    """Whether the page shows what the command line painted under this name, once it is done."""
    says(page, "Done")
    with page.expect_download() as download:
        page.click("#download")
    got = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
    expected = np.asarray(Image.open(folder / f"{name}.png").convert("RGB")).astype(int)
    page.evaluate("document.getElementById('status').textContent = 'read'")  # that the next Done is a new one
    return got.shape == expected.shape and np.abs(got - expected).max() <= 2


def chosen(page) -> list[str]:
    return page.locator('#styles button[aria-pressed="true"]').all_inner_texts()


def test_choosing_and_mixing(page, folder, sample):
    assert chosen(page) == ["candy"] and page.locator("#shares").text_content() == "100 % candy, 0 % night sky"
    loaded = "images => images.every(one => one.complete && one.naturalWidth === 96 && one.alt === 'style picture')"
    assert page.locator("#styles img").count() == 3 and page.locator("#styles img").evaluate_all(loaded)
    page.set_input_files("#file", sample.picture)
    assert painted(page, folder, "candy")
    page.get_by_role("button", name="night sky").click()
    assert painted(page, folder, "night_sky") and chosen(page) == ["night sky"]
    assert page.locator("#second").input_value() == "candy"  # which was chosen before: nothing mixes with itself
    assert page.locator("#second option:disabled").all_text_contents() == ["night sky"]

    page.select_option("#second", "<sea>")
    page.locator("#mix").fill("40")
    assert page.locator("#shares").text_content() == "60 % night sky, 40 % <sea>"
    assert painted(page, folder, "mixed")
    page.locator("#mix").fill("100")
    assert painted(page, folder, "<sea>")
    page.locator("#mix").fill("0")
    assert painted(page, folder, "night_sky")
    page.locator("#mix").fill("100")
    assert painted(page, folder, "<sea>")
    page.get_by_role("button", name="candy").click()  # a style that is chosen is seen, whatever was mixed before
    assert painted(page, folder, "candy")


def test_the_download_is_called_after_the_style(page, sample):
    page.set_input_files("#file", sample.picture)
    says(page, "Done")
    for part, name in (("0", "candy"), ("25", "candy+night_sky"), ("100", "night_sky")):
        page.locator("#mix").fill(part)
        page.locator("#download:enabled").wait_for()
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == f"picture_{name}.png"


def tab(page) -> str:
    """Where the next press of Tab goes."""
    page.keyboard.press("Tab")
    return page.evaluate("document.activeElement.id || document.activeElement.innerText")


def test_by_keyboard(page, folder, sample):
    assert [tab(page) for _ in range(6)] == ["candy", "night sky", "<sea>", "second", "mix", "file"]
    page.set_input_files("#file", sample.picture)
    assert painted(page, folder, "candy")
    for name, key in (("night_sky", "Enter"), ("<sea>", "Space")):
        page.get_by_role("button", name=name.replace("_", " ")).focus()
        page.keyboard.press(key)
        assert painted(page, folder, name)
    page.locator("#mix").focus()
    page.keyboard.press("End")
    assert painted(page, folder, "candy")  # which gave way to the night sky, and so is what is mixed in
    page.locator("#mix").focus()
    for _ in range(20):  # the worker paints some of these, and at last the latest
        page.keyboard.press("ArrowLeft")
    assert page.locator("#mix").input_value() == "0" and chosen(page) == ["<sea>"]
    assert painted(page, folder, "<sea>")


def test_the_camera_follows_the_style(page):
    page.click("#camera")
    says(page, "frames a second")
    middle = "canvas => [...canvas.getContext('2d').getImageData(20, 20, 1, 1).data]"
    before = page.locator("#after").evaluate(middle)
    page.get_by_role("button", name="night sky").click()
    page.wait_for_function(
        f"before => ({middle})(document.getElementById('after')).some((value, i) => Math.abs(value - before[i]) > 20)",
        arg=before,
    )
    page.click("#camera")
