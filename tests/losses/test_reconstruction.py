"""The objective of enlarging, term by term."""

import pytest
import torch

from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.losses.reconstruction import ReconstructionLoss, lattice


def test_every_term_by_hand():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(2, 3, 16, 20, generator=generator) for _ in range(2))
    vgg = VGG(["relu1_2", "relu2_2"], load_vgg_weights())
    objective = ReconstructionLoss(vgg, {"relu1_2": 0.5, "relu2_2": 2.0}, 3.0, 4.0, 5.0)(a, b)
    features = {layer: ((vgg(a)[layer] - vgg(b)[layer]) ** 2).mean() for layer in ("relu1_2", "relu2_2")}
    steps = (a[..., 1:, :] - a[..., :-1, :]).pow(2).mean() + (a[..., 1:] - a[..., :-1]).pow(2).mean()
    expected = {
        "pixel": (a - b).abs().mean(), "feature": 0.5 * features["relu1_2"] + 2 * features["relu2_2"],
        "total_variation": steps,
    }  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(objective.terms[name], value)
    torch.testing.assert_close(objective.total, sum(w * v for w, v in zip((3, 4, 5), expected.values(), strict=True)))
    squared = ReconstructionLoss(None, {}, 1.0, 0.0, 0.0, pixel_distance="squared")(a, b)
    torch.testing.assert_close(squared.total, ((a - b) ** 2).mean())
    assert "feature" not in squared.terms


def test_a_lattice_by_its_phases():
    """By strided slices, window by window; what every phase has alike is none."""
    a, b = torch.rand(2, 2, 3, 12, 24, generator=torch.Generator().manual_seed(0))
    windows = [(a - b)[..., left : left + 12] for left in (0, 12)]  # 4 x 4 of each phase
    phases = [[one[..., row::3, column::3].mean((2, 3)) for row in range(3) for column in range(3)] for one in windows]
    variances = [torch.stack(one).var(0, correction=0).mean() for one in phases]
    terms = ReconstructionLoss(None, {}, 1.0, 0.0, 0.0, lattice_weight=2.0, factor=3)(a, b)
    torch.testing.assert_close(terms.terms["lattice"], sum(variances) / 2)
    torch.testing.assert_close(terms.total, (a - b).abs().mean() + 2 * terms.terms["lattice"])
    dotted = torch.zeros(1, 1, 9, 15)
    dotted[..., ::3, ::3] = 0.09
    assert lattice(dotted + 0.5, 3).item() == pytest.approx(8e-4, rel=1e-3)  # 0.09^2 x 1/9 x 8/9
    assert lattice(torch.full((1, 3, 6, 6), 0.5), 3) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pixel_weight": -1.0}, "expected numbers of at least 0"),
        ({"lattice_weight": -1.0}, "expected numbers of at least 0"),
        ({"pixel_weight": 0.0}, "are both zero"),
        ({"pixel_distance": "far"}, "expected one of l1, squared"),
    ],
)
def test_refuses(given, message):
    with pytest.raises(InputError, match=message):
        ReconstructionLoss(None, {}, **{"pixel_weight": 1.0, "feature_weight": 0.0, "tv_weight": 0.0, **given})
