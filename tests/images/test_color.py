"""Colour transfer against numpy's covariance and the colour differences of BT.601."""

import numpy as np
import pytest
import torch

from fastnst.errors import InputError
from fastnst.images.color import apply_color_mode, luma, match_colors, with_colors_of


def picture(seed: int, low=0.3, high=0.7, size=(40, 50)) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(low, high, (3, *size))).float()


def test_luma_of_pure_colours():
    colours = torch.eye(3)[:, :, None]
    assert luma(colours).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])


def test_brightness_of_one_and_colour_of_the_other():
    stylized, content = picture(1), picture(2)
    mixed = with_colors_of(stylized, content)
    assert torch.allclose(luma(mixed), luma(stylized), atol=1e-6)
    assert torch.allclose(mixed - luma(mixed), content - luma(content), atol=1e-6)
    assert with_colors_of(stylized, picture(3, size=(7, 9))).shape == stylized.shape
    bright = with_colors_of(torch.ones(3, 4, 4), picture(4, size=(4, 4)))
    assert bright.max() <= 1


def test_statistics_are_matched():
    source = picture(1) * torch.tensor([0.5, 1.0, 0.8])[:, None, None]
    reference = picture(2, 0.4, 0.6)
    reference[1] = 0.5 * reference[0] + 0.5 * reference[1]
    matched = match_colors(source, reference, floor=0.0)
    got, wanted = (one.flatten(1).double().numpy() for one in (matched, reference))
    assert np.allclose(got.mean(1), wanted.mean(1), atol=1e-4)
    assert np.allclose(np.cov(got), np.cov(wanted), atol=1e-5)


def test_plain_pictures_do_not_divide_by_zero():
    grey = torch.full((3, 5, 5), 0.2)
    assert torch.allclose(match_colors(grey, picture(1)).mean(), picture(1).mean(), atol=0.01)
    assert match_colors(picture(1), grey).isfinite().all()


def test_modes():
    stylized, content = picture(1), picture(2)
    assert torch.equal(apply_color_mode("style", stylized, content), stylized)
    assert torch.equal(apply_color_mode("content", stylized, content), with_colors_of(stylized, content))
    assert torch.equal(apply_color_mode("match", stylized, content), match_colors(stylized, content))
    with pytest.raises(InputError, match="style, content, match"):
        apply_color_mode("luma", stylized, content)
