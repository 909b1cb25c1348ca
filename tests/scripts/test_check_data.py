"""The look through a folder of photographs, called as a user calls it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastnst.commands.check_data import main
from fastnst.data.findings import check_photos
from fastnst.errors import InputError
from fastnst.images.listing import list_images

PROJECT = Path(__file__).parents[2]


def make(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    for name, size in (("a.png", (300, 400)), ("b.jpg", (500, 260)), ("sub/c.png", (100, 900))):
        pixels = np.random.default_rng(len(name)).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / "check_data.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def test_all_fine(tmp_path):
    done = run(make(tmp_path / "photos"))
    assert done.returncode == 0, done.stderr
    for line in (
        "3 fine, 0 broken",
        "shorter side: 100 to 300 pixels, median 260",
        "longer side: 400 to 900 pixels, median 500",
        "shorter side below 256 pixels: 1",
        "more than once: 0",
    ):
        assert line in done.stdout
    assert "3/3" in done.stderr  # progress


def test_broken_files_and_copies_are_named(tmp_path):
    folder = make(tmp_path / "photos")
    shutil.copy(folder / "a.png", folder / "sub" / "copy.png")
    whole = (folder / "b.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    done = run(folder)
    assert done.returncode == 1
    assert "6 pictures" in done.stdout and "4 fine, 2 broken" in done.stdout
    broken = [line for line in done.stdout.splitlines() if line.startswith("broken: ")]
    assert len(broken) == 2 and str(folder / "cut.jpg") in broken[0] and str(folder / "empty.png") in broken[1]
    assert f"same: {folder / 'a.png'}, {folder / 'sub' / 'copy.png'}" in done.stdout
    assert "more than once: 2" in done.stdout


def test_wrong_calls(tmp_path):
    done = run(tmp_path / "missing")
    assert done.returncode == 2 and done.stderr.startswith("error:") and len(done.stderr.splitlines()) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        main([str(tmp_path / "empty")])
    with pytest.raises(InputError, match="the following arguments are required: folder; see --help"):
        main([])
    done = subprocess.run([sys.executable, str(PROJECT / "scripts" / "check_data.py")], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error:") and len(done.stderr.splitlines()) == 1


def test_equal_size_is_not_equal_content(tmp_path):
    for name, value in (("a.bmp", 1), ("b.bmp", 2)):
        Image.new("RGB", (8, 8), (value, value, value)).save(tmp_path / name)
    seen = []
    found = check_photos(list_images(tmp_path), lambda done, total: seen.append((done, total)))
    assert found.duplicates == [] and found.broken == [] and found.sizes == [(8, 8)] * 2
    assert seen == [(1, 2), (2, 2)]
