"""Styles taken out, dropped and put in: each still paints what it painted, to the bit, and nothing else is touched."""

import pytest
import torch

from fastnst.errors import InputError
from fastnst.models.model_file import load_model, save_model
from fastnst.models.style_rows import drop, put
from fastnst.models.styles import pick, style_names
from fastnst.networks import build_network
from fastnst.stylization import Stylizer
from tests.conftest import run_script
from tests.models.test_styles import NAMES, write

PICTURE = torch.rand(3, 24, 31, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(tmp_path):
    return load_model(write(tmp_path / "all.ckpt"))


def assert_paints(model, original, names):
    assert style_names(model) == list(names)
    for name in names:
        expected = Stylizer(pick(original, {name: 1.0}), "cpu")(PICTURE)
        assert torch.equal(Stylizer(pick(model, {name: 1.0}), "cpu")(PICTURE), expected)
    places = [NAMES.index(name) for name in names]
    assert torch.equal(model.thumbnail, original.thumbnail[places])
    assert model.card["styles"] == [original.card["styles"][place] for place in places]


def test_dropped(model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    assert_paints(drop(model, ["ink"]), model, ["candy", "sea"])
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert style_names(model) == list(NAMES)
    assert drop(model._replace(thumbnail=None), ["sea"]).thumbnail is None


def test_taken_out_and_put_in_again(model, tmp_path):
    for name in NAMES:  # through files, which keep kernels in half precision
        save_model(tmp_path / f"{name}.ckpt", *pick(model, {name: 1.0}))
    candy, ink, sea = (load_model(tmp_path / f"{name}.ckpt") for name in NAMES)
    two = put(candy, sea)
    assert two.card["style"] == {"name": "many"} and two.card["network"]["arguments"]["styles"] == 2
    three = put(two, ink)
    assert style_names(three) == ["candy", "sea", "ink"]
    assert [style["figure"] for style in three.card["styles"]] == [0.5] * 3
    save_model(tmp_path / "three.ckpt", *three)
    again = load_model(tmp_path / "three.ckpt")
    assert torch.equal(again.thumbnail, model.thumbnail[[0, 2, 1]])
    for name in NAMES:
        expected = Stylizer(pick(model, {name: 1.0}), "cpu")(PICTURE)
        assert torch.equal(Stylizer(pick(again, {name: 1.0}), "cpu")(PICTURE), expected)
    assert_paints(put(drop(model, ["sea"]), sea)._replace(card=model.card), model, NAMES)


def test_thumbnails_of_other_sizes_and_missing_ones(model):
    ink, two = pick(model, {"ink": 1.0}), drop(model, ["ink"])
    larger = put(two, ink._replace(thumbnail=torch.full((3, 12, 16), 0.75))).thumbnail
    assert larger.shape == (3, 3, 8, 8)
    torch.testing.assert_close(larger[2], torch.full((3, 8, 8), 0.75))
    assert torch.equal(put(two, ink._replace(thumbnail=None)).thumbnail[2], torch.full((3, 8, 8), 0.5))
    assert torch.equal(put(two._replace(thumbnail=None), ink).thumbnail[0], torch.full((3, 8, 8), 0.5))
    assert put(two._replace(thumbnail=None), ink._replace(thumbnail=None)).thumbnail is None


def changed(model, name):
    """Another model, one of whose weights is the next number."""
    network = build_network("transformer", model.network.arguments)
    state = {key: value.clone() for key, value in model.network.state_dict().items()}
    flat = state[name].view(-1)
    flat[0] = torch.nextafter(flat[0], torch.tensor(9.0))
    network.load_state_dict(state)
    return model._replace(network=network)


@pytest.mark.parametrize("name", ["encoder.0.0.weight", "residual.0.body.3.bias", "to_rgb.bias"])
def test_other_convolutions_are_refused(model, name):
    ink, two = pick(model, {"ink": 1.0}), drop(model, ["ink"])
    with pytest.raises(InputError, match="the convolutions of the two models differ"):
        put(two, changed(ink, name))


@pytest.mark.parametrize("arguments", [{"grain": 0.1}, {"width": 8}, {"residual_blocks": 2}, {"epsilon": 1e-3}])
def test_other_networks_are_refused(model, arguments):
    network = build_network("transformer", {**model.network.arguments, "styles": None, **arguments})
    with pytest.raises(InputError, match="the convolutions of the two models differ"):
        put(model, pick(model, {"ink": 1.0})._replace(network=network))


def test_wrong_names(model):
    ink = pick(model, {"ink": 1.0})
    for wrong, words in (
        (lambda: put(model, ink), "both models have a style 'ink': drop it"),
        (lambda: drop(model, ["nosuch"]), "no style 'nosuch' in this model: it has candy, ink, sea"),
        (lambda: drop(model, ["ink", "candy"]), "1 of 3 styles would be left"),
        (lambda: drop(ink, ["ink"]), "it has only one"),
    ):
        with pytest.raises(InputError, match=words):
            wrong()


def test_command_line(model, tmp_path):
    def edit(*options):
        return run_script("edit_styles", *options, cwd=tmp_path)

    answer = edit("--model", "all.ckpt", "--take", "ink", "--output", "ink.ckpt")
    assert (answer.code, answer.out) == (0, "ink -> ink.ckpt\n"), answer.err
    assert edit("--model", "all.ckpt", "--drop", "ink", "--output", "fewer.ckpt").out == "candy, sea -> fewer.ckpt\n"
    answer = edit("--model", "fewer.ckpt", "--put", "ink.ckpt", "--output", "new/more.ckpt")
    assert (answer.code, answer.out) == (0, "candy, sea, ink -> new/more.ckpt\n"), answer.err
    assert style_names(load_model(tmp_path / "new" / "more.ckpt")) == ["candy", "sea", "ink"]
    assert edit("--model", "all.ckpt", "--take", "candy=0.5,ink=0.5", "--output", "mixed.ckpt").code == 0
    assert load_model(tmp_path / "mixed.ckpt").card["style"]["name"] == "candy+ink"
    before = (tmp_path / "ink.ckpt").read_bytes()
    for options, words in (
        (["--take", "candy", "--output", "ink.ckpt"], "ink.ckpt exists: add --overwrite"),
        (["--take", "candy", "--output", "ink.pt"], "expected .ckpt at its end"),
        (["--take", "candy", "--drop", "ink", "--output", "x.ckpt"], "not allowed with argument"),
        (["--output", "x.ckpt"], "one of the arguments --take --drop --put is required"),
        (["--put", "nosuch.ckpt", "--output", "x.ckpt"], "no model 'nosuch.ckpt'"),
        (["--put", "mosaic", "--output", "x.ckpt"], "convolutions of the two models differ"),
    ):
        assert words in edit("--model", "all.ckpt", *options).error()
    assert (tmp_path / "ink.ckpt").read_bytes() == before
    assert edit("--model", "all.ckpt", "--take", "sea", "--output", "ink.ckpt", "--overwrite").code == 0
    assert load_model(tmp_path / "ink.ckpt").card["style"]["name"] == "sea"
