"""The cache gives the crops that the files give, once resampled more, and notices what changes."""

import errno
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from fastnst.data.caches import cache as cache_module
from fastnst.data.caches.cache import PhotoCache
from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.photos import PhotoDataset
from fastnst.data.sources import folder_photos
from fastnst.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Nine soft pictures of several sizes, one smaller than the cache keeps, and one that is broken."""
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    for number in range(9):
        noise = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
        size = (40, 36) if number == 8 else (120 + 4 * number, 96)
        soft = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
        soft.save(root / ("deep" if number % 2 else "") / f"{number}.png")
    (root / "bad.jpg").write_bytes(b"rubbish")
    return root


def cache_of(folder: Path, where: Path, short: int = 48) -> PhotoCache:
    return PhotoCache(folder_photos(folder), folder, short, where)


def built(folder: Path, where: Path, short: int = 48) -> tuple[PhotoCache, list[int]]:
    """A cache, and how many photographs it had to store."""
    cache, seen = cache_of(folder, where, short), []
    cache.build(lambda done, total: seen.append(done))
    return cache, seen


def test_crops_are_those_of_the_files_resampled_once_more(folder, tmp_path):
    cache, _ = built(folder, tmp_path / "cache")
    plain = PhotoDataset(folder_photos(folder), 32)
    cached = PhotoDataset(folder_photos(folder), 32, open_photo=cache.open_photo)
    for k in range(30):
        one, other = plain[k], cached[k]
        assert one["skipped"] == other["skipped"]
        assert (one["image"] - other["image"]).abs().mean() < 0.01  # the same place, size and mirroring
    again = PhotoDataset(folder_photos(folder), 32, open_photo=built(folder, tmp_path / "cache")[0].open_photo)
    assert all(torch.equal(cached[k]["image"], again[k]["image"]) for k in range(30))


def test_small_photographs_are_kept_as_they_are(folder, tmp_path):
    cache, _ = built(folder, tmp_path / "cache")
    small = folder / "8.png"
    assert np.array_equal(np.asarray(cache.open_photo(small)), np.asarray(Image.open(small)))
    assert min(cache.open_photo(folder / "0.png").size) == 48


def test_it_is_built_once_and_again_where_something_changed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "PHOTOS_IN_PART", 2)
    where = tmp_path / "cache"
    cache, seen = built(folder, where)
    parts = len(list(cache.folder.glob("*.bin")))
    assert parts > 2 and seen[-1] == 10
    assert built(folder, where)[1] == []  # nothing to do
    files = {path.name: path.stat().st_mtime_ns for path in cache.folder.glob("*.bin")}

    Image.new("RGB", (100, 100), "red").save(folder / "0.png")  # other bytes and time
    cache, seen = built(folder, where)
    assert len(seen) == 1 and cache.open_photo(folder / "0.png").getpixel((5, 5)) == (255, 0, 0)
    os.utime(folder / "2.png", (1, 1))  # only another time
    assert len(built(folder, where)[1]) == 1
    (folder / "bad.jpg").unlink()  # gone
    Image.new("RGB", (100, 100), "blue").save(folder / "new.png")  # come
    cache, seen = built(folder, where)
    assert seen and cache.open_photo(folder / "new.png").getpixel((5, 5)) == (0, 0, 255)
    now = {path.name: path.stat().st_mtime_ns for path in cache.folder.glob("*.bin")}
    assert {name: now[name] for name in files} == files  # what was there is not written again, nor deleted yet
    assert built(folder, where, short=64)[1]  # other settings, another cache


def test_damaged_and_interrupted_parts_are_built_again(folder, tmp_path):
    cache, _ = built(folder, tmp_path / "cache")
    (part,) = cache.folder.glob("*.bin")
    whole = part.read_bytes()
    part.write_bytes(whole[:-1])
    assert built(folder, tmp_path / "cache")[1] and part.read_bytes() == whole
    part.with_suffix(".json").write_text("{")
    assert built(folder, tmp_path / "cache")[1]
    part.with_suffix(".json").unlink()  # as after a kill between the two files
    assert built(folder, tmp_path / "cache")[1] and built(folder, tmp_path / "cache")[1] == []


def test_several_build_at_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "PHOTOS_IN_PART", 1)
    decoded, ordinary = [], PhotoCache._small

    def small(self, path):
        decoded.append(path)
        return ordinary(self, path)

    monkeypatch.setattr(PhotoCache, "_small", small)
    caches = [cache_of(folder, tmp_path / "cache") for _ in range(4)]
    builders = [threading.Thread(target=cache.build) for cache in caches]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert sorted(decoded) == sorted(map(str, folder_photos(folder)))  # each once
    for cache in caches:
        assert cache.open_photo(folder / "0.png").tobytes() == caches[0].open_photo(folder / "0.png").tobytes()
    assert not list(caches[0].folder.glob(".*"))


def test_a_full_disk_is_one_line_and_leaves_nothing_half(folder, tmp_path, monkeypatch):
    from fastnst.data.caches.cache import json as module_json

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module_json, "dumps", full)
        with pytest.raises(InputError, match=r"\(No space left on device\): make room, give data.cache_dir"):
            built(folder, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob(".*"))
    assert built(folder, tmp_path / "cache")[1]


def test_too_little_room_is_said_before(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: type("", (), {"free": 10_000})())
    with pytest.raises(InputError, match=r"10 photographs needs about .* GB, 0.0 GB are free"):
        built(folder, tmp_path / "cache")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be made"):
        built(folder, tmp_path / "file")


def test_a_cache_that_is_deleted_under_a_run_does_not_stop_it(folder, tmp_path):
    cache, _ = built(folder, tmp_path / "cache")
    for path in cache.folder.iterdir():
        path.unlink()
    assert cache.open_photo(folder / "0.png").size == (120, 96)


def test_only_our_own_forgotten_files_are_removed(folder, tmp_path):
    cache, _ = built(folder, tmp_path / "cache")
    old = time.time() - 40 * 24 * 3600
    (cache.folder / "holiday.bin").write_text("mine")
    (cache.folder / f"{'0' * 40}.bin").write_text("an old part")
    (cache.folder / f"{'1' * 40}.bin").write_text("a part in use elsewhere")
    for name in ("holiday.bin", f"{'0' * 40}.bin"):
        os.utime(cache.folder / name, (old, old))
    built(folder, tmp_path / "cache")
    names = {path.name for path in cache.folder.iterdir()}
    assert {"holiday.bin", f"{'1' * 40}.bin"} < names and f"{'0' * 40}.bin" not in names


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_training(folder, tmp_path, workers):
    def batches(**options):
        data = PhotoDataModule("folder", str(folder), 32, 2, steps=8, workers=workers, **options)
        data.setup()
        return data, list(data.train_dataloader())

    data, cached = batches(cache=True, cache_dir=str(tmp_path / "cache"))
    _, plain = batches()
    for one, other in zip(cached, plain, strict=True):
        assert one["skipped"] == other["skipped"]
        assert (one["images"] - other["images"]).abs().mean() < 0.01
    assert len(list((tmp_path / "cache").iterdir())) == 1
    data.setup()  # a second time is nothing


@pytest.mark.parametrize(
    ("options", "message"), [({"cache": "yes"}, "give true or false"), ({"source": "webdataset"}, "is for folders")]
)
def test_wrong_arguments(folder, options, message):
    with pytest.raises(InputError, match=message):
        PhotoDataModule(**{"source": "folder", "root": str(folder), "steps": 1, "cache": True, **options})
