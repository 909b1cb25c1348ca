"""Loading processes that are spawned, as on macOS and Windows: all that is handed to them pickles."""

import itertools
import pickle

import pytest
import torch

from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.sharding import write_shards

KINDS = [{}, {"cache": True}, {"device_cache": True}, {"scale": None}, {"source": "webdataset"}]


def loader(photos, tmp_path, source="folder", **options):
    if source == "webdataset":
        write_shards(sorted(photos.iterdir()), photos, tmp_path / "shards")
    root = tmp_path / "shards" if source == "webdataset" else photos
    data = PhotoDataModule(
        source, str(root), steps=2, image_size=32, batch_size=2, workers=1, cache_dir=str(tmp_path), **options
    )
    data.setup("fit")
    return data.train_dataloader()


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return a == b if not isinstance(a, dict) else a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("options", KINDS)
def test_what_loading_processes_are_handed_pickles(photos, tmp_path, options):
    ours = loader(photos, tmp_path, **options)
    dataset, gather = pickle.loads(pickle.dumps((ours.dataset, ours.collate_fn)))
    assert equal(gather([dataset[k] for k in range(4)]), ours.collate_fn([ours.dataset[k] for k in range(4)]))


def test_spawned_ones_load_the_same(photos, tmp_path):
    spawned, here = (loader(photos, tmp_path, device_cache=True, cache=True) for _ in range(2))
    spawned.multiprocessing_context = "spawn"
    batches = list(itertools.islice(spawned, 2))
    numbers = list(here.sampler)
    assert len(batches) == 2
    for n, batch in enumerate(batches):
        assert equal(batch, here.collate_fn([here.dataset[k] for k in numbers[2 * n : 2 * n + 2]]))
