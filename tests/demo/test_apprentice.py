"""A visitor's own painting: learnt in a process of its own, watched, stopped by who began it, used, forgotten."""

import time

import pytest
import torch

from fastnst.demo.apprentice import Apprentice
from fastnst.demo.atelier import KEPT_SECONDS, Atelier
from fastnst.errors import InputError
from fastnst.images.reading import read_image
from fastnst.images.saving import save_image
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import build_network
from fastnst.stylization import Stylizer
from fastnst.stylization.controls import Controls


@pytest.fixture
def painting(tmp_path):
    save_image(torch.rand(3, 60, 50), tmp_path / "my painting.png")
    return tmp_path / "my painting.png"


def test_learns_shows_and_paints(tmp_path, painting, small):
    save_model(tmp_path / "blue.ckpt", build_network("transformer", {"width": 4, "residual_blocks": 1}), {})
    atelier = Atelier([str(tmp_path / "blue.ckpt")], "cpu", learning=[])
    options = (*small, "trainer.max_steps=8", "preview_every=2", "final_photos=0")
    atelier.apprentice = Apprentice(tmp_path, options)
    seen = list(atelier.apprentice.learn(painting))
    assert seen[0].text.startswith("Starting") and seen[-1].text.startswith("Learnt in")
    assert [one.model for one in seen[:-1]] == [None] * (len(seen) - 1)
    assert read_image(seen[-1].preview).shape[0] == 3
    name = atelier.add_painting(seen[-1].model)
    assert name == "your painting" and name not in atelier.shipped
    ((picture, shown),) = atelier.thumbnails([name])
    assert shown == name and picture.size == (80, 96)
    painted = atelier.paint(name, str(painting), Controls())
    expected = Stylizer(load_model(seen[-1].model), "cpu")(read_image(painting))
    assert (read_image(painted.after) - expected).abs().max() <= 0.51 / 255
    assert atelier.add_painting(seen[-1].model) == "your painting 2"
    atelier.learnt[name] -= KEPT_SECONDS + 1
    with pytest.raises(InputError, match="forgotten after an hour"):
        atelier.paint(name, str(painting), Controls())
    assert "your painting 2" in atelier.models


def test_only_who_began_it_stops_it_and_keeps_what_was_learnt(tmp_path, painting, small):
    apprentice = Apprentice(tmp_path, (*small, "trainer.max_steps=100000", "save_every=0", "preview_every=50"))
    training = apprentice.learn(painting)
    for seen in training:
        if seen.text[0] in "123456789":
            break
    with pytest.raises(InputError, match="Somebody else's painting is being learnt"):
        next(apprentice.learn(painting))
    apprentice.stop(tmp_path / "another")
    assert apprentice.process.poll() is None
    apprentice.stop(seen.run)
    *_, last = training
    assert last.model.is_file() and 0 < load_model(last.model).card["steps"] < 100000


def test_a_training_that_takes_too_long_is_kept(tmp_path, painting, small):
    apprentice = Apprentice(tmp_path, (*small, "trainer.max_steps=100000"), most_seconds=0.1)
    started = time.monotonic()
    try:
        *_, last = apprentice.learn(painting)
        assert last.model.is_file()
    except InputError as error:  # stopped before its first step
        assert "without a model" in str(error)
    assert time.monotonic() - started < 120


def test_bad_paintings_are_answered(tmp_path, painting, small):
    apprentice = Apprentice(tmp_path, small)
    (tmp_path / "bad.png").write_bytes(b"hello")
    with pytest.raises(InputError, match="not a picture"):
        next(apprentice.learn(tmp_path / "bad.png"))
    with pytest.raises(InputError, match="Give a painting first"):
        next(apprentice.learn(None))
    save_image(torch.rand(3, 20, 20), tmp_path / "tiny.png")
    with pytest.raises(InputError, match="expected at least 32 a side"):
        list(apprentice.learn(tmp_path / "tiny.png"))
    assert not apprentice.busy.locked()
