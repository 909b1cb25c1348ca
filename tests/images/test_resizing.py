"""Sizes and antialiasing."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.resizing import resize, resize_long_side, resize_short_side
from fastnst.images.tensors import to_pil

# Four colours in the corners of 6 x 4 pixels, so that no two turns look the same.


def test_resizing_sides():
    for kind in (
        lambda h, w: torch.rand(3, h, w),
        lambda h, w: torch.rand(2, 3, h, w),
        lambda h, w: Image.new("RGB", (w, h)),
    ):

        def shape(image):
            return (image.height, image.width) if isinstance(image, Image.Image) else tuple(image.shape[-2:])

        assert shape(resize_short_side(kind(40, 60), 20)) == (20, 30)
        assert shape(resize_short_side(kind(61, 40), 20)) == (31, 20)  # 30.5, half up
        assert shape(resize_long_side(kind(40, 60), 30)) == (20, 30)
        assert shape(resize_long_side(kind(1, 1000), 10)) == (1, 10)
        assert shape(resize(kind(5, 5), 2, 7)) == (2, 7)
        with pytest.raises(InputError):
            resize_short_side(kind(4, 4), 0)


def test_resizing_is_antialiased_and_stays_in_range():
    stripes = torch.zeros(3, 64, 64)
    stripes[:, :, ::2] = 1
    small = resize_short_side(stripes, 16)
    assert (small[:, 2:-2, 2:-2] - 0.5).abs().max() < 0.05  # single pixels of 0 and 1 would show without
    assert small.min() >= 0 and small.max() <= 1
    picture = np.asarray(resize_short_side(to_pil(stripes), 16)).astype(float) / 255
    assert np.abs(picture - small.permute(1, 2, 0).numpy()).max() < 0.02  # two implementations, one picture
