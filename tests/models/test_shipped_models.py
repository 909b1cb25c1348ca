"""The trained styles in checkpoints/: all load, say how they were made, and paint."""

import json
import re

import pytest
import torch
import torch.nn.functional as F

from fastnst.data.sources import sample_photos
from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.features.fidelity import content_kept
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.losses.functional import gram_matrix
from fastnst.models.model_file import BASE, PAINTINGS, SHIPPED, STEADY, find_model, load_enlarger, load_model
from fastnst.models.styles import pick, style_names
from fastnst.styles import NAMES, picture_path
from tests.conftest import PROJECT

MODELS = sorted(
    path.stem
    for path in SHIPPED.glob("*.ckpt")
    if path.stem not in (BASE, PAINTINGS, STEADY) and "enlarge" not in path.stem
)
ENLARGERS = sorted(path.stem for path in SHIPPED.glob("enlarge*.ckpt"))
SMALL = re.compile("_(slim|tiny)$")
"""How names of models of network=slim and network=tiny end."""


def test_which_are_shipped():
    assert {"mosaic", "candy"} <= {*MODELS} and ENLARGERS == ["enlarge2", "enlarge4", "enlarge4_exact"]
    assert {SMALL.sub("", name) for name in MODELS} <= set(NAMES) and {"mosaic_slim", "mosaic_tiny"} <= {*MODELS}
    described = (PROJECT / "checkpoints" / "README.md").read_text(encoding="utf-8")
    assert (
        set(re.findall(r"^\| `(\w+)` \|", described, re.M))
        == {path.stem for path in SHIPPED.glob("*.ckpt")}
        > {*MODELS, BASE, PAINTINGS, STEADY}
    )


def test_what_a_new_painting_is_learnt_from():
    """Photographs go through it recognisable, whatever it paints them with."""
    model = load_model(SHIPPED / f"{BASE}.ckpt")
    assert " style=many " in model.card["command"] and model.thumbnail is None
    assert not re.search(r'"/|[A-Z]:\\', json.dumps(model.card))
    photo = resize_short_side(read_image(next(path for path in sample_photos() if path.stem == "chelsea")), 192)
    vgg = VGG(["relu3_1"], load_vgg_weights())
    with torch.no_grad():
        stylized = model.network(photo[None]).clamp(0, 1)
        seen, kept, other = (vgg(picture)["relu3_1"][0] for picture in (photo[None], stylized, photo[None].flip(-1)))
    assert content_kept(kept, seen) > 0.5 > content_kept(other, seen)


@pytest.mark.parametrize("name", [BASE, PAINTINGS, STEADY, *MODELS])
def test_no_flat_patches(name):
    """Nowhere is a square of 9 pixels without any feature, which would be a patch of the last layer's bias."""
    network = load_model(SHIPPED / f"{name}.ckpt").network
    if styles := network.arguments["styles"]:
        network = network.of_style(torch.eye(styles)[0])
    empty = []
    last = [module for module in network.decoder.modules() if isinstance(module, torch.nn.ReLU)][-1]
    last.register_forward_hook(lambda module, given, result: empty.append((result == 0).all(dim=1).float()))
    photos = sample_photos()
    for path in photos:
        with torch.no_grad():
            network(resize_short_side(read_image(path), 320)[None])
    assert len(empty) == len(photos) == 5
    assert not any((F.avg_pool2d(one, 9, stride=1) > 0.999).any() for one in empty)


@pytest.mark.parametrize("name", MODELS)
def test_card(name):
    model = load_model(SHIPPED / f"{name}.ckpt")
    card, style = model.card, SMALL.sub("", name)
    assert card["style"]["name"] == style and model.thumbnail is not None
    assert f"train style={style} " in card["command"].replace("scripts/train.py", "train")
    assert re.findall(r" network=(\w+) ", card["command"]) == SMALL.findall(name)
    assert re.fullmatch(r"[0-9a-f]{12}", card["commit"])  # no uncommitted changes
    assert card["steps"] == card["settings"]["trainer"]["max_steps"]
    assert card["steps"] >= 500 or card["settings"]["initial"] is not None  # or went on from another model
    assert card["seconds"] > 0 and card["data"]["photographs"] >= 100
    assert 0 < card["held_out"]["style"] < 2.0  # untouched photographs are at 2.6 to 2.9
    assert card["held_out"]["content"] > 0
    assert not re.search(r'"/|[A-Z]:\\', json.dumps(card))  # no absolute path of the machine that trained it


