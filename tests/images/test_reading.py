"""Reading and writing picture files, against arrays worked out by hand."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from fastnst.errors import InputError
from fastnst.images import reading
from fastnst.images.reading import open_image, read_image_with_alpha

# Four colours in the corners of 6 x 4 pixels, so that no two turns look the same.
UPRIGHT = np.zeros((4, 6, 3), np.uint8)
UPRIGHT[:2, :3], UPRIGHT[:2, 3:], UPRIGHT[2:, :3], UPRIGHT[2:, 3:] = (250, 0, 0), (0, 250, 0), (0, 0, 250), (90, 90, 90)
# EXIF 2.3, tag 0x0112: what is stored is the upright picture after the inverse of the turn that the tag asks for.
STORED_FOR = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, 1),
    7: np.rot90(UPRIGHT, 2).transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


def stored(array: np.ndarray, path: Path, **options: object) -> Path:
    Image.fromarray(np.ascontiguousarray(array)).save(path, **options)
    return path


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_exif_orientations_come_out_upright(tmp_path, orientation, extension):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(extension, {})
    path = stored(STORED_FOR[orientation], tmp_path / f"a.{extension}", exif=exif, **lossless)
    opened = np.asarray(open_image(path)).astype(int)
    assert opened.shape == UPRIGHT.shape
    assert np.abs(opened - UPRIGHT).max() <= (0 if extension != "jpg" else 60)  # JPEG rings at the edges
    corners = opened[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.abs(corners - UPRIGHT[[0, 0, -1, -1], [0, -1, 0, -1]]).max() <= 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_reason_to_refuse_a_picture(tmp_path):
    path = stored(UPRIGHT, tmp_path / "a.png", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff rubbish")
    assert np.array_equal(np.asarray(open_image(path)), UPRIGHT)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def test_8_bit_grey_and_1_bit(tmp_path):
    ramp = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    assert np.array_equal(np.asarray(open_image(stored(ramp, tmp_path / "l.png"))), grey(ramp))
    Image.fromarray(ramp > 100).save(tmp_path / "one.png")
    assert np.array_equal(np.asarray(open_image(tmp_path / "one.png")), grey((ramp > 100) * 255))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_and_not_cut_off(tmp_path, name):
    values = np.array([[0, 128, 129, 257], [1000, 32768, 65407, 65535]], np.uint16)
    if name.endswith("pgm"):
        (tmp_path / name).write_bytes(b"P5 4 2 65535\n" + values.astype(">u2").tobytes())
    else:
        stored(values, tmp_path / name)
    expected = [[0, 0, 1, 1], [4, 128, 255, 255]]  # value / 257, rounded: 128 / 257 = 0.498, 129 / 257 = 0.502
    assert np.asarray(open_image(tmp_path / name))[..., 1].tolist() == expected


def test_dark_16_bit_grey_stays_dark(tmp_path):
    path = stored(np.full((3, 3), 200, np.uint16), tmp_path / "dark.png")
    assert np.asarray(open_image(path)).max() == 1


def test_16_bit_colour_png(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = struct.pack(">6H", 0, 65535, 0x8000, 0x4000, 0xC000, 0xFFFF)  # two RGB pixels
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(data)
    assert np.asarray(open_image(tmp_path / "a.png"))[0].tolist() == [[0, 255, 0x80], [0x40, 0xC0, 0xFF]]


@pytest.mark.parametrize(
    "values, expected",
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([float("nan"), -3.0, 1.0], [0, 0, 255]),
    ],
)
def test_float_tiff(tmp_path, values, expected):
    path = stored(np.array([values], np.float32), tmp_path / "f.tif")
    assert np.asarray(open_image(path))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("values, expected", [([0, 7, 255], [0, 7, 255]), ([0, 257, 65535], [0, 1, 255])])
def test_32_bit_tiff(tmp_path, values, expected):
    path = stored(np.array([values], np.int32), tmp_path / "i.tif")
    assert np.asarray(open_image(path))[0, :, 0].tolist() == expected


def test_cmyk_jpeg(tmp_path):
    # Full ink of one kind leaves the complementary colour; no ink is paper white, black ink is black.
    inks = np.zeros((8, 40, 4), np.uint8)
    for block, ink in enumerate([(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255)]):
        inks[:, block * 8 : block * 8 + 8] = ink
    Image.fromarray(inks, "CMYK").save(tmp_path / "a.jpg", quality=100)
    opened = np.asarray(open_image(tmp_path / "a.jpg"))[4, 4::8].astype(int)
    expected = [(255, 255, 255), (0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0)]
    assert np.abs(opened - expected).max() <= 3


def rgba() -> np.ndarray:
    """A column each of opaque, half transparent and invisible red."""
    array = np.zeros((2, 3, 4), np.uint8)
    array[..., 0], array[..., 3] = 200, (255, 51, 0)
    return array


def test_transparency_is_laid_on_white(tmp_path):
    opened = np.asarray(open_image(stored(rgba(), tmp_path / "a.png")))
    # 51 / 255 = 0.2: 0.2 * 200 + 0.8 * 255 = 244; 0.2 * 0 + 0.8 * 255 = 204
    assert opened[0].tolist() == [[200, 0, 0], [244, 204, 204], [255, 255, 255]]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_alpha_comes_apart_and_invisible_colour_is_white(tmp_path, name):
    colour, alpha = read_image_with_alpha(
        stored(rgba(), tmp_path / name, **({"lossless": True} if "webp" in name else {}))
    )
    assert colour.shape == (3, 2, 3) and alpha is not None and alpha.shape == (1, 2, 3)
    assert (colour[:, 0] * 255).round().T.tolist() == [[200, 0, 0], [200, 0, 0], [255, 255, 255]]
    assert (alpha[0, 0] * 255).round().tolist() == [255, 51, 0]


def test_opaque_pictures_have_no_alpha(tmp_path):
    opaque = rgba()
    opaque[..., 3] = 255
    assert read_image_with_alpha(stored(opaque, tmp_path / "a.png"))[1] is None
    assert read_image_with_alpha(stored(UPRIGHT, tmp_path / "b.png"))[1] is None


def test_grey_with_alpha(tmp_path):
    la = np.array([[[100, 255], [100, 0]]], np.uint8)
    Image.fromarray(la, "LA").save(tmp_path / "a.png")
    assert np.asarray(open_image(tmp_path / "a.png"))[0].tolist() == [[100] * 3, [255] * 3]


@pytest.mark.parametrize(
    "transparency, expected", [(None, (10, 20, 30)), (1, (255, 255, 255)), (b"\xff\x33", (206, 208, 210))]
)
def test_palette_with_and_without_transparency(tmp_path, transparency, expected):
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 200, 10, 20, 30])
    picture.putpixel((1, 0), 1)
    options = {} if transparency is None else {"transparency": transparency}
    picture.save(tmp_path / "a.png", **options)
    opened = np.asarray(open_image(tmp_path / "a.png"))
    assert opened[0].tolist() == [[0, 0, 200], list(expected)]  # 0.2 * 10 + 0.8 * 255 = 206 and so on


def test_first_frame_of_an_animation(tmp_path):
    first, second = Image.new("RGB", (5, 4), (200, 0, 0)), Image.new("RGB", (5, 4), (0, 0, 200))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert np.asarray(open_image(tmp_path / "a.gif"))[0, 0].tolist() == [200, 0, 0]


def test_colour_profile_is_brought_to_srgb(tmp_path):
    # A profile with red and blue exchanged, made from sRGB's own by exchanging the tags of the two primaries.
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for position in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12):
        name = bytes(data[position : position + 4])
        data[position : position + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    data = bytes(data).replace(b"sRGB", b"BGRs").replace("sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be"))
    path = stored(UPRIGHT, tmp_path / "a.png", icc_profile=data)
    assert np.abs(np.asarray(open_image(path)).astype(int) - UPRIGHT[..., ::-1]).max() <= 2


def test_srgb_profile_changes_nothing_and_a_damaged_one_is_ignored(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile in (("srgb", srgb), ("damaged", b"no profile"), ("cut", srgb[:200])):
        path = stored(UPRIGHT, tmp_path / f"{name}.png", icc_profile=profile)
        assert np.array_equal(np.asarray(open_image(path)), UPRIGHT), name


def test_draft_keeps_the_shorter_side_long_enough(tmp_path):
    path = stored(np.full((800, 1200, 3), 128, np.uint8), tmp_path / "a.jpg")
    assert open_image(path).size == (1200, 800)
    assert open_image(path, draft_size=100).size == (150, 100)
    assert open_image(path, draft_size=101).size == (300, 200)
    assert open_image(path, draft_size=801).size == (1200, 800)


def damaged_files(folder: Path) -> list[Path]:
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    made = []
    for name, file_format in (("cut.jpg", "JPEG"), ("cut.png", "PNG"), ("cut.webp", "WEBP"), ("cut.gif", "GIF")):
        whole = io.BytesIO()
        Image.fromarray(noise).save(whole, file_format)
        made.append(folder / name)
        made[-1].write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    for name, content in (
        ("empty.jpg", b""),
        ("page.jpg", b"<html>not found</html>"),
        ("script.eps", b"%!PS-Adobe-3.0\n"),
    ):
        made.append(folder / name)
        made[-1].write_bytes(content)
    (folder / "folder.jpg").mkdir()
    return [*made, folder / "folder.jpg", folder / "missing.jpg"]


def test_every_unreadable_file_is_named_in_one_line(tmp_path):
    unreadable = damaged_files(tmp_path)
    assert len(unreadable) == 9
    for path in unreadable:
        with pytest.raises(InputError, match=re.escape(str(path))) as caught:
            open_image(path)
        assert "\n" not in str(caught.value)


def test_too_many_pixels(tmp_path, monkeypatch):
    path = stored(np.zeros((20, 30, 3), np.uint8), tmp_path / "a.png")
    assert open_image(path, max_pixels=600).size == (30, 20)
    with pytest.raises(InputError, match="30 x 20 pixels; the limit is 599"):
        open_image(path, max_pixels=599)
    with pytest.raises(InputError, match="30 x 20"):
        open_image(path, max_pixels=599, draft_size=1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 250)  # Pillow refuses more than twice as much
    with pytest.raises(InputError, match="decompression bombs"):
        open_image(path)


def test_pillows_limit_is_the_one_documented():
    assert Image.MAX_IMAGE_PIXELS is not None
    assert reading.MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
