"""Tensors and Pillow pictures, byte by byte."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.tensors import to_pil, to_tensor


def test_tensor_round_trip_keeps_every_byte():
    values = torch.arange(256).float().div(255).reshape(1, 16, 16).expand(3, -1, -1)
    assert torch.equal(to_tensor(to_pil(values)), values)
    assert to_tensor(to_pil(values)).dtype == torch.float32


def test_to_pil_clamps_and_rounds_half_up():
    values = torch.tensor([-1.0, 0.5, 2.0, 2.4 / 255, 2.6 / 255, 126.5 / 255]).double()
    # 0.5 * 255 = 127.5 and 126.5 both lie half-way: up to 128 and 127, where half-to-even gives 128 and 126
    assert np.asarray(to_pil(values.view(1, 1, 6).expand(3, 1, 6)))[0, :, 0].tolist() == [0, 128, 255, 2, 3, 127]


@pytest.mark.parametrize("shape", [(1, 4, 4), (4, 4), (2, 3, 4, 4), (3, 0, 4)])
def test_to_pil_refuses_other_shapes(shape):
    with pytest.raises(InputError, match=re.escape(str(shape))):
        to_pil(torch.zeros(shape))


def test_to_tensor_converts_other_modes():
    assert to_tensor(Image.new("L", (3, 2), 51)).flatten().unique().tolist() == pytest.approx([0.2])
    assert to_tensor(Image.new("RGBA", (3, 2), (0, 0, 0, 0))).min() == 1
