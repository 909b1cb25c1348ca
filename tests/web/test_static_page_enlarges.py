"""The static page of a model that enlarges."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.models.model_file import save_model
from fastnst.networks import build_network
from tests.conftest import run_script
from tests.web.conftest import exported_page, says

pytestmark = pytest.mark.browser


def test_it_enlarges_as_the_command_line_does(browser, tmp_path):
    torch.manual_seed(0)
    network = build_network("enlarging", {"factor": 3, "width": 8, "residual_blocks": 1})
    torch.nn.init.normal_(network.tail.weight, 0, 0.05)
    save_model(tmp_path / "m.ckpt", network, {})
    pixels = np.random.default_rng(0).integers(0, 256, (19, 31, 4), np.uint8)
    pixels[..., 3] = 255 * (np.arange(31) > 9)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    answer = run_script("enlarge", "--model", "m.ckpt", "--input", "picture.png", "--output", "e.png", cwd=tmp_path)
    assert answer.code == 0, answer.err
    for address in exported_page(tmp_path / "m.ckpt", tmp_path / "page"):
        page = browser.new_page()
        page.goto(address)
        assert "Enlarges your picture" in page.locator("header").text_content()
        says(page, "Ready")
        page.set_input_files("#file", tmp_path / "picture.png")
        assert "93 x 57" in says(page, "Done")
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == "picture_enlarged.png"
        download.value.save_as(tmp_path / "got.png")
        page.close()
    got, expected = (np.asarray(Image.open(tmp_path / name)).astype(int) for name in ("got.png", "e.png"))
    assert got.shape == expected.shape == (57, 93, 4)
    opaque = expected[..., 3] == 255
    assert np.abs(got - expected)[opaque].max() <= 2 and set(np.unique(got[..., 3])) == {0, 255}
