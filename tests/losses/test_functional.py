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


def test_gradient_of_the_gram_by_autograd_of_two_factors():
    """With weights that are not symmetric, to second order."""
    x, _ = pair()
    x, weights = x.double().requires_grad_(), torch.randn(2, 3, 3).double()
    flat = x.flatten(2)
    (expected,) = torch.autograd.grad((torch.bmm(flat, flat.transpose(1, 2)) / 60 * weights).sum(), x)

    def weighted(value):
        flat = value.flatten(2)
        return (functional._ProductsAndSums.apply(flat)[0] / 60 * weights).sum()

    torch.testing.assert_close(torch.autograd.grad(weighted(x), x)[0], expected)
    assert torch.autograd.gradgradcheck(weighted, x)


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


def test_gram_under_autocast_is_summed_in_float32():
    """In bfloat16 the inner products would be off by some thousandths."""
    x, _ = pair(shape=(1, 8, 40, 40))
    with torch.autocast("cpu", torch.bfloat16):
        gram = functional.gram_matrix(x)
    assert gram.dtype == torch.float32
    expected = np.einsum("nchw,ndhw->ncd", x.double().numpy(), x.double().numpy()) / (8 * 40 * 40)
    np.testing.assert_allclose(gram.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_normalized_content_loss_by_correlations():
    """Without ``eps`` it is 2 - 2r, r the mean of the channels' correlation coefficients."""
    x, y = pair(shape=(2, 3, 6, 7))
    r = [np.corrcoef(x[n, c].flatten(), y[n, c].flatten())[0, 1] for n in range(2) for c in range(3)]
    assert functional.normalized_content_loss(x, y, 1, eps=0).item() == pytest.approx(2 - 2 * np.mean(r), rel=1e-5)
    assert functional.normalized_content_loss(y, y, 1, eps=0).item() == pytest.approx(0, abs=1e-6)
    assert functional.normalized_content_loss(-y, y, 1, eps=0).item() == pytest.approx(4, rel=1e-5)


def test_its_price_rises_with_what_each_picture_has_lost():
    x, y = pair(shape=(2, 3, 6, 7))
    each = [functional.normalized_content_loss(x[[n]], y[[n]], 1).item() for n in range(2)]
    expected = (each[0] ** 4 + each[1] ** 4) / 2
    assert functional.normalized_content_loss(x, y).item() == pytest.approx(expected, rel=1e-5)


def test_normalized_content_loss_asks_nothing_of_brightness_and_contrast():
    x, y = pair(shape=(1, 3, 6, 7))
    scale, shift = torch.tensor([2.0, 30.0, 500.0])[:, None, None], torch.tensor([-7.0, 0.0, 90.0])[:, None, None]
    value = functional.normalized_content_loss(x, y, 1, eps=0).item()
    assert functional.normalized_content_loss(scale * x + shift, y, 1, eps=0).item() == pytest.approx(value, rel=1e-4)
    assert functional.normalized_content_loss(x, scale[[0]] * y + 5, 1, eps=0).item() == pytest.approx(value, rel=1e-4)


def test_channels_that_do_not_vary_in_the_photograph_are_left_out():
    x, y = pair(shape=(1, 3, 6, 7))
    y[:, 1] = 0.25
    rest = functional.normalized_content_loss(x[:, [0, 2]], y[:, [0, 2]]).item()
    assert functional.normalized_content_loss(x, y).item() == pytest.approx(rest, rel=1e-5)
    x.requires_grad_()
    flat = torch.full((1, 3, 6, 7), 0.5)
    assert functional.normalized_content_loss(x, flat).item() == 0
    functional.normalized_content_loss(flat.requires_grad_(), pair(shape=(1, 3, 6, 7))[1]).backward()
    assert flat.grad.isfinite().all() and flat.grad.abs().sum() > 0


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


def test_style_distance_is_the_root_of_the_relative_loss():
    x, y = pair(shape=(2, 3, 3))
    x64, target = x.double().numpy(), y[0].double().numpy()
    expected = np.mean([np.linalg.norm(x64[n] - target) for n in range(2)]) / np.linalg.norm(target)
    assert functional.style_distance(x, y[0]).item() == pytest.approx(expected)
    assert functional.style_distance(0 * x, y[0]).item() == pytest.approx(1)


def test_style_distance_has_a_gradient_of_one_length_far_and_near_and_none_at_the_style():
    _, target = pair(shape=(1, 3, 3))
    lengths = []
    for far in (100.0, 0.01, 0.0):
        x = (target * (1 + far)).requires_grad_()
        functional.style_distance(x, target).backward()
        lengths.append(x.grad.norm().item())
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-4) and lengths[1] > 0.1 and lengths[2] == 0


