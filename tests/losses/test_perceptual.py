"""The objective: its terms against numpy on the same features, its weights, its forms, its refusals."""

import numpy as np
import pytest
import torch

from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.losses import PerceptualLoss, functional
from fastnst.losses.perceptual import current_arguments, mean

CONTENT = {"relu2_2": 2.0}
STYLE = {"relu1_2": 1.0, "relu2_2": 0.5}


@pytest.fixture(scope="module")
def vgg():
    return VGG(["relu1_2", "relu2_2"], load_vgg_weights())


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(n, 3, 24, 20, generator=generator) for n in (1, 2, 2)]  # style, stylized, content


def build(vgg, style, **options):
    return PerceptualLoss(vgg, style, **{"content_layers": CONTENT, "style_layers": STYLE} | options)


def gram(features: np.ndarray) -> np.ndarray:
    return np.einsum("nchw,ndhw->ncd", features, features) / features[0].size


@pytest.mark.parametrize("distance", ["unsquared", "relative", "squared"])
def test_terms_by_numpy(vgg, pictures, distance):
    style, stylized, content = pictures
    relative = distance != "squared"
    loss = build(
        vgg, style, content_weight=3.0, style_weight=7.0, moments_weight=5.0, tv_weight=0.1,
        content_distance="relative" if relative else "squared", style_distance=distance, halo_weight=2.0,
        motifs_weight=4.0,
    )  # fmt: skip
    s, x, c = ({name: value.double().numpy() for name, value in vgg(each).items()} for each in pictures)
    for size, part in (("half", 2), ("quarter", 4)):
        for whole, features in ((style, s), (stylized, x)):
            small = whole.unflatten(3, (-1, part)).unflatten(2, (-1, part)).mean((3, 5))
            features |= {f"{size}/{name}": value.double().numpy() for name, value in vgg(small).items()}
    contents = [
        ((x["relu2_2"][n] - c["relu2_2"][n]) ** 2).sum()
        / ((c["relu2_2"][n] ** 2).sum() if relative else c["relu2_2"][n].size)
        for n in range(2)
    ]

    def compared(statistics):
        target = statistics(s)[0]
        difference = ((statistics(x) - target) ** 2).reshape(2, -1).sum(axis=1)
        if distance == "unsquared":
            return (difference**0.5).mean() / (target**2).sum() ** 0.5
        return difference.mean() / ((target**2).sum() if relative else 1)

    names = [f"{size}{layer}" for size in ("", "half/", "quarter/") for layer in STYLE]
    styles = {layer: compared(lambda f, layer=layer: gram(f[layer])) for layer in names}
    moments = {
        layer: compared(lambda f, layer=layer: np.stack([f[layer].mean((2, 3)), f[layer].std((2, 3))], axis=1))
        for layer in names
    }
    motifs = {layer: styles.pop(layer) + moments.pop(layer) for layer in names if "/" in layer}
    pixels = stylized.double().numpy()
    variation = (np.diff(pixels, axis=2) ** 2).mean() + (np.diff(pixels, axis=3) ** 2).mean()
    terms = {
        "content": 2.0 * np.mean(contents),
        "style": styles["relu1_2"] + 0.5 * styles["relu2_2"],
        "moments": moments["relu1_2"] + 0.5 * moments["relu2_2"],
        "total_variation": variation,
        "halo": functional.halo_loss(stylized, content).item(),  # by loops in test_functional.py
        "motifs": sum(STYLE[layer.partition("/")[2]] * value for layer, value in motifs.items()),
    }
    objective = loss(stylized, content)
    assert {name: value.item() for name, value in objective.terms.items()} == pytest.approx(terms, rel=1e-4)
    weighted = {"content": 3 * terms["content"], "style": 7 * terms["style"], "moments": 5 * terms["moments"]}
    weighted |= {"total_variation": 0.1 * variation, "halo": 2 * terms["halo"], "motifs": 4 * terms["motifs"]}
    assert {name: value.item() for name, value in objective.weighted.items()} == pytest.approx(weighted, rel=1e-4)
    assert objective.total.item() == pytest.approx(sum(weighted.values()), rel=1e-4)
    layers = {"content/relu2_2": np.mean(contents)} | {f"style/{layer}": value for layer, value in styles.items()}
    layers |= {f"moments/{layer}": value for layer, value in moments.items()}
    layers |= {f"motifs/{layer}": value for layer, value in motifs.items()}
    assert {name: value.item() for name, value in objective.layers.items()} == pytest.approx(layers, rel=1e-4)


def test_the_papers_pixels_are_0_to_255(vgg, pictures):
    style, stylized, content = pictures
    for form, factor in (("squared", 255.0**2), ("l1", 255.0)):
        one, other = (build(vgg, style, tv_form=form, tv_range=size)(stylized, content) for size in (1.0, 255.0))
        ratio = other.terms["total_variation"] / one.terms["total_variation"]
        assert ratio.item() == pytest.approx(factor, rel=1e-4)


