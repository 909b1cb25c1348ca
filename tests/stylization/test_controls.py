"""Each control does what it says, alone, and leaves the size alone."""

import pytest
import torch

from fastnst.errors import InputError
from fastnst.images.color import color_statistics, luma
from fastnst.images.resizing import resize
from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls, Stylizer, controls
from fastnst.stylization.controls import blur, enlarge_with_edges, give_back_detail


def model(seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return Model(TransformerNetwork(width=8, residual_blocks=1).eval(), {}, None)


@pytest.fixture
def photo() -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    return resize(torch.rand(3, 7, 9, generator=random), 45, 62)


def test_strength(photo):
    stylize = Stylizer(model(), "cpu")
    full = stylize(photo)
    assert torch.equal(stylize(photo, Controls(strength=1)), full)
    assert torch.equal(stylize(photo, Controls(strength=0)), photo)
    torch.testing.assert_close(stylize(photo, Controls(strength=0.25)), 0.75 * photo + 0.25 * full)


def test_colors(photo):
    stylize = Stylizer(model(), "cpu")
    painted = stylize(photo)
    kept = stylize(photo, Controls(colors="content"))
    inside = ((kept > 0) & (kept < 1)).all(dim=0)
    chroma = (kept - luma(kept)) - (photo - luma(photo))
    assert chroma[:, inside].abs().max() < 1e-5
    torch.testing.assert_close(luma(kept)[:, inside], luma(painted)[:, inside])
    mean, _ = color_statistics(stylize(photo, Controls(colors="match")))
    torch.testing.assert_close(mean, color_statistics(photo)[0], atol=0.02, rtol=0)


def test_detail_replaces_the_finest_brightness_only(photo):
    painted = 0.4 + 0.2 * torch.rand(photo.shape)
    photo = 0.4 + 0.2 * photo  # far from black and white, so that nothing is clamped
    full = give_back_detail(painted.clone(), photo, 1.0)
    torch.testing.assert_close(luma(full) - blur(luma(full), 1), luma(photo) - blur(luma(photo), 1), atol=0.05, rtol=0)
    torch.testing.assert_close(full - luma(full), painted - luma(painted))  # colours stay
    torch.testing.assert_close(give_back_detail(painted.clone(), photo, 0.5), (painted + full) / 2)
    assert not torch.equal(Stylizer(model(), "cpu")(photo, Controls(detail=1)), Stylizer(model(), "cpu")(photo))


@pytest.mark.parametrize(
    "wanted",
    [{"colors": "content"}, {"colors": "match"}, {"detail": 0.8}, {"strength": 0.4}, {"mask": torch.rand(1, 9, 9)},
     {"colors": "match", "detail": 0.5, "strength": 0.7, "mask": torch.rand(1, 30, 20)}],
)  # fmt: skip
def test_finishing_in_strips_leaves_no_trace(photo, wanted, monkeypatch):
    painted = torch.rand(photo.shape)
    whole = Controls(**wanted).finish(painted.clone(), photo)
    monkeypatch.setattr(controls, "STRIP", 4 * 62)
    torch.testing.assert_close(Controls(**wanted).finish(painted.clone(), photo), whole)


def test_blur_of_a_point_is_a_gaussian():
    point = torch.zeros(1, 21, 21)
    point[0, 10, 10] = 1
    blurred = blur(point, 1.5)
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    assert (blurred[0, 10, 12] / blurred[0, 10, 10]).item() == pytest.approx(2.718281828 ** (-(4 / 2) / 2.25), rel=1e-4)
    assert blur(torch.full((3, 1, 5), 0.3), 2.0).allclose(torch.full((3, 1, 5), 0.3))


def test_mask(photo):
    stylize = Stylizer(model(), "cpu")
    painted = stylize(photo)
    mask = torch.zeros(1, 45, 62)
    mask[..., 30:] = 1
    mask[..., 29] = 0.5
    result = stylize(photo, Controls(mask=mask))
    assert torch.equal(result[..., :29], photo[..., :29]) and torch.equal(result[..., 30:], painted[..., 30:])
    torch.testing.assert_close(result[..., 29], (photo[..., 29] + painted[..., 29]) / 2)
    small = stylize(photo, Controls(mask=resize(mask, 9, 12)))
    torch.testing.assert_close(small[..., :10], photo[..., :10])
    torch.testing.assert_close(small[..., -10:], painted[..., -10:])


@pytest.mark.parametrize("scale", [0.5, 2, 3.3, 16])
def test_stroke_scale_keeps_the_size(photo, scale):
    stylize = Stylizer(model(), "cpu")
    for shape in ((45, 62), (1, 40), (1, 1)):
        assert stylize(resize(photo, *shape), Controls(stroke_scale=scale)).shape == (3, *shape)
    assert (stylize(photo, Controls(stroke_scale=scale)) - stylize(photo)).abs().max() > 0.02


def test_enlarging_keeps_edges():
    """A painting that is the photograph itself, only smaller, comes back sharper than by enlarging alone."""
    photo = torch.full((3, 64, 64), 0.2)
    photo[:, 10:41, 13:50] = 0.8
    small = resize(photo, 16, 16)
    guided = (enlarge_with_edges(small, photo) - photo).abs().mean()
    assert guided < 0.2 * (resize(small, 64, 64) - photo).abs().mean()
    inverted = enlarge_with_edges(1 - small, photo)  # a painting that turns dark into bright
    assert (inverted - (1 - photo)).abs().mean() < 0.2 * (resize(1 - small, 64, 64) - (1 - photo)).abs().mean()
    flat = torch.full((3, 64, 64), 0.5)
    assert torch.equal(enlarge_with_edges(small, flat), resize(small, 64, 64))


def test_max_side(photo):
    stylize = Stylizer(model(), "cpu")
    assert stylize(photo, Controls(max_side=31)).shape == (3, 23, 31)
    assert torch.equal(stylize(photo, Controls(max_side=62)), stylize(photo))


def test_mix(photo):
    first, second = (Stylizer(model(seed), "cpu")(photo) for seed in (0, 1))
    both = Stylizer([model(0), model(1)], "cpu", mix=[0.6, 0.4])(photo)
    torch.testing.assert_close(both, 0.6 * first + 0.4 * second)
    torch.testing.assert_close(Stylizer([model(0), model(1)], "cpu")(photo), (first + second) / 2)
    torch.testing.assert_close(Stylizer([model(0), model(1)], "cpu", mix=[0, 1])(photo), second)


@pytest.mark.parametrize(
    ("mix", "message"),
    [([0.6, 0.5], "mix=0.6,0.5 sums to 1.1"), ([1], "1 shares for 2 models"), ([1.5, -0.5], "0 or more")],
)
def test_wrong_mixes(mix, message):
    with pytest.raises(InputError, match=message):
        Stylizer([model(0), model(1)], "cpu", mix=mix)
    with pytest.raises(InputError, match="no model"):
        Stylizer([], "cpu")


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": 1.1}, {"strength": float("nan")}, {"detail": -1}, {"colors": "blue"}, {"stroke_scale": 0},
        {"stroke_scale": 17}, {"max_side": 0}, {"mask": torch.zeros(3, 5, 5)},
    ],
)  # fmt: skip
def test_wrong_controls(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Controls(**wrong)
