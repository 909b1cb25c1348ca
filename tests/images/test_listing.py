"""The pictures in a folder."""

import pytest

from fastnst.errors import InputError
from fastnst.images.listing import list_images


def test_list_images(tmp_path):
    for name in (
        "b.JPG",
        "a.png",
        "sub/c.webp",
        "sub/deep/d.jpeg",
        "notes.txt",
        ".hidden.png",
        ".cache/e.png",
        "f.mpg",
        "g",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"never opened")
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)  # round and round
    names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.jpeg"]
    assert [path.name for path in list_images(tmp_path, recursive=False)] == ["a.png", "b.JPG"]


def test_list_images_follows_links_to_folders(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.png").write_bytes(b"")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far", target_is_directory=True)
    assert list_images(tmp_path / "near") == [tmp_path / "near" / "link" / "a.png"]


def test_list_images_of_no_folder(tmp_path):
    with pytest.raises(InputError, match="not there"):
        list_images(tmp_path / "missing")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="is a file"):
        list_images(tmp_path / "a.png")
