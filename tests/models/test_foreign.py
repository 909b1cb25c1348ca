"""Other people's state dictionaries, made here with their names and run by a plain re-implementation in their units."""

import re
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from fastnst.errors import InputError
from fastnst.models.model_file import load_model

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


class Peer(NamedTuple):
    """Prefixes with ``#`` for the block's number, from that on which stands behind it; units; what the card says."""

    down: str
    residual: tuple[str, int]  # with "%" for the first or second half, counted from the number behind
    up: tuple[str, str, str]
    norms: tuple[str, str, tuple[str, str]]
    affine: tuple[str, str] = ("weight", "bias")
    units: str = "imagenet"
    epsilon: float = 1e-5
    first_block: int = 1


JOHNSON_NORMS = ("in#", "res#.in%", ("in4", "in5"))
RRMINA_UP = ("DeconvBlock.0.conv_transpose", "DeconvBlock.2.conv_transpose", "DeconvBlock.4.conv_layer")
RRMINA_NORMS = (
    "ConvBlock.#.norm_layer", "ResidualBlock.#.conv%.norm_layer",
    ("DeconvBlock.0.norm_layer", "DeconvBlock.2.norm_layer"),
)  # fmt: skip
RRMINA = Peer(
    "ConvBlock.#.conv_layer", ("ResidualBlock.#.conv%.conv_layer", 1), RRMINA_UP, RRMINA_NORMS,
    units="bgr", first_block=0,
)  # fmt: skip
GORDIC_UP = ("up1.conv2d.conv2d", "up2.conv2d.conv2d", "up3.conv2d")
PEERS = {
    "pytorch/examples": Peer(
        "conv#.conv2d", ("res#.conv%.conv2d", 1), tuple(f"deconv{i}.conv2d" for i in (1, 2, 3)), JOHNSON_NORMS,
        units="bytes",
    ),
    "abhiskk": Peer(
        "conv#.conv2d", ("res#.conv%.conv2d", 1), tuple(f"deconv{i}.conv2d" for i in (1, 2, 3)), JOHNSON_NORMS,
        ("scale", "shift"), "bgr", 1e-9,
    ),
    "ceshine": Peer(
        "conv#.conv2d", ("res#.conv%.conv2d", 1), tuple(f"deconv{i}.conv2d" for i in (1, 2, 3)), JOHNSON_NORMS
    ),
    "gordicaleksa": Peer(
        "conv#.conv2d", ("res#.conv%.conv2d", 1), GORDIC_UP, JOHNSON_NORMS
    ),
    "eriklindernoren": Peer(
        "model.#.block.1", ("model.#.block.%.block.1", 0), tuple(f"model.{i}.block.1" for i in (8, 9, 10)),
        ("model.#.norm", "model.#.block.%.norm", ("model.8.norm", "model.9.norm")), first_block=3,
    ),
    "rrmina": RRMINA,
    "rrmina (tanh)": RRMINA,
}  # fmt: skip


def places(peer: Peer) -> list[tuple[str, str | None]]:
    """(convolution, norm) in the order of the forward pass."""
    downs = {"conv#.conv2d": (1, 2, 3), "model.#.block.1": (0, 1, 2)}.get(peer.down, (0, 2, 4))
    found = [(peer.down.replace("#", str(n)), peer.norms[0].replace("#", str(n))) for n in downs]
    pattern, first_half = peer.residual
    for block in range(peer.first_block, peer.first_block + 5):
        for half in (first_half, first_half + 1):
            names = (name.replace("#", str(block)).replace("%", str(half)) for name in (pattern, peer.norms[1]))
            found.append(tuple(names))
    return found + list(zip(peer.up, (*peer.norms[2], None), strict=True))


