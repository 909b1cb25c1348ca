"""Low resolution from high: against Pillow, and each way's own properties."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.low_resolution.degrading import reduce, whole_multiple
from fastnst.images.tensors import to_pil, to_tensor


def picture() -> torch.Tensor:
    coarse = torch.rand(1, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(48, 64), mode="bilinear")


def test_bicubic_is_pillows_to_one_level():
    expected = to_tensor(to_pil(picture()[0]).resize((16, 12), Image.Resampling.BICUBIC))
    assert ((reduce(picture(), 4)[0] - expected).abs() * 255).max() <= 1.01


@pytest.mark.parametrize("degradation", ["bicubic", "gaussian", "camera"])
def test_what_comes_out_is_a_file_of_8_bits(degradation):
    low = reduce(picture().expand(2, -1, -1, -1), 4, degradation, seed=(3, 1))
    assert low.shape == (2, 3, 12, 16)
    torch.testing.assert_close((low * 255).round() / 255, low)
    assert torch.equal(low, reduce(picture().expand(2, -1, -1, -1), 4, degradation, seed=(3, 1)))
    if degradation == "camera":  # each picture and each seed is another photograph
        assert not torch.equal(low[0], low[1])
        assert not torch.equal(low, reduce(picture().expand(2, -1, -1, -1), 4, degradation, seed=(3, 2)))


def test_the_papers_blur_comes_before_the_reduction():
    """Of a single bright pixel, where the four taps of bicubic interpolation read it."""
    point = torch.zeros(1, 3, 16, 16)
    point[..., 7, 7] = 1
    at = np.arange(16) - 7.0
    blurred = np.outer(
        *2 * [np.where(abs(at) <= 3, np.exp(-(at**2) / 2), 0) / np.exp(-(np.arange(-3, 4) ** 2) / 2).sum()]
    )
    taps = np.array([-0.09375, 0.59375, 0.59375, -0.09375])  # Keys' cubic with a = -0.75, half way between two pixels
    value = taps @ blurred[4:8, 4:8] @ taps
    assert reduce(point, 4, "gaussian")[0, 0, 1, 1].item() == pytest.approx(value, abs=0.5 / 255)


def test_sizes_and_bad_names():
    assert whole_multiple(torch.zeros(3, 17, 11), 4).shape == (3, 16, 8)
    with pytest.raises(InputError, match="degradation='fog': expected one of bicubic, gaussian, camera"):
        reduce(picture(), 4, "fog")