def test_moments_by_numpy():
    x, _ = pair()
    found, expected = functional.gram_and_moments(x)[1], x.double().numpy()
    np.testing.assert_allclose(found[:, 0].numpy(), expected.mean(axis=(2, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[:, 1].numpy(), expected.std(axis=(2, 3)), rtol=1e-4)
    assert functional.gram_and_moments(x.bfloat16())[1].dtype == torch.float32
    for value in (0.0, 0.1, 1e3):  # after a ReLU a whole channel may be 0; a flat picture's are constant
        flat = torch.full((1, 2, 3, 3), value, requires_grad=True)
        found = functional.gram_and_moments(flat)[1]
        np.testing.assert_allclose(found[0].detach(), [[value] * 2, [0] * 2], atol=2e-3 * value + 1e-18)
        found.sum().backward()
        assert flat.grad.isfinite().all() and flat.grad.abs().max() < 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_the_statistics_are_autograds_in_either_precision_and_layout(layout):
    x = torch.randn(2, 8, 9, 7).to(memory_format=layout)
    weights = torch.randn(2, 8, 8), torch.randn(2, 2, 8)

    def descend(statistics, x):
        x = x.clone().requires_grad_()
        found = statistics(x)
        sum((w * one).sum() for w, one in zip(weights, found, strict=True)).backward()
        return x.grad

    def by_autograd(x):
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
        return torch.einsum("nchw,ndhw->ncd", x, x) / x[0].numel(), torch.stack([mean, variance.sqrt()], dim=1)

    expected = descend(by_autograd, x)
    torch.testing.assert_close(descend(functional.gram_and_moments, x), expected, rtol=1e-4, atol=1e-6)
    short = descend(functional.gram_and_moments, x.bfloat16())
    assert short.dtype == torch.bfloat16 and short.is_contiguous(memory_format=layout)
    torch.testing.assert_close(short.float(), expected, rtol=0.05, atol=0.02 * expected.abs().max().item())


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
            lambda value: functional.normalized_content_loss(value, y),
            lambda value: functional.style_loss(functional.gram_matrix(value), target[0]),
            lambda value: functional.relative_style_loss(functional.gram_matrix(value), target),
            lambda value: functional.style_distance(functional.gram_matrix(value), target),
            lambda value: functional.style_distance(
                functional.gram_and_moments(value)[1], functional.gram_and_moments(y)[1]
            ),
            lambda value: functional.total_variation(value, "squared"),
            lambda value: functional.total_variation(value, "l1"),
        ):
            assert torch.autograd.gradcheck(function, x)


def test_stability_by_loops_over_what_was_seen():
    x, y = pair()
    visible = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])[None, None].float()
    seen = [(row, column) for row in range(4) for column in range(5) if visible[0, 0, row, column]]
    squares = [
        (x[n, c, row, column].item() - y[n, c, row, column].item()) ** 2
        for n in range(2) for c in range(3) for row, column in seen
    ]  # fmt: skip
    assert functional.stability_loss(x, y, visible).item() == pytest.approx(np.mean(squares), rel=1e-5)
    x[..., visible[0, 0] == 0] = 7.0
    assert functional.stability_loss(x, y, visible).item() == pytest.approx(np.mean(squares), rel=1e-5)
    assert functional.stability_loss(x, y, torch.zeros_like(visible)) == 0


