"""What goes into a Stylizer comes out: the same picture in every kind, against the tensor's way and by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

import fastnst
from fastnst.errors import InputError
from fastnst.stylization import Controls
from tests.stylization.test_controls import model

RGB = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)


@pytest.fixture(scope="module")
def stylize():
    return fastnst.Stylizer(model(), "cpu")


@pytest.fixture(scope="module")
def expected(stylize) -> np.ndarray:
    """(H, W, 3) in [0, 1], by the network itself: 24 x 36 is what it pads to."""
    x = torch.from_numpy(RGB).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        return stylize.network(x)[0].clamp(0, 1).permute(1, 2, 0).numpy()


def bytes_of(picture: np.ndarray) -> np.ndarray:
    return np.floor(picture * 255 + 0.5).astype(np.uint8)


def near(found: np.ndarray, expected: np.ndarray) -> bool:
    """The same pixels, but for a rounding."""
    return found.shape == expected.shape and np.abs(found.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, ">f4"])
def test_arrays(stylize, expected, dtype):
    given = RGB if dtype == np.uint8 else (RGB / 255).astype(dtype)
    before = given.copy()
    found = stylize(given)
    assert found.dtype == np.dtype(dtype) and isinstance(found, np.ndarray) and np.array_equal(given, before)
    assert near(found if dtype == np.uint8 else bytes_of(found.astype(np.float64)), bytes_of(expected))
    assert near(bytes_of(stylize(given[::-1])) if dtype != np.uint8 else stylize(given[::-1]),
                bytes_of(stylize(np.ascontiguousarray(RGB[::-1]) / 255)))  # fmt: skip
    two = np.stack([given, given[:, ::-1]])
    batch = stylize(two)
    assert batch.shape == (2, 21, 34, 3) and batch.dtype == two.dtype and np.array_equal(batch[0], found)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors(stylize, expected, dtype):
    x = torch.from_numpy(RGB).permute(2, 0, 1)
    given = x if dtype == torch.uint8 else (x / 255).to(dtype)
    found = stylize(given)
    assert found.dtype == dtype and found.shape == (3, 21, 34) and found.device == given.device
    scale = 255 if dtype == torch.uint8 else 1
    wanted = torch.from_numpy(expected).permute(2, 0, 1)
    torch.testing.assert_close(found.double() / scale, wanted.double(), rtol=0,
                               atol={torch.bfloat16: 0.03, torch.uint8: 0.003}.get(dtype, 2e-3))  # fmt: skip
    batch = stylize(torch.stack([given, given.flip(-1)]))
    assert batch.dtype == dtype and torch.equal(batch[0], found) and torch.equal(batch[1], stylize(given.flip(-1)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_pillow_pictures_and_files(stylize, expected, tmp_path, mode):
    picture = Image.fromarray(RGB)
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(np.tile(np.arange(34, dtype=np.uint8) * 7, (21, 1))))
    elif mode != "RGB":
        picture = picture.convert(mode)
    picture.save(tmp_path / "in.png")
    for given in (picture, tmp_path / "in.png", str(tmp_path / "in.png")):
        found = stylize(given)
        assert isinstance(found, Image.Image) and found.size == (34, 21)
        assert found.mode == ("RGBA" if mode == "RGBA" else "RGB")
        if mode == "RGB":
            assert near(np.asarray(found), bytes_of(expected))
        elif mode == "RGBA":
            assert np.array_equal(found.getchannel("A"), picture.getchannel("A"))
        else:
            assert near(np.asarray(found), stylize(np.asarray(picture.convert("RGB"))))
    small = stylize(picture, Controls(max_side=17))
    assert small.size == (17, 11) and small.mode == found.mode


def test_lists_of_anything(stylize):
    picture, array = Image.fromarray(RGB), RGB[:16, :18]
    found = stylize([picture, array, [torch.from_numpy(array).permute(2, 0, 1)]])
    assert np.array_equal(np.asarray(found[0]), stylize(RGB)) and np.array_equal(found[1], stylize(array))
    assert np.array_equal(found[2][0].permute(1, 2, 0), found[1]) and stylize([]) == []
    assert isinstance(stylize((picture, picture)), tuple)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (RGB.astype(np.float32), r"an array with values from 0 to 255: expected floats in \[0, 1\] \(divide by 255"),
        (torch.full((3, 9, 9), -1.0), r"a tensor with values from -1 to -1: expected floats in \[0, 1\]"),
        (torch.full((3, 9, 9), torch.nan), "a tensor with values from nan to nan"),
        (RGB.astype(np.int64), "an array of int64: expected uint8, or floats"),
        (torch.zeros(3, 9, 9, dtype=torch.int32), "a tensor of int32: expected uint8, or floats"),
        (RGB > 100, "an array of bool"),
        (RGB[..., 0], r"an array of shape \(21, 34\): expected \(H, W, 3\)"),
        (RGB.transpose(2, 0, 1), r"an array of shape \(3, 21, 34\): expected \(H, W, 3\)"),
        (torch.zeros(9, 9, 3), r"a tensor of shape \(9, 9, 3\): expected \(3, H, W\)"),
        (torch.zeros(3, 0, 9), r"a tensor of shape \(3, 0, 9\)"),
        (RGB.tobytes(), r"as bytes: open the file .* PIL.Image.open"),
        (None, "as NoneType: expected a PIL picture, a NumPy array"),
        (7, "as int: expected a PIL picture"),
        ("nowhere.jpg", "nowhere.jpg is not there"),
    ],
)
def test_what_is_refused(stylize, given, message):
    for each in (given, [given]):
        with pytest.raises(InputError, match=message) as refused:
            stylize(each)
        assert "\n" not in str(refused.value)
