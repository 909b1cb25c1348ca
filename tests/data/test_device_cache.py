"""Crops that are cut on the device are those of Pillow, number for number."""

import itertools

import pytest
import torch

from fastnst.data.caches import device_cache
from fastnst.data.caches.device_cache import DeviceCache, as_it_is, gather
from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.photos import PhotoDataset, collate
from fastnst.data.sources import sample_photos
from fastnst.errors import InputError
from fastnst.images.reading import open_image
from tests.conftest import losses, same, weights

CPU = torch.device("cpu")


def plain(path, **_):
    """Without the faster decoding of much reduced JPEG files, which the cache does for its largest crops only."""
    return open_image(path)


@pytest.mark.parametrize(("scale", "side"), [((1.0, 1.5), 64), ((1.0, 2.6), 33), ((1.0, 1.0), 512), ((2.0, 4.0), 9)])
def test_crops_are_pillows_bit_for_bit(scale, side):
    paths = sample_photos()
    cache = DeviceCache(paths, plain, CPU, 1)
    cache.fill()
    ours = PhotoDataset(paths, side, 3, scale=scale, open_photo=cache.sizes.open_photo, finish=as_it_is)
    pillows = PhotoDataset(paths, side, 3, scale=scale, open_photo=plain)
    numbers = range(10)
    batch = cache.batch(gather([ours[k] for k in numbers]))
    assert torch.equal(batch["images"], collate([pillows[k] for k in numbers])["images"])


def test_unreadable_photographs_are_passed_over_and_named_alike(photos, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    paths = [*sorted(photos.iterdir()), bad]
    cache = DeviceCache(paths, open_image, CPU, 1000)
    cache.fill()
    ours = PhotoDataset(paths, 24, open_photo=cache.sizes.open_photo, finish=as_it_is)
    others = [PhotoDataset(paths, 24)[k] for k in range(18)]
    batch = cache.batch(gather([ours[k] for k in range(18)]))
    assert torch.equal(batch["images"], torch.stack([one["image"] for one in others]))
    assert batch["skipped"] == [path for one in others for path in one["skipped"]] == [str(bad)] * 2


@pytest.mark.parametrize("more", [[], ["data.cache=true", "data.cache_dir=small"], ["data.workers=1"]])
def test_a_training_is_the_same(train, tmp_path, more):
    """With crops that grow, and resumed."""
    run = ["trainer.max_steps=6", "data.grow_to=48", "data.grow_at=0.5", "save_every=3", *more]
    assert train("output_dir=without", *run).code == 0
    assert train("output_dir=with", "data.device_cache=true", *run).code == 0
    assert same(weights(tmp_path / "with"), weights(tmp_path / "without"))
    assert losses(tmp_path / "with") == losses(tmp_path / "without") and len(losses(tmp_path / "with")) == 6


def test_what_does_not_fit_is_refused_before_it_is_decoded(train, photos, monkeypatch):
    bytes_of_all = sum(3 * open_image(path).width * open_image(path).height for path in photos.iterdir())
    cache = DeviceCache(sorted(photos.iterdir()), open_image, CPU, 1000)
    assert cache.bytes_needed() == bytes_of_all
    monkeypatch.setattr(device_cache, "free_bytes", lambda device: 1000)
    error = train("data.device_cache=true").error()
    assert "7 photographs take about 0.00 GB" in error and "data.cache=true" in error
    monkeypatch.setattr(device_cache, "free_bytes", lambda device: None)  # nobody can tell
    cache.fill()
    assert sum(one.numel() for one in cache.photos.values()) == bytes_of_all


def test_photographs_that_are_not_resampled_are_refused():
    with pytest.raises(InputError, match="scale=null"):
        PhotoDataModule("samples", steps=1, scale=None, device_cache=True)
    with pytest.raises(InputError, match="device_cache='on'"):
        PhotoDataModule("samples", steps=1, device_cache="on")


def test_other_batches_are_left_alone(photos):
    data = PhotoDataModule("folder", str(photos), steps=1, image_size=32, batch_size=1, workers=0, device_cache=True)
    data.setup("fit")
    batches = [*itertools.islice(data.train_dataloader(), 1), *data.val_dataloader()]
    finished = [data.on_after_batch_transfer(batch, 0) for batch in batches]
    assert set(batches[0]) == {"crops", "recipe", "skipped"} and finished[1:] == batches[1:]
    assert all(one["images"].dtype == torch.float32 and one["images"].shape[1] == 3 for one in finished)
