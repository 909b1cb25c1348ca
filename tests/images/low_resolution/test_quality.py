"""PSNR and SSIM by a second route: scikit-image's."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fastnst.errors import InputError
from fastnst.images.low_resolution.quality import luminance, quality


def pair(height: int = 40, width: int = 31) -> tuple[np.ndarray, np.ndarray]:
    """A picture of 8 bits and a noisy one, (H, W, 3)."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (height, width, 3), np.uint8)
    return picture, np.clip(picture + random.normal(0, 20, picture.shape), 0, 255).astype(np.uint8)


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def test_luminance_is_matlabs():
    picture, _ = pair()
    assert np.array_equal(luminance(tensor(picture))[0, 0].numpy(), np.round(rgb2ycbcr(picture)[..., 0]))
    ends = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert luminance(ends).flatten().tolist() == [16, 235]


@pytest.mark.parametrize("border", [0, 4])
def test_psnr_and_ssim_are_scikit_images(border):
    a, b = (np.round(rgb2ycbcr(one)[..., 0]) for one in pair())
    within = np.s_[border : a.shape[0] - border, border : a.shape[1] - border]
    figures = quality(tensor(pair()[0]), tensor(pair()[1]), border)
    assert figures["psnr"] == pytest.approx(peak_signal_noise_ratio(a[within], b[within], data_range=255), abs=1e-6)
    expected = structural_similarity(
        a[within], b[within], data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert figures["ssim"] == pytest.approx(expected, abs=1e-4)


def test_a_picture_smaller_than_the_window_is_refused():
    with pytest.raises(InputError, match="18x18 is too small to measure: at least 19 a side"):
        quality(torch.rand(1, 3, 18, 18), torch.rand(1, 3, 18, 18), 4)
