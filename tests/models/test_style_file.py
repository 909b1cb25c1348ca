"""Style files: they paint what the network that learnt them paints, to the bit; and what is said of wrong ones."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from fastnst.errors import InputError
from fastnst.models.model_file import Model, load_model, save_model
from fastnst.models.style_file import read_style, save_style
from fastnst.models.style_rows import fingerprint
from fastnst.models.styles import pick, style_names
from fastnst.networks import build_network
from fastnst.stylization import Stylizer
from tests.conftest import run_script
from tests.models.test_styles import write

PICTURE = torch.rand(3, 24, 31, generator=torch.Generator().manual_seed(0))


def learnt(base, seed, name="painting"):
    """A network of one style with the convolutions of ``base`` and normalisations of its own, as training leaves it."""
    network = build_network("transformer", {**base.network.arguments, "styles": None})
    random = torch.Generator().manual_seed(seed)
    state = {
        key: value if value.shape == network.state_dict()[key].shape and (value.ndim == 4 or not is_norm(key))
        else 1 + 0.3 * torch.randn(value.shape[-1:], generator=random)
        for key, value in base.network.state_dict().items()
    }  # fmt: skip
    network.load_state_dict(state)
    card = {
        "style": {"name": name, "size": 64},
        "fidelity": {"content": 0.5, "style": 0.25},
        "steps": 64,
        "command": "x",
    }
    return Model(network.eval().requires_grad_(False), card, torch.linspace(0, 1, 60 * 96 * 3).view(3, 60, 96))


def is_norm(key):
    """By the places of the layers in their blocks, whatever their class."""
    block, _, rest = key.partition(".")
    place = rest.split(".")[-2] if rest.count(".") > 1 else ""
    return {"encoder": place == "1", "decoder": place == "2", "residual": place in "14"}.get(block, False)


@pytest.fixture
def many(tmp_path):
    return load_model(write(tmp_path / "many.ckpt"))


@pytest.fixture(params=["one", "many"])
def base(request, many):
    return many if request.param == "many" else pick(many, {"ink": 1.0})


@pytest.fixture
def painting(base, tmp_path):
    """A style that was learnt from the base, and its file."""
    style = learnt(base, 1)
    save_style(tmp_path / "painting.style", style, "base")
    return style, tmp_path / "painting.style"


def test_it_paints_what_was_learnt(base, painting):
    style, path = painting
    expected = Stylizer(style, "cpu")(PICTURE)
    stylize = Stylizer(base, "cpu", shares={str(path): 1.0})
    assert torch.equal(stylize(PICTURE), expected)
    assert (
        expected - Stylizer(pick(base, {"ink": 1.0}) if style_names(base) else base, "cpu")(PICTURE)
    ).abs().max() > 0.01
    card = stylize.model.card
    assert card["style"]["name"] == "painting" and card["style"]["fidelity"]["style"] == 0.25
    assert card["style"]["steps"] == 64 and stylize.model.thumbnail is not None


def test_mixtures_interpolate_rows(base, painting, tmp_path):
    style, path = painting
    other = learnt(base, 2, "other")
    save_style(tmp_path / "other.style", other, "base")
    mean = learnt(base, 3)
    states = [one.network.state_dict() for one in (style, other)]
    mean.network.load_state_dict({key: 0.75 * states[0][key] + 0.25 * states[1][key] for key in states[0]})
    stylize = Stylizer(base, "cpu", shares={str(path): 0.75, str(tmp_path / "other.style"): 0.25})
    torch.testing.assert_close(stylize(PICTURE), Stylizer(mean, "cpu")(PICTURE), atol=1e-5, rtol=0)
    assert stylize.model.card["style"]["name"] == "painting+other"
    stylize.set_shares({str(path): 1.0})
    assert torch.equal(stylize(PICTURE), Stylizer(style, "cpu")(PICTURE))
    stylize.set_shares({"ink": 0.5, str(path): 0.5})
    assert stylize.model.card["style"]["name"] == "ink+painting"


def test_other_programs_can_read_it(base, painting):
    style, path = painting
    with safe_open(path, framework="np") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    assert held.pop("thumbnail").shape == (3, 30, 48)
    state = style.network.state_dict()
    assert held.keys() == {name for name in state if is_norm(name)} and len(held) == 14
    assert all(np.array_equal(row, state[name].numpy()) for name, row in held.items())
    assert metadata["format"] == "fastnst-style" and metadata["version"] == "1"
    card = json.loads(metadata["card"])
    assert card["initial"] == "base" and card["style"]["name"] == "painting" and "command" not in str(card)


def test_the_papers_network_makes_one_of_some_20_kB(tmp_path):
    network = build_network("transformer", {})
    save_style(tmp_path / "a.style", Model(network, {"style": {"name": "a"}}, torch.rand(3, 96, 96)), "base")
    assert sum(value.numel() for name, value in network.state_dict().items() if is_norm(name)) == 3200
    assert 4 * 3200 < (tmp_path / "a.style").stat().st_size < 24_000


def test_convolutions_are_told_apart_and_rows_are_not(base):
    assert fingerprint(learnt(base, 1).network) == fingerprint(learnt(base, 2).network) == fingerprint(base.network)
    last = learnt(base, 1).network
    with torch.no_grad():
        last.to_rgb.bias[0] = torch.nextafter(last.to_rgb.bias[0], torch.tensor(9.0))
    assert fingerprint(last) != fingerprint(base.network)
    for change in ({"grain": 0.1}, {"epsilon": 1e-3}, {"output": "linear"}):  # which no weight shows
        network = build_network("transformer", {**base.network.arguments, **change})
        network.load_state_dict(base.network.state_dict())
        assert fingerprint(network) != fingerprint(base.network)
    assert fingerprint(base.network.to(memory_format=torch.channels_last)) == fingerprint(learnt(base, 1).network)


def test_another_base_is_refused_in_a_line(base, painting, tmp_path):
    other = learnt(base, 1)
    with torch.no_grad():
        other.network.encoder[0][0].weight[0, 0, 0, 0] += 0.1
    save_model(tmp_path / "wrong.ckpt", *other)
    error = run_script("stylize", "--model", "wrong.ckpt", "--style", "painting.style", cwd=tmp_path).error()
    assert "painting.style: it was learnt with the convolutions of initial=base (fingerprint " in error
    assert "give that model" in error


def test_commands(base, painting, photos, tmp_path):
    style, _ = painting
    save_model(tmp_path / "base.ckpt", *base)
    save_model(tmp_path / "learnt.ckpt", *style)
    photo = photos / "photo0.png"

    def answer(script, *options):
        given = run_script(script, *options, cwd=tmp_path)
        assert given.code == 0, given.err
        return given

    paint = ("stylize", "--device", "cpu", "--input", photo)
    answer(*paint, "--model", "learnt.ckpt", "--output", "expected.png")
    answer(*paint, "--model", "base.ckpt", "--style", "painting.style")
    expected = np.array(Image.open(tmp_path / "expected.png"))
    assert np.array_equal(np.array(Image.open(tmp_path / "stylized" / "photo0_painting.png")), expected)
    for what, file in (("--take", "taken.ckpt"), ("--put", "more.ckpt")):
        answer("edit_styles", "--model", "base.ckpt", what, "painting.style", "--output", file)
    assert style_names(load_model(tmp_path / "more.ckpt")) == [*(style_names(base) or ["ink"]), "painting"]
    answer(*paint, "--model", "taken.ckpt", "--output", "taken.png")
    answer(*paint, "--model", "more.ckpt", "--style", "painting", "--output", "more.png")
    for file in ("taken.png", "more.png"):
        assert np.array_equal(np.array(Image.open(tmp_path / file)), expected)
    info = answer("stylize", "--model", "base.ckpt", "--style", "painting.style", "--info").out
    assert json.loads(info)["style"]["name"] == "painting" and "fidelity" not in json.loads(info)
    answer("export", "--model", "base.ckpt", "--style", "painting.style", "--format", "safetensors")
    answer(*paint, "--model", "exported/painting.safetensors", "--output", "exported.png")
    assert np.array_equal(np.array(Image.open(tmp_path / "exported.png")), expected)
    error = run_script("stylize", "--model", "painting.style", cwd=tmp_path).error()
    assert "a style without its network: give the --model it was learnt from, and --style painting.style" in error
    error = run_script("stylize", "--model", "base.ckpt", "--style", "gone.style", cwd=tmp_path).error()
    assert "there is no style file gone.style" in error


def test_frames_go_from_one_file_to_another(base, painting, tmp_path):
    save_model(tmp_path / "base.ckpt", *base)
    save_style(tmp_path / "other.style", learnt(base, 2), "base")
    frames = [Image.fromarray(np.full((24, 31, 3), shade, np.uint8)) for shade in (40, 120, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    ends = ("--style-from", "painting.style", "--style-to", "other.style")
    given = run_script("stylize", "--model", "base.ckpt", *ends, "--input", "a.gif", cwd=tmp_path)
    assert given.code == 0 and (tmp_path / "stylized" / "a_painting_to_other.gif").is_file(), given.err


def hostile(tensors, card):
    """Changes to a good file's tensors and card, and the words of the answer."""
    first = next(name for name in tensors if name != "thumbnail")
    row = tensors[first]
    without = {name: value for name, value in tensors.items() if name != first}
    deep = "[" * 100_000 + "]" * 100_000
    return {
        "a row is missing": (without, card, "its rows are not those"),
        "a row too many": ({**tensors, "to_rgb.weight": row.clone()}, card, "its rows are not those"),
        "a row too long": ({**tensors, first: torch.ones(len(row) + 1)}, card, "its rows are not those"),
        "a row of two dimensions": ({**tensors, first: row[None]}, card, "its rows are not those"),
        "no number": ({**tensors, first: row * float("nan")}, card, "it holds what is no number"),
        "the picture is none": ({**tensors, "thumbnail": torch.zeros(4, 8, 8)}, card, "thumbnail has shape"),
        "no fingerprint": (tensors, {**card, "fingerprint": None}, "fingerprint None"),
        "a list as fingerprint": (tensors, {**card, "fingerprint": ["a"] * 9}, "fingerprint"),
        "no style": (tensors, {"fingerprint": card["fingerprint"]}, "its card has no style"),
        "a path as name": (tensors, {**card, "style": {"name": "../x"}}, "no plain name"),
        "control characters": (tensors, {**card, "initial": "\x1b[2J"}, "control characters"),
        "no card": (tensors, None, "is damaged or not a style file"),
        "a list as card": (tensors, [], "its card is no dictionary"),
        "a deep card": (tensors, deep, "is damaged or not a style file"),
        "a large card": (tensors, {**card, "a": "b" * (1 << 20)}, "more than"),
    }


def test_hostile_files(base, painting, tmp_path):
    _, path = painting
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    wrong = tmp_path / "wrong.style"

    def refused(words):
        with pytest.raises(InputError, match=words) as error:
            read_style(wrong, base)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500

    cases = hostile(tensors, json.loads(metadata["card"]))
    assert len(cases) == 15
    for changed, card, words in cases.values():
        text = card if isinstance(card, str) else json.dumps(card)
        save_file(changed, wrong, {**metadata, "card": text} if card is not None else {"format": metadata["format"]})
        refused(words)
    for version, words in (("2", "style format 2"), ("0", "style format 0"), ("x", "damaged")):
        save_file(tensors, wrong, {**metadata, "version": version})
        refused(words)
    save_file(tensors, wrong)
    refused("is no style file")
    good = path.read_bytes()
    for content in (b"", good[:-1], good[:100], b"\xff" * 100, (1 << 60).to_bytes(8, "little") + good[8:], good + b"a"):
        wrong.write_bytes(content)
        refused("is damaged or not a style file")
    wrong.write_bytes(b"\0" * (1 << 25))
    refused("bytes of a style file")