def test_the_style_picture_itself_has_no_style_loss_and_the_content_no_content_loss(vgg, pictures):
    style, _, content = pictures
    loss = build(vgg, style)
    assert loss(style, style).terms["style"].item() == pytest.approx(0, abs=1e-8)
    assert loss(content, content).terms["content"].item() == 0


def test_settings_of_older_models_give_the_objective_they_were_trained_with(vgg, pictures):
    style, stylized, content = pictures
    for normalized, distance in ((True, "relative"), (False, "squared")):
        old = build(vgg, style, **current_arguments({"normalized": normalized, "style_weight": 2.0}))
        new = build(
            vgg,
            style,
            content_distance=distance,
            style_distance=distance,
            moments_weight=0.0,
            style_weight=2.0,
            halo_weight=0.0,
        )
        assert old(stylized, content).total == new(stylized, content).total
    assert current_arguments({"style_weight": 2.0}) == {"style_weight": 2.0, "halo_weight": 0.0}
    assert current_arguments({"halo_weight": 3.0}) == {"halo_weight": 3.0}
    assert "motifs" not in build(vgg, style, **current_arguments({}))(stylized, content).terms


def test_one_weight_serves_every_loss_network_and_picture():
    """What `loss=normalized` promises: scaling all features (another network, another picture) changes no term."""
    weights = load_vgg_weights()
    scaled = {name: value.clone() for name, value in weights.state.items()}
    scaled["features.2.weight"] *= 1000
    scaled["features.2.bias"] *= 1000
    generator = torch.Generator().manual_seed(0)
    style, x, c = (torch.rand(1, 3, 24, 24, generator=generator) for _ in range(3))
    layers = {"relu1_2": 1.0}
    values = []
    for state in (weights.state, scaled):
        network = VGG(["relu1_2"], type(weights)(state, weights.mean, weights.std))
        values.append(PerceptualLoss(network, style, layers, layers)(x, c).terms)
    for name in ("content", "style"):
        assert values[0][name].item() == pytest.approx(values[1][name].item(), rel=1e-4)


def test_content_features_may_be_computed_once(vgg, pictures):
    style, stylized, content = pictures
    loss = build(vgg, style)
    again = loss(stylized, loss.content_features(content))
    torch.testing.assert_close(again.total, loss(stylized, content).total)


def test_only_the_stylized_picture_gets_a_gradient(vgg, pictures):
    style, stylized, content = (each.clone().requires_grad_() for each in pictures)
    build(vgg, style, tv_weight=1.0)(stylized, content).total.backward()
    assert stylized.grad is not None and stylized.grad.abs().sum() > 0
    assert content.grad is None and style.grad is None
    assert not any(value.requires_grad for value in build(vgg, style).state_dict().values())


def test_gradient_descends(vgg, pictures):
    style, stylized, content = pictures
    loss = build(vgg, style)
    x = stylized.clone().requires_grad_()
    before = loss(x, content).total
    before.backward()
    with torch.no_grad():
        assert loss(x - 1e-3 * x.grad / x.grad.abs().max(), content).total < before


def test_style_buffers(vgg, pictures):
    loss = build(vgg, pictures[0], motifs_weight=1.0)
    names = [
        f"{term}_{size}relu{n}_2" for term in ("moments", "style") for size in ("half/", "quarter/", "") for n in "12"
    ]
    assert sorted(name for name, _ in loss.named_buffers(recurse=False)) == names
    assert loss.target_gram("relu2_2").shape == (128, 128)


def test_terms_of_weight_zero_still_show(vgg, pictures):
    style, stylized, content = pictures
    objective = build(vgg, style, style_weight=0.0)(stylized, content)
    assert objective.terms["style"] > 0 and objective.weighted["style"] == 0
    objective = build(vgg, style, style_layers={"relu1_2": 1.0, "relu2_2": 0.0}, motifs_weight=1.0)(stylized, content)
    assert list(objective.layers) == [
        "content/relu2_2", "style/relu1_2", "moments/relu1_2", "motifs/half/relu1_2", "motifs/quarter/relu1_2",
    ]  # fmt: skip


