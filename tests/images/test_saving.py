"""What is saved comes back, and nothing is lost by saving."""

import os

import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.reading import read_image, read_image_with_alpha
from fastnst.images.saving import save_image

# Four colours in the corners of 6 x 4 pixels, so that no two turns look the same.


def test_nan_is_refused_not_saved_as_black(tmp_path):
    with pytest.raises(InputError, match="NaN"):
        save_image(torch.full((3, 4, 4), float("nan")), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def picture() -> torch.Tensor:
    quarters = torch.tensor([[[250, 0], [0, 90]], [[0, 250], [0, 90]], [[0, 0], [250, 90]]]) / 255
    return quarters.repeat_interleave(2, 1).repeat_interleave(3, 2)


@pytest.mark.parametrize(
    "name, tolerance", [("a.png", 0), ("a.TIFF", 0), ("a.bmp", 0), ("a.jpg", 0.01), ("a.webp", 0.01)]
)
def test_saved_pictures_come_back(tmp_path, picture, name, tolerance):
    picture = picture.repeat_interleave(16, 1).repeat_interleave(16, 2)  # whole JPEG blocks: no ringing to allow for
    save_image(picture, tmp_path / "new" / "folder" / name)
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [name]
    assert (read_image(tmp_path / "new" / "folder" / name) - picture).abs().mean() <= tolerance


def test_jpeg_keeps_colour_at_full_resolution(tmp_path):
    checks = torch.zeros(3, 32, 32)
    checks[0, ::2], checks[2, 1::2] = 1, 1  # rows of red and blue
    save_image(checks, tmp_path / "a.jpg")
    assert (read_image(tmp_path / "a.jpg") - checks).abs().mean() < 0.05


@pytest.mark.parametrize(
    "name, kept", [("a.png", True), ("a.webp", True), ("a.tif", True), ("a.jpg", False), ("a.bmp", False)]
)
def test_alpha_is_kept_or_laid_on_white(tmp_path, name, kept):
    black, alpha = torch.zeros(3, 16, 16), torch.zeros(1, 16, 16)
    alpha[:, :8] = 1
    save_image(black, tmp_path / name, alpha=alpha)
    _, found = read_image_with_alpha(tmp_path / name)
    assert (found is not None and torch.equal(found, alpha)) if kept else found is None
    opened = read_image(tmp_path / name)
    assert opened[:, :6].max() < 0.05 and opened[:, 10:].min() > 0.95


def test_an_existing_file_is_replaced_only_when_asked(tmp_path, picture):
    save_image(picture, tmp_path / "a.png")
    with pytest.raises(InputError, match="exists already"):
        save_image(1 - picture, tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), picture)
    save_image(1 - picture, tmp_path / "a.png", overwrite=True)
    assert torch.allclose(read_image(tmp_path / "a.png"), 1 - picture)


@pytest.mark.parametrize("name", ["a", "a.xyz", "a.txt", "a.mp4"])
def test_unknown_extensions_name_the_known_ones(tmp_path, picture, name):
    with pytest.raises(InputError, match=r"\.png, \.jpg"):
        save_image(picture, tmp_path / name)


def test_saving_where_nothing_can_be_written(tmp_path, picture):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_image(picture, tmp_path / "file" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        save_image(picture, tmp_path / "b.png", overwrite=True)


def test_a_full_disk_leaves_neither_a_half_file_nor_a_lost_one(tmp_path, picture, monkeypatch):
    save_image(picture, tmp_path / "a.png")

    def full(self, file, *args, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputError, match="No space left"):
        save_image(1 - picture, tmp_path / "a.png", overwrite=True)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a.png"]
    assert torch.equal(read_image(tmp_path / "a.png"), picture)


def test_saved_files_have_the_usual_permissions(tmp_path, picture):
    save_image(picture, tmp_path / "a.png")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_too_wide_for_the_format(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        save_image(torch.zeros(3, 1, 20000), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_out_of_range(tmp_path, picture, quality):
    with pytest.raises(InputError, match="quality"):
        save_image(picture, tmp_path / "a.jpg", quality=quality)


def test_alpha_of_another_size(tmp_path, picture):
    with pytest.raises(InputError, match="alpha"):
        save_image(picture, tmp_path / "a.png", alpha=torch.ones(1, 2, 2))