@pytest.mark.parametrize("name", [PAINTINGS, STEADY])
def test_all_styles_in_one_network(name):
    model = load_model(SHIPPED / f"{name}.ckpt")
    assert sorted(style_names(model)) == sorted(NAMES) and model.thumbnail.shape[:2] == (len(NAMES), 3)
    assert " style=many " in model.card["command"] and not re.search(r'"/|[A-Z]:\\', json.dumps(model.card))
    assert (SHIPPED / f"{name}.ckpt").stat().st_size <= 4e6
    assert (model.network.arguments["grain"] == 0) == (model.card["settings"]["loss"]["stability_weight"] > 0)
    with pytest.raises(InputError, match="no model 'oil': it is a style of 'paintings', give"):
        find_model("oil")
    fidelity = [style["fidelity"] for style in model.card["styles"]]
    assert all(one["content"] > 0.4 and one["style"] < 0.6 * one["photograph_style"] for one in fidelity)


@pytest.mark.parametrize(
    ("name", "painted"),
    [*((name, None) for name in MODELS), *((many, name) for many in (PAINTINGS, STEADY) for name in NAMES)],
)
def test_the_picture_wears_the_style(name, painted):
    """By another measure than the one trained on, cosine of Gram matrices, nearer to its painting than the photo is."""
    vgg = VGG(["relu1_1", "relu2_1", "relu3_1"], load_vgg_weights())
    photo = resize_short_side(read_image(next(path for path in sample_photos() if path.stem == "chelsea")), 192)
    style = resize_short_side(read_image(picture_path(painted or SMALL.sub("", name))), 512)
    model = load_model(SHIPPED / f"{name}.ckpt")
    with torch.no_grad():
        stylized = (pick(model, {painted: 1.0}) if painted else model).network(photo[None]).clamp(0, 1)
        pictures = [vgg(picture) for picture in (style[None], photo[None], stylized)]

    def likeness(layer: str, index: int) -> float:
        a, b = (gram_matrix(pictures[i][layer]).flatten() for i in (0, index))
        return torch.cosine_similarity(a, b, dim=0).item()

    for layer in vgg.layers:
        assert likeness(layer, 2) > likeness(layer, 1), layer
    assert stylized.std() > 0.1


@pytest.mark.parametrize("name", ENLARGERS)
def test_what_enlarges(name):
    """A photograph it has not seen, by measures that no loss has: nearer than bicubic enlargement, and no lattice."""
    model = load_enlarger(SHIPPED / f"{name}.ckpt")
    factor, card = model.network.factor, model.card
    assert name.startswith(f"enlarge{factor}") and (SHIPPED / f"{name}.ckpt").stat().st_size < 1.5e6
    assert not re.search(r'"/|[A-Z]:\\', json.dumps(card)) and "experiment=super_resolution" in card["command"]
    assert card["data"]["photographs"] == 440 and (card["settings"]["loss"]["feature_weight"] > 0) == ("_" not in name)
    photo = read_image(next(path for path in sample_photos() if path.stem == "chelsea"))[None, :, :296, :448]
    small = F.interpolate(photo, scale_factor=1 / factor, mode="bicubic", antialias=True).clamp(0, 1)
    bicubic = F.interpolate(small, scale_factor=factor, mode="bicubic").clamp(0, 1)
    vgg = VGG(["relu3_1"], load_vgg_weights())
    with torch.no_grad():
        ours = model.network(small).clamp(0, 1)
        plain, enlarged, original = (vgg(picture)["relu3_1"][0] for picture in (bicubic, ours, photo))
    assert (ours - photo).square().mean() < (0.9 if factor == 4 else 0.95) * (bicubic - photo).square().mean()
    assert 1 - content_kept(enlarged, original) < (0.9 if factor == 4 else 0.8) * (1 - content_kept(plain, original))
    phases = [
        (ours - photo)[..., row::factor, column::factor].mean() for row in range(factor) for column in range(factor)
    ]
    assert torch.stack(phases).std() < 0.5 / 255  # 6 of them where nothing kept features from it
