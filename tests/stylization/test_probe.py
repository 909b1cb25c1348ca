"""What a file is, told without decoding it, and by opening it once."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls, Stylizer
from fastnst.stylization.files.many_files import stylize_files
from fastnst.stylization.files.one_file import Handling
from fastnst.stylization.files.plan import plan
from fastnst.stylization.probe import ANIMATION, STILL, VIDEO, probe
from tests.stylization.files.test_many_files import nobody_looks
from tests.stylization.moving.test_animation import clip


def test_kinds(tmp_path):
    for name in ("a.gif", "a.webp", "a.png"):
        found = probe(clip(tmp_path / name))
        assert (found.kind, found.size, found.frames, found.first, found.loop) == (ANIMATION, (31, 20), 4, 0, 3)
    pages = [Image.new("RGB", (5, 6), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert probe(tmp_path / "pages.tif")[1:4] == (STILL, (5, 6), 2)
    pages[0].save(tmp_path / "still.gif")
    assert probe(tmp_path / "still.gif")[1:4] == (STILL, (5, 6), 1)
    (tmp_path / "empty.gif").touch()
    for name in ("empty.gif", "missing.gif"):
        assert probe(tmp_path / name)[1:4] == (STILL, (0, 0), 1)
    assert probe(Path("film.MP4")).kind == VIDEO


def test_the_first_picture_of_an_apng_that_is_not_shown_does_not_count(tmp_path):
    frames = [Image.new("RGB", (5, 5), color) for color in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=True)
    assert (probe(tmp_path / "a.png").first, probe(tmp_path / "a.png").frames) == (1, 2)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp"])
def test_a_picture_of_a_folder_is_hardly_ever_opened(tmp_path, monkeypatch, name):
    """Once for what it is, once for its pixels; a GIF or WebP once more, as its ending depends on whether it moves."""
    (tmp_path / "in").mkdir()
    Image.new("RGB", (20, 24), "red").save(tmp_path / "in" / name)
    opened, open_ = Counter(), Image.open

    def counted(file, *arguments, **options):
        opened[str(file)] += 1
        return open_(file, *arguments, **options)

    monkeypatch.setattr(Image, "open", counted)
    torch.manual_seed(0)
    stylizer = Stylizer(Model(TransformerNetwork(width=2, residual_blocks=1).eval(), {}, None), "cpu")
    work = plan([tmp_path / "in"], tmp_path / "out", "tiny")
    assert [result.problem for result in stylize_files(work, stylizer, Controls(), Handling(), nobody_looks)] == [None]
    assert opened[str(tmp_path / "in" / name)] == (2 if name in ("a.png", "a.jpg") else 3)