def test_a_term_without_layers(vgg, pictures):
    style, stylized, content = pictures
    assert build(vgg, style, content_layers={})(stylized, content).terms["content"] == 0
    assert build(vgg, style, style_layers={})(stylized, content).terms["style"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content_weight": -1.0}, "at least 0"),
        ({"style_weight": float("nan")}, "at least 0"),
        ({"tv_weight": float("inf")}, "at least 0"),
        ({"style_weight": "much"}, "'much'"),
        ({"style_layers": {"relu1_2": -0.5}}, "at least 0"),
        ({"content_layers": {"relu2_2": None}}, "at least 0"),
        ({"content_weight": 0.0, "style_weight": 0.0, "moments_weight": 0.0}, "style weights are all zero"),
        (
            {"content_weight": 0.0, "style_weight": 0.0, "moments_weight": 0, "tv_weight": 1.0},
            "style weights are all zero",
        ),
        ({"content_layers": {}, "style_layers": {"relu1_2": 0.0}}, "style weights are all zero"),
        ({"style_layers": {"relu4_1": 1.0}}, "built without .*relu4_1"),
        ({"tv_form": "huber"}, "'huber': expected one of squared, l1"),
        ({"content_distance": "cosine"}, "content_distance='cosine': expected one of normalized, relative, squared"),
        ({"style_distance": None}, "style_distance=None: expected one of unsquared, relative, squared"),
    ],
)
def test_what_is_refused(vgg, pictures, options, message):
    with pytest.raises(InputError, match=message):
        build(vgg, pictures[0], **options)


def test_a_style_picture_too_small_for_the_deepest_layer(vgg):
    with pytest.raises(InputError, match=r"1x1: .*relu2_2 needs at least 2x2"):
        build(vgg, torch.rand(1, 3, 1, 1))


def test_many_styles_are_the_losses_of_each(vgg):
    """Each picture with its own style is what a loss with that style alone says of it; the mean is that of a batch."""
    torch.manual_seed(5)

    styles = [torch.rand(1, 3, 40 + 8 * n, 48) for n in range(3)]
    x, c = torch.rand(3, 3, 32, 40), torch.rand(3, 3, 32, 40)
    each = build(vgg, styles).each(x, c, [2, 0, 2])
    for n, number in enumerate([2, 0, 2]):
        alone = build(vgg, styles[number])(x[n : n + 1], c[n : n + 1])
        torch.testing.assert_close(each[n], alone)
        torch.testing.assert_close(build(vgg, styles)(x[n : n + 1], c[n : n + 1], number), alone)
    assert abs(each[0].total - each[1].total) > 1e-3
    same = build(vgg, styles[1])
    torch.testing.assert_close(mean(same.each(x, c, [0, 0, 0])), same(x, c))


def test_the_halo_is_a_term_only_where_it_has_a_weight(vgg, pictures):
    style, stylized, content = pictures
    without, loss = build(vgg, style, halo_weight=0.0), build(vgg, style, halo_weight=2.0)
    assert "halo" not in without(stylized, content).terms
    found = loss(stylized, content)
    expected = functional.halo_loss(stylized, content)
    torch.testing.assert_close(found.weighted["halo"], 2 * expected)
    torch.testing.assert_close(found.total, without(stylized, content).total + 2 * expected)
    each = mean(loss.each(stylized, content, [0, 0]))
    torch.testing.assert_close(each.terms["halo"], expected)
    torch.testing.assert_close(loss(stylized, loss.content_features(content)).total, found.total)
    with pytest.raises(InputError, match="expected numbers of at least 0"):
        build(vgg, style, halo_weight=-1.0)


def test_motifs_are_a_term_only_where_they_have_a_weight(vgg, pictures):
    style, stylized, content = pictures
    without = build(vgg, style, motifs_weight=0.0)
    assert "motifs" not in without(stylized, content).terms and not without.motif_layers
    loss = build(vgg, style, motifs_weight=2.0)
    found = loss(stylized, content)
    torch.testing.assert_close(found.total, without(stylized, content).total + 2 * found.terms["motifs"])
    torch.testing.assert_close(mean(loss.each(stylized, content, [0, 0])).total, found.total)
    assert loss(style, style).terms["motifs"] == 0
    assert build(vgg, style, style_layers={}, motifs_weight=1.0)(stylized, content).terms["motifs"] == 0
    with pytest.raises(InputError, match="expected numbers of at least 0"):
        build(vgg, style, motifs_weight=-1.0)


def test_motifs_are_looked_for_as_far_as_pictures_are_large_enough(vgg, pictures):
    """relu2_2 has two pixels of four: a picture of 12 has 6 at half of its size, and 3 at a quarter."""
    style, stylized, content = pictures
    small, whole = stylized[..., :12, :12], build(vgg, style, motifs_weight=1.0)
    motifs = [name for name in whole(small, content[..., :12, :12]).layers if name.startswith("motifs")]
    assert motifs == ["motifs/half/relu1_2", "motifs/half/relu2_2"]
    of_small = build(vgg, style[..., :12, :12], motifs_weight=1.0)
    motifs = [name for name in of_small(stylized, content).layers if name.startswith("motifs")]
    assert motifs == ["motifs/half/relu1_2", "motifs/half/relu2_2"]