def skyline() -> np.ndarray:
    """(3, 96, 128): a dark block with a few windows below an even sky of another colour, neither quite flat."""
    random = np.random.default_rng(0)
    photo = np.full((3, 96, 128), 0.8) + np.linspace(-0.05, 0.05, 128)
    photo[:, 60:] = 0.2
    photo[:, 70:74, 10:40] = 0.6
    return photo + 0.01 * random.random(photo.shape)


def windows(values: np.ndarray, side: int) -> np.ndarray:
    """The mean of a square window about each place of (h, w), of the places inside alone, by loops."""
    r = side // 2
    height, width = values.shape
    return np.array([[values[max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1].mean() for x in range(width)]
                     for y in range(height)])  # fmt: skip


def test_halo_by_loops():
    photo = skyline()
    picture = np.random.default_rng(1).random(photo.shape)
    grey = np.pad(windows(photo.mean(axis=0), 3), 1, mode="edge")
    slope = abs(grey[1:-1, 2:] - grey[1:-1, :-2]) + abs(grey[2:, 1:-1] - grey[:-2, 1:-1])
    edges = (slope > 0.08).reshape(24, 4, 32, 4).any(axis=(1, 3))
    near = np.array([[edges[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].any() for x in range(32)] for y in range(24)])
    quarter, painted = (one.reshape(3, 24, 4, 32, 4).mean(axis=(2, 4)) for one in (photo, picture))
    lighter = quarter.mean(axis=0) > windows(quarter.mean(axis=0), 33)
    assert lighter[:14].all() and not lighter[19:].any()  # sky, house

    def mean(values, weights, side):
        return np.stack([windows(one * weights, side) / np.maximum(windows(weights, side), 1e-6) for one in values])

    squares, weight = 0.0, 0.0
    for side in (lighter, ~lighter):
        away = ~near & side
        unlike = ((quarter - mean(quarter, away, 17)) ** 2).sum(axis=0)
        beside = (near & ~edges & side) * np.exp(-unlike / 0.02) * (windows(away, 17) > 0.05)
        squares += (((mean(painted, beside, 9) - mean(painted, away, 17)) ** 2).sum(axis=0) * beside).sum()
        weight += beside.sum()
        if side is lighter:
            assert beside[10:14].min() > 0.9 and beside[:10].max() == 0  # the sky beside the roof, not above
    variance = ((picture - picture.mean(axis=(1, 2), keepdims=True)) ** 2).mean(axis=(1, 2)).sum()
    expected = squares / (weight + 0.01 * 24 * 32) / (variance + 1e-3)
    one, other = (torch.from_numpy(array)[None].float() for array in (picture, photo))
    assert functional.halo_loss(one, other).item() == pytest.approx(expected, rel=1e-4)
    flat = torch.full_like(other, 0.5)
    both = functional.halo_loss(torch.cat([one, one]), torch.cat([other, flat])).item()
    assert both == pytest.approx(expected / 2, rel=1e-4)  # a photograph without edges has no rims


def test_a_rim_is_a_halo_and_motifs_are_not():
    photo = torch.from_numpy(skyline())[None].float()
    rim, motifs, recoloured = photo.clone(), photo.clone(), 0.7 - photo.flip(1) / 2
    rim[..., 44:60, :] = torch.tensor([0.0, 1.0, 1.0])[:, None, None]
    motifs[..., :60, :] += 0.4 * (torch.arange(128) // 6 % 2 - 0.5)
    halos = {name: functional.halo_loss(one, photo).item() for name, one in
             {"rim": rim, "motifs": motifs, "recoloured": recoloured, "itself": photo}.items()}  # fmt: skip
    assert halos["rim"] > 0.4 and max(value for name, value in halos.items() if name != "rim") < 0.01, halos
    moving = rim.clone().requires_grad_(True)
    functional.halo_loss(moving, photo).backward()
    assert (moving.grad[0, 0, 48:56] < 0).float().mean() > 0.9  # more red there, which the sky has
