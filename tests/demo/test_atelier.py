"""The page's painter, without a browser: what it paints, what it says, what it forgets. In a browser: tests/web."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fastnst.demo import atelier as atelier_module
from fastnst.demo.atelier import Atelier
from fastnst.demo.page import build_page
from fastnst.errors import InputError
from fastnst.images.reading import read_image, read_image_with_alpha
from fastnst.images.saving import save_image
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import build_network
from fastnst.stylization import Stylizer
from fastnst.stylization.controls import Controls
from tests.conftest import run_script


@pytest.fixture
def models(tmp_path):
    for seed, name in enumerate(("blue", "model")):
        torch.manual_seed(seed)
        network = build_network("transformer", {"width": 4, "residual_blocks": 1})
        save_model(tmp_path / f"{name}.ckpt", network, {"style": {"name": "waves"}}, torch.rand(3, 10, 12))
    return [str(tmp_path / f"{name}.ckpt") for name in ("blue", "model")]


@pytest.fixture
def picture(tmp_path):
    save_image(torch.rand(3, 50, 70), tmp_path / "a photo.png", alpha=torch.rand(1, 50, 70))
    return tmp_path / "a photo.png"


def test_paints_what_the_command_line_paints(models, picture):
    atelier = Atelier(models, "cpu")
    assert list(atelier.models) == ["blue", "waves"] == [name for _, name in atelier.thumbnails(atelier.shipped)]
    controls = Controls(0.5, "content", stroke_scale=2, max_side=60)
    painted = atelier.paint("waves", str(picture), controls)
    content, alpha = read_image_with_alpha(picture)
    expected = Stylizer(load_model(models[1]), "cpu")(content, controls)
    got, kept = read_image_with_alpha(painted.after)
    assert got.shape == expected.shape == (3, 43, 60) and "60 x 43" in painted.text
    shown = kept[0] > 0
    assert (got - expected)[:, shown].abs().max() <= 0.51 / 255
    assert (kept - controls.reduce(alpha)).abs().max() <= 0.51 / 255
    assert painted.after.name == "a_photo_waves.png" and read_image(painted.before).shape == (3, 43, 60)


def test_a_card_without_a_style(tmp_path):
    save_model(tmp_path / "model.ckpt", build_network("transformer", {"width": 4, "residual_blocks": 1}), {})
    assert list(Atelier([str(tmp_path / "model.ckpt")], "cpu").models) == ["model"]


def test_two_people_at_once_get_their_own_pictures(models, tmp_path):
    atelier = Atelier(models, "cpu")
    paths = [tmp_path / f"{n}.png" for n in range(4)]
    for path in paths:
        save_image(torch.rand(3, 40, 44), path)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(atelier.paint, style, path, Controls()) for path in paths for style in ("blue", "waves")]
    results = [job.result() for job in jobs]
    assert len({result.after for result in results}) == 8
    alone = Atelier(models, "cpu")
    for number, result in enumerate(results):
        expected = alone.paint(("blue", "waves")[number % 2], paths[number // 2], Controls())
        torch.testing.assert_close(read_image(result.after), read_image(expected.after), atol=1.001 / 255, rtol=0)


def test_bad_uploads_are_answered(models, tmp_path, monkeypatch):
    atelier = Atelier(models, "cpu")
    (tmp_path / "bad.png").write_bytes(b"hello")
    with pytest.raises(InputError, match="not a picture"):
        atelier.paint("blue", tmp_path / "bad.png", Controls())
    with pytest.raises(InputError, match="Give a picture first"):
        atelier.paint("blue", None, Controls())
    monkeypatch.setattr(atelier_module, "MAX_PIXELS", 100)
    save_image(torch.rand(3, 11, 10), tmp_path / "large.png")
    with pytest.raises(InputError, match="the limit is 100 pixels"):
        atelier.paint("blue", tmp_path / "large.png", Controls())


def test_old_results_are_deleted(models, picture):
    atelier = Atelier(models, "cpu")
    first, second = (atelier.paint("blue", picture, Controls()).after for _ in range(2))
    os.utime(first.parent, (0, 0))
    atelier.forget_old_results()
    assert second.exists() and not first.parent.exists()


def test_the_page_can_be_built(models):
    config = build_page(Atelier(models, "cpu")).get_config_file()
    kinds = [component["type"] for component in config["components"]]
    assert kinds.count("imageslider") == kinds.count("gallery") == 1 and kinds.count("downloadbutton") == 2


def test_wrong_calls_get_one_line(tmp_path):
    assert "no model 'nowhere'" in run_script("demo", "--model", "nowhere", cwd=tmp_path).error()
    assert "--max-upload=0: expected" in run_script("demo", "--max-upload", 0, cwd=tmp_path).error()