def state(layout: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the layout's names; the last layer's values spread as its units ask for."""
    torch.manual_seed(seed)
    peer, weights = PEERS[layout], {}
    sizes = [(32, 3, 9), (64, 32, 3), (128, 64, 3), *[(128, 128, 3)] * 10, (64, 128, 3), (32, 64, 3), (3, 32, 9)]
    for (conv, norm), (out, into, side) in zip(places(peer), sizes, strict=True):
        shape = (into, out) if "transpose" in conv else (out, into)
        weights[f"{conv}.weight"] = torch.randn(*shape, side, side) / (into * side * side) ** 0.5
        weights[f"{conv}.bias"] = torch.randn(out) / 10
        if norm is not None:
            weights[f"{norm}.{peer.affine[0]}"] = 1 + torch.randn(out) / 5
            weights[f"{norm}.{peer.affine[1]}"] = torch.randn(out) / 5
    if peer.units != "imagenet" and "tanh" not in layout:
        weights[f"{peer.up[2]}.weight"] *= 60
        weights[f"{peer.up[2]}.bias"] += 128
    return weights


def reference(layout: str, weights: dict[str, torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
    """The layout's network, from RGB in [0, 1] to the same, step by step."""
    peer = PEERS[layout]
    x = (picture - MEAN) / STD if peer.units == "imagenet" else picture * 255
    x = x.flip(1) if peer.units == "bgr" else x
    skip = x
    for number, (conv, norm) in enumerate(places(peer)):
        weight, bias = weights[f"{conv}.weight"], weights[f"{conv}.bias"]
        if "transpose" in conv:
            x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
        else:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3) if number in (13, 14) else x
            skip = x if number in range(3, 13, 2) else skip
            side = weight.shape[-1] // 2
            x = F.conv2d(F.pad(x, (side,) * 4, mode="reflect"), weight, bias, stride=2 if number in (1, 2) else 1)
        if norm is None:
            break
        gamma, beta = (weights[f"{norm}.{name}"][:, None, None] for name in peer.affine)
        spread = (x.var(dim=(2, 3), correction=0, keepdim=True) + peer.epsilon).sqrt()
        x = (x - x.mean(dim=(2, 3), keepdim=True)) / spread * gamma + beta
        x = x + skip if number in range(4, 13, 2) else x.relu()
    x = 150 * x.tanh() if "tanh" in layout else x
    x = x.flip(1) if peer.units == "bgr" else x
    return (x * STD + MEAN if peer.units == "imagenet" else x / 255).clamp(0, 1)


@pytest.mark.parametrize("layout", PEERS)
def test_paints_what_the_original_paints(layout, tmp_path):
    weights = state(layout)
    torch.save(weights, tmp_path / "candy.pth")
    model = load_model(tmp_path / "candy.pth")
    picture = torch.rand(1, 3, 40, 48)
    with torch.no_grad():
        expected, painted = reference(layout, weights, picture), model.network(picture).clamp(0, 1)
    assert expected.std() > 0.05  # there is something to compare
    torch.testing.assert_close(painted, expected, atol=1e-4, rtol=0)
    assert model.card["layout"] == layout and model.card["style"] == {"name": "candy"}
    assert not model.network.training and sum(value.numel() for value in weights.values()) == 1_679_235


def wrapped(weights):
    return {"state_dict": weights, "commit_hash": "1234", "content_weight": 1.0, "optimizer_state": {"step": 3}}


def parallel(weights):
    return {f"module.{name}": value for name, value in weights.items()}


def with_running_statistics(weights):
    norms = [name.removesuffix(".weight") for name in weights if re.search(r"in\d\.weight", name)]
    assert len(norms) == 15
    return weights | {f"{norm}.running_{what}": torch.ones(4) for norm in norms for what in ("mean", "var")}


@pytest.mark.parametrize("change", [wrapped, parallel, with_running_statistics])
@pytest.mark.parametrize("zipped", [True, False])
def test_how_it_was_saved_does_not_matter(change, zipped, tmp_path):
    weights = state("pytorch/examples")
    torch.save(weights, tmp_path / "plain.pth")
    torch.save(change(weights), tmp_path / "changed.model", _use_new_zipfile_serialization=zipped)
    plain, changed = load_model(tmp_path / "plain.pth"), load_model(tmp_path / "changed.model")
    assert changed.card["layout"] == "pytorch/examples"
    for name, value in plain.network.state_dict().items():
        torch.testing.assert_close(changed.network.state_dict()[name], value, rtol=0, atol=0)


def test_a_checkpoint_from_a_gpu_and_one_in_safetensors(tmp_path, monkeypatch):
    weights = state("gordicaleksa")
    save_file(weights, tmp_path / "a.safetensors")
    assert load_model(tmp_path / "a.safetensors").card["layout"] == "gordicaleksa"
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
    torch.save(weights, tmp_path / "b.pth")
    assert b"cuda:3" in (tmp_path / "b.pth").read_bytes()
    assert next(load_model(tmp_path / "b.pth").network.parameters()).device.type == "cpu"


def without(weights, name):
    return {key: value for key, value in weights.items() if key != name}


NORM_FIRST = dict(sorted(state("rrmina").items(), key=lambda item: ("norm" not in item[0], item[0])))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (without(state("abhiskk"), "in2.scale"), "abhiskk (61 of its 62 names) but lacks in2.scale"),
        (state("ceshine") | {"res6.bias": torch.ones(1)}, "examples (62 of its 62 names) but has also res6.bias"),
        (state("gordicaleksa") | {"in1.bias": torch.ones(31)}, "of gordicaleksa, but not its network: size"),
        (NORM_FIRST, "TransformerNetworkV2 of rrmina"),
        ({"fc.weight": torch.ones(2), "fc.bias": torch.ones(2)}, "2 weights of an unknown network (fc.weight, fc."),
        ({}, "is not a fastnst model file"),
        ([1, 2], "is not a fastnst model file"),
    ],
)  # fmt: skip
def test_what_is_not_recognised_is_said_in_a_line(content, message, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load_model(tmp_path / "a.pth")
    assert "\n" not in str(error.value) and str(tmp_path / "a.pth") in str(error.value)
