"""The style picture."""

import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.training.style_pictures import read_style


def test_read_style(tmp_path):
    Image.new("RGB", (80, 40), (255, 0, 0)).save(tmp_path / "a.png")
    style = read_style(tmp_path / "a.png", 60)
    assert style.shape == (3, 60, 120)
    torch.testing.assert_close(style.mean(dim=(1, 2)), torch.tensor([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("size", [31, 0, -1, 2.5, "64", True, None])
def test_style_sizes_that_are_refused(tmp_path, size):
    Image.new("RGB", (80, 40)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"style\.size=.*expected a whole number, 32 or more"):
        read_style(tmp_path / "a.png", size)
