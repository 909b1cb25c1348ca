"""Every formula by a second route: loops and einsum in numpy, numbers by hand, gradients by differences."""

import numpy as np
import pytest
import torch

from fastnst.losses import functional


def pair(seed: int = 0, shape=(2, 3, 4, 5)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_gram_by_einsum():
    x, _ = pair()
    expected = np.einsum("nchw,ndhw->ncd", x.double().numpy(), x.double().numpy()) / (3 * 4 * 5)
    np.testing.assert_allclose(functional.gram_matrix(x).numpy(), expected, rtol=1e-5)


def test_gram_by_hand():
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of two pixels: divided by 2 * 1 * 2
    torch.testing.assert_close(functional.gram_matrix(x), torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4)


def test_gram_forgets_where_things_are_and_how_large_the_picture_is():
    x, _ = pair(shape=(1, 4, 6, 6))
    shuffled = x.flatten(2)[..., torch.randperm(36)].reshape_as(x)
    torch.testing.assert_close(functional.gram_matrix(shuffled), functional.gram_matrix(x))
    torch.testing.assert_close(functional.gram_matrix(torch.cat([x, x], dim=3)), functional.gram_matrix(x))


def test_gram_of_half_precision_is_float32():
    x, _ = pair()
    gram = functional.gram_matrix(x.bfloat16())
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram, functional.gram_matrix(x), rtol=0.05, atol=0.02)


def test_content_loss_by_loops():
    x, y = pair()
    total = 0.0
    for n in range(2):
        for value, other in zip(x[n].flatten().tolist(), y[n].flatten().tolist(), strict=True):
            total += (value - other) ** 2 / (3 * 4 * 5)
    assert functional.content_loss(x, y).item() == pytest.approx(total / 2)


def test_relative_content_loss():
    x, y = pair()
    x64, y64 = x.double().numpy(), y.double().numpy()
    each = [((x64[n] - y64[n]) ** 2).sum() / (y64[n] ** 2).sum() for n in range(2)]
    assert functional.relative_content_loss(x, y).item() == pytest.approx(np.mean(each))
    assert functional.relative_content_loss(y, y).item() == 0
    assert functional.relative_content_loss(torch.zeros_like(y), y).item() == pytest.approx(1)
    assert functional.relative_content_loss(1000 * x, 1000 * y).item() == pytest.approx(np.mean(each))


def test_style_loss_by_loops():
    x, y = pair(shape=(2, 3, 3))
    total = sum((x[n, i, j] - y[0, i, j]).item() ** 2 for n in range(2) for i in range(3) for j in range(3))
    assert functional.style_loss(x, y[0]).item() == pytest.approx(total / 2)
    assert functional.style_loss(x, y[:1].expand(2, 3, 3)).item() == pytest.approx(total / 2)


def test_relative_style_loss():
    x, y = pair(shape=(2, 3, 3))
    x64, target = x.double().numpy(), y[0].double().numpy()
    expected = np.mean([np.linalg.norm(x64[n] - target) ** 2 for n in range(2)]) / np.linalg.norm(target) ** 2
    assert functional.relative_style_loss(x, y[0]).item() == pytest.approx(expected)
    assert functional.relative_style_loss(y[:1], y[0]).item() == 0
    assert functional.relative_style_loss(0 * x, y[0]).item() == pytest.approx(1)


@pytest.mark.parametrize("loss", [functional.relative_content_loss, functional.relative_style_loss])
def test_targets_without_any_activation_divide_by_nothing(loss):
    zeros = torch.zeros(1, 3, 3) if loss is functional.relative_style_loss else torch.zeros(1, 3, 2, 2)
    assert loss(zeros, zeros).item() == 0
    assert loss(zeros + 1, zeros).isfinite()


def test_total_variation_by_hand():
    x = torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]]]).expand(1, 3, 2, 3)
    # down: 2, 1, -1; across: 1, 2, 0, 0
    assert functional.total_variation(x, "squared").item() == pytest.approx((4 + 1 + 1) / 3 + (1 + 4) / 4)
    assert functional.total_variation(x, "l1").item() == pytest.approx((2 + 1 + 1) / 3 + (1 + 2) / 4)


@pytest.mark.parametrize("form", ["squared", "l1"])
def test_total_variation_of_one_colour_is_zero_and_of_a_ramp_its_slope(form):
    assert functional.total_variation(torch.full((2, 3, 5, 5), 0.3), form).item() == 0
    ramp = torch.arange(6.0).expand(2, 3, 4, 6) * 0.5
    assert functional.total_variation(ramp, form).item() == pytest.approx(0.25 if form == "squared" else 0.5)


def test_gradients():
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 2, 3, 3, dtype=torch.float64)
    # The formulas compute in float32 by design; with float64 kept, differences are exact enough to compare with.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", lambda self: self)
        target = functional.gram_matrix(y)
        for function in (
            functional.gram_matrix,
            lambda value: functional.content_loss(value, y),
            lambda value: functional.relative_content_loss(value, y),
            lambda value: functional.style_loss(functional.gram_matrix(value), target[0]),
            lambda value: functional.relative_style_loss(functional.gram_matrix(value), target),
            lambda value: functional.total_variation(value, "squared"),
            lambda value: functional.total_variation(value, "l1"),
        ):
            assert torch.autograd.gradcheck(function, x)
