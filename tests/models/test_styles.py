"""Models of many styles: files, names, mixtures, and what is said of wrong ones."""

import pytest
import torch

from fastnst.errors import InputError
from fastnst.models.model_file import load_model, save_model
from fastnst.models.styles import pick, shares_from_text, style_names
from fastnst.networks import build_network
from fastnst.stylization import Stylizer

NAMES = ("candy", "ink", "sea")


def write(path):
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 4, "residual_blocks": 1, "styles": 3})
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.add_(0.3 * torch.randn_like(parameter))
    card = {"style": {"name": "all", "size": 64}, "styles": [{"name": name, "figure": 0.5} for name in NAMES]}
    save_model(path, network, card, torch.linspace(0, 1, 3)[:, None, None, None].expand(-1, 3, 8, 8))
    return path


@pytest.fixture
def model(tmp_path):
    return load_model(write(tmp_path / "all.ckpt"))


def test_a_file_names_its_styles(model):
    assert style_names(model) == list(NAMES)
    assert model.thumbnail.shape == (3, 3, 8, 8)


def test_a_picked_style_is_a_model_of_its_own(model, tmp_path):
    picture = torch.rand(3, 24, 31)
    ink = pick(model, {"ink": 1.0})
    assert ink.card["style"] == {"name": "ink", "size": 64, "figure": 0.5} and "styles" not in ink.card
    torch.testing.assert_close(ink.thumbnail, torch.full((3, 8, 8), 128 / 255))
    with torch.no_grad():
        expected = model.network(picture[None], style=torch.tensor([[0.0, 1.0, 0.0]]))[0].clamp(0, 1)
    torch.testing.assert_close(Stylizer(ink, "cpu", engine="plain")(picture), expected)
    save_model(tmp_path / "ink.ckpt", ink.network, ink.card, ink.thumbnail)
    again = load_model(tmp_path / "ink.ckpt")
    assert style_names(again) == [] and again.card["style"]["name"] == "ink"


def test_a_mixture_is_one_pass(model):
    picture = torch.rand(3, 24, 31)
    mixed = pick(model, shares_from_text("candy=0.75,sea=0.25", model))
    assert mixed.card["style"]["name"] == "candy+sea"
    torch.testing.assert_close(mixed.thumbnail, model.thumbnail[0])  # the larger share's
    with torch.no_grad():
        expected = model.network(picture[None], style=torch.tensor([[0.75, 0.0, 0.25]]))[0].clamp(0, 1)
    torch.testing.assert_close(Stylizer(mixed, "cpu", engine="plain")(picture), expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nosuch", "no style 'nosuch' in this model: expected one of candy, ink, sea"),
        ("candy=0.5,ink=0.6", "candy=0.5,ink=0.6 sums to 1.1: expected shares of 0 or more that sum to 1"),
        ("candy=1.5,ink=-0.5", "expected shares of 0 or more"),
        ("candy=nan,ink=1", "expected shares of 0 or more"),
        ("candy,ink", "expected a name, or shares"),
        ("candy=0.5,candy=0.5", "expected a name, or shares"),
        ("candy=half,ink=0.5", "expected a name, or shares"),
    ],
)
def test_wrong_styles(model, text, words):
    with pytest.raises(InputError, match=words):
        pick(model, shares_from_text(text, model))


def test_a_name_may_hold_what_shares_are_written_with(model):
    odd = model._replace(card={**model.card, "styles": [{"name": name} for name in ("a=0.5,b=0.5", "ink", "sea, 2")]})
    assert shares_from_text("sea, 2", odd) == {"sea, 2": 1.0}
    assert shares_from_text("a=0.5,b=0.5", odd) == {"a=0.5,b=0.5": 1.0}
    assert shares_from_text("ink=0.25,sea=0.75", odd) == {"ink": 0.25, "sea": 0.75}


def test_a_model_of_one_style_has_none_to_pick(model):
    with pytest.raises(InputError, match="only one"):
        pick(pick(model, {"ink": 1.0}), {"ink": 1.0})


def test_a_stylizer_asks_for_the_style(model):
    with pytest.raises(InputError, match="3 styles: pick one of candy, ink, sea"):
        Stylizer(model)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("styles", [{"name": "candy"}, {"name": "ink"}], "names 2 styles"),
        ("styles", [{"name": "candy"}, {"name": "candy"}, {"name": "sea"}], "no plain names"),
        ("styles", [{"name": "candy"}, {"name": "../ink"}, {"name": "sea"}], "no plain names"),
        ("styles", [{"name": "candy"}, "ink", {"name": "sea"}], "no plain names"),
        ("styles", "candy", "no plain names"),
        ("styles", 3, "no plain names"),
        ("thumbnail", torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "thumbnail has shape"),
    ],
)
def test_hostile_files(tmp_path, part, value, words):
    content = torch.load(write(tmp_path / "all.ckpt"), weights_only=True)
    (content if part in content else content["card"])[part] = value
    torch.save(content, tmp_path / "all.ckpt")
    with pytest.raises(InputError, match=words):
        load_model(tmp_path / "all.ckpt")
