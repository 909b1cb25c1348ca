"""One training a folder, and the file to resume from."""

import os
from pathlib import Path

import pytest

from fastnst.errors import InputError
from fastnst.training.resume.run_folder import find_checkpoint, open_run_folder


def test_run_folder(tmp_path):
    open_run_folder(tmp_path / "a" / "b", resuming=False)
    assert (tmp_path / "a" / "b").is_dir()
    open_run_folder(tmp_path / "a" / "b", resuming=False)  # empty still
    (tmp_path / "a" / "b" / "model.ckpt").touch()
    with pytest.raises(InputError, match="already holds a training"):
        open_run_folder(tmp_path / "a" / "b", resuming=False)
    open_run_folder(tmp_path / "a" / "b", resuming=True)


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    (tmp_path / "previews").mkdir()
    for name in ("last.ckpt", ".1234.part.ckpt", "previews/latest.png", "previews/.1234.part.png"):
        (tmp_path / name).touch()
    open_run_folder(tmp_path, resuming=True)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".lock", "last.ckpt", "latest.png"}


def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    folder = Path("/proc/self") if os.geteuid() == 0 else tmp_path  # permissions do not stop root, the system does
    with pytest.raises(InputError, match=r"cannot be written \(.*\): give another folder or change its permissions"):
        open_run_folder(folder, resuming=False)
    tmp_path.chmod(0o755)


def test_find_checkpoint(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "last.ckpt").touch()
    assert find_checkpoint("last", tmp_path / "new", folder_given=False) == tmp_path / "a" / "last.ckpt"
    assert find_checkpoint("last", tmp_path / "a", folder_given=True) == tmp_path / "a" / "last.ckpt"
    with pytest.raises(InputError, match=r"no last\.ckpt in"):
        find_checkpoint("last", tmp_path / "b", folder_given=True)
    assert find_checkpoint(str(tmp_path / "a" / "last.ckpt"), tmp_path / "b", True).parent.name == "a"
