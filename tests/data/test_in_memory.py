"""Photographs in memory, and the crops that are cut out of them pixel by pixel."""

import numpy as np

from fastnst.data.caches.in_memory import InMemory
from fastnst.data.photos import CentredPhotos, PhotoDataset
from fastnst.images.reading import open_image, read_image


def test_each_file_is_read_once_while_there_is_room(photos):
    read = []

    def reader(path, **options):
        read.append(path)
        assert options["draft_size"] is None  # whole
        return open_image(path, **options)

    paths = sorted(map(str, photos.iterdir()))
    first = open_image(paths[0])
    memory = InMemory(reader, room=3 * first.width * first.height)  # for this one alone
    for _ in range(2):
        for path in paths[:3]:
            memory.open_photo(path, draft_size=32)
    assert read == [*paths[:3], *paths[1:3]]


def test_crops_are_the_photographs_own_pixels_turned_and_mirrored(photos):
    path = min(photos.iterdir())
    whole = read_image(path).numpy()
    dataset, kinds = PhotoDataset([path], 6, scale=None), set()
    for number in range(40):
        crop = dataset[number]["image"].numpy()
        turned = [np.rot90(crop, k, (1, 2)) for k in range(4)]
        eight = [*turned, *(one[:, :, ::-1] for one in turned)]
        windows = np.lib.stride_tricks.sliding_window_view(whole, (6, 6), (1, 2))  # (3, y, x, 6, 6)
        found = [(windows == one[:, None, None]).all((0, 3, 4)) for one in eight]
        assert sum(one.sum() for one in found) == 1
        kinds.add(next(kind for kind, one in enumerate(found) if one.any()))
    assert kinds == set(range(8))
    assert np.array_equal(CentredPhotos([path], None)[0]["image"], whole)
    assert PhotoDataset([path], 70, scale=None)[0]["image"].shape == (3, 70, 70)  # larger than the photograph
