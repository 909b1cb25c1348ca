"""The data set: what item k is may depend on nothing but the seed and k."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from fastnst.data.photos import CentredPhotos, PhotoDataset, PhotoSampler, collate
from fastnst.errors import InputError
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize_short_side


@pytest.fixture
def photos(tmp_path):
    """Seven pictures of noise, each of another size and brightness, so that crops can be told apart."""
    paths = []
    for index in range(7):
        random = np.random.default_rng(index)
        pixels = random.integers(index * 30, index * 30 + 30, (40 + 3 * index, 60 - 2 * index, 3), np.uint8)
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def which(image: torch.Tensor) -> int:
    """Tell which of the seven a crop is from by its brightness."""
    return round((image.mean().item() * 255 - 14.5) / 30)


def images(data: PhotoDataset, numbers) -> torch.Tensor:
    return torch.stack([data[k]["image"] for k in numbers])


def test_items_are_pictures(photos):
    item = PhotoDataset(photos, 32)[0]
    assert item["image"].shape == (3, 32, 32) and item["image"].dtype == torch.float32
    assert item["image"].min() >= 0 and item["image"].max() <= 1
    assert item["skipped"] == []


@pytest.mark.parametrize("seed", [0, 1])
def test_same_seed_same_items_in_any_order(photos, seed):
    forward = images(PhotoDataset(photos, 32, seed), range(20))
    backward = images(PhotoDataset(photos, 32, seed), reversed(range(20))).flip(0)
    assert torch.equal(forward, backward)


def test_seeds_differ_and_0_is_a_seed_like_any_other(photos):
    by_seed = [images(PhotoDataset(photos, 32, seed), range(14)) for seed in (0, 1, 2)]
    assert not torch.equal(by_seed[0], by_seed[1]) and not torch.equal(by_seed[1], by_seed[2])
    with pytest.raises(InputError, match="seed -1"):
        PhotoDataset(photos, 32, -1)


def test_every_epoch_shows_every_file_once_in_another_order(photos):
    data = PhotoDataset(photos, 32)
    orders = [[which(data[epoch * 7 + k]["image"]) for k in range(7)] for epoch in range(4)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_crops_and_mirroring_vary(photos):
    data = PhotoDataset(photos[:1], 32)
    assert len({tuple(image.flatten().tolist()) for image in images(data, range(20))}) == 20
    left_to_right = torch.linspace(0, 1, 64).expand(3, 64, 64)
    Image.fromarray((left_to_right.permute(1, 2, 0) * 255).byte().numpy()).save(photos[0])
    rising = [bool((image[:, :, -1] > image[:, :, 0]).all()) for image in images(data, range(200))]
    assert 70 < sum(rising) < 130  # half are mirrored; four standard deviations


def test_crop_equals_resizing_first_and_cutting_afterwards(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 3), np.uint8)
    Image.fromarray(pixels).resize((96, 64), Image.Resampling.BICUBIC).save(tmp_path / "a.png")  # soft blots
    whole = resize_short_side(read_image(tmp_path / "a.png"), 32)  # 32 x 48
    middle = CentredPhotos([tmp_path / "a.png"], 32)[0]["image"]
    assert (middle - whole[:, :, 8:40]).abs().max() < 0.01
    lefts = set()
    for item in images(PhotoDataset([tmp_path / "a.png"], 32, scale=(1.0, 1.0)), range(10)):
        candidates = [whole[:, :, left : left + 32] for left in range(17)]
        candidates += [candidate.flip(2) for candidate in candidates]
        errors = [(item - candidate).abs().mean().item() for candidate in candidates]
        assert min(errors) < 0.05 < sorted(errors)[5]  # windows lie between whole pixels, but half of one at most
        lefts.add(errors.index(min(errors)) % 17)
    assert len(lefts) > 3


def test_the_whole_height_is_seen_at_scale_1_and_a_part_at_scale_2(tmp_path):
    rows = torch.linspace(0, 1, 128)[:, None].expand(128, 128)
    Image.fromarray((rows * 255).byte().numpy()).save(tmp_path / "a.png")
    for scale, seen in ((1.0, 1.0), (2.0, 0.5)):
        for item in images(PhotoDataset([tmp_path / "a.png"], 32, scale=(scale, scale)), range(5)):
            assert item[0, -1, 0] - item[0, 0, 0] == pytest.approx(seen, abs=0.05)


@pytest.mark.parametrize("width, height", [(20, 30), (32, 32), (33, 500), (2000, 3), (1, 1)])
def test_small_and_thin_pictures_are_enlarged_just_enough(tmp_path, width, height):
    Image.new("RGB", (width, height), (255, 128, 0)).save(tmp_path / "a.png")
    for item in images(PhotoDataset([tmp_path / "a.png"], 32), range(5)):
        assert item.shape == (3, 32, 32)
        assert torch.allclose(item[:, 0, 0], torch.tensor([1.0, 128 / 255, 0.0]), atol=0.01)


def test_bad_files_are_skipped_and_named(photos):
    bad = {photos[2], photos[5]}
    photos[2].write_bytes(b"")
    photos[5].write_bytes(photos[5].read_bytes()[:300])
    data = PhotoDataset(photos, 32)
    items = [data[k] for k in range(14)]
    assert {path for item in items for path in item["skipped"]} == {str(path) for path in bad}
    assert sum(len(item["skipped"]) for item in items) >= 4  # both in both epochs
    assert {which(item["image"]) for item in items} == {0, 1, 3, 4, 6}
    again = images(PhotoDataset(photos, 32), range(14))
    assert torch.equal(again, torch.stack([item["image"] for item in items]))


def test_the_replacement_is_the_next_of_the_epoch(photos):
    before = [which(PhotoDataset(photos, 32)[k]["image"]) for k in range(7)]
    photos[before[3]].write_bytes(b"")
    after = [which(PhotoDataset(photos, 32)[k]["image"]) for k in range(7)]
    assert after == [*before[:3], before[4], *before[4:]]


def test_too_large_files_count_as_unreadable(photos):
    data = PhotoDataset(photos, 32, max_pixels=40 * 60)  # only the first is as small as that
    items = [data[k] for k in range(7)]
    assert {which(item["image"]) for item in items} == {0}
    assert len({path for item in items for path in item["skipped"]}) == 6


def test_nothing_readable_ends_with_an_error(photos):
    for path in photos:
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of the 7 photographs"):
        PhotoDataset(photos, 32)[0]


def test_wrong_arguments(photos):
    with pytest.raises(InputError, match="0 photographs"):
        PhotoDataset([], 32)
    with pytest.raises(InputError, match="image size 0"):
        PhotoDataset(photos, 0)
    for scale in ((0.5, 1.0), (2.0, 1.0)):
        with pytest.raises(InputError, match="scale"):
            PhotoDataset(photos, 32, scale=scale)


def loaded(data: PhotoDataset, start: int, stop: int, workers: int = 0) -> list:
    loader = DataLoader(data, 2, sampler=PhotoSampler(start, stop), num_workers=workers, collate_fn=collate)
    return list(loader)


def test_batches_do_not_depend_on_the_number_of_workers(photos):
    photos[4].write_bytes(b"")
    data = PhotoDataset(photos, 32)
    alone = loaded(data, 0, 20)
    skipped = [path for batch in alone for path in batch["skipped"]]
    assert set(skipped) == {str(photos[4])}
    for workers in (1, 2):
        helped = loaded(data, 0, 20, workers)
        assert all(torch.equal(a["images"], b["images"]) for a, b in zip(alone, helped, strict=True))
        assert [path for batch in helped for path in batch["skipped"]] == skipped  # counted across processes


def test_taking_up_a_run_gives_the_batches_that_would_have_come(photos):
    data = PhotoDataset(photos, 32)
    whole, rest = loaded(data, 0, 20), loaded(PhotoDataset(photos, 32), 12, 20)
    assert all(torch.equal(a["images"], b["images"]) for a, b in zip(whole[6:], rest, strict=True))


def test_processes_share_the_numbers_without_overlap():
    ranks = [list(PhotoSampler(6, 30, rank, 3)) for rank in range(3)]
    assert sorted(k for numbers in ranks for k in numbers) == list(range(6, 30))
    assert ranks[1][:3] == [7, 10, 13]
    # In every step (batches of 2), the three processes together take six successive numbers.
    for step in range(4):
        taken = sorted(k for numbers in ranks for k in numbers[2 * step : 2 * step + 2])
        assert taken == list(range(6 + 6 * step, 12 + 6 * step))
    uneven = [list(PhotoSampler(0, 8, rank, 3)) for rank in range(3)]
    assert [len(numbers) for numbers in uneven] == [2, 2, 2]  # else one process would wait for ever
    assert len(PhotoSampler(6, 30, 0, 3)) == 10  # counted from the beginning of the run


@pytest.mark.parametrize("arguments", [(-1, 4), (5, 4), (0, 4, 2, 2), (0, 4, -1, 2)])
def test_sampler_out_of_range(arguments):
    with pytest.raises(InputError):
        PhotoSampler(*arguments)
