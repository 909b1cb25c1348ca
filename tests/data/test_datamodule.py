"""The data module alone and in a Lightning trainer."""

import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.photos import PhotoSampler
from fastnst.data.sources import SAMPLES, coco_photos, folder_photos, sample_photos
from fastnst.errors import InputError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]


def fill(folder: Path, count: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "photos")


def module(folder=None, **options) -> PhotoDataModule:
    given = {"source": "folder", "root": str(folder), "image_size": 32, "batch_size": 2, "steps": 10, "workers": 0}
    data = PhotoDataModule(**{**given, **options})
    data.setup()
    return data


def at_step(step: int, data: PhotoDataModule) -> PhotoDataModule:
    """As a trainer of one process finds it that has done so many steps already."""
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, global_step=step)
    return data


def batches(data: PhotoDataModule) -> torch.Tensor:
    return torch.stack([batch["images"] for batch in data.train_dataloader()])


# Sources


def test_samples_are_real_colour_photographs():
    photos = sample_photos()
    assert [path.name for path in photos] == sorted(SAMPLES) and len(photos) == 5
    for path in photos:
        pixels = np.asarray(Image.open(path)).astype(int)
        assert pixels.ndim == 3 and pixels.shape[2] == 3 and min(pixels.shape[:2]) >= 300
        assert np.abs(pixels[..., 0] - pixels[..., 2]).mean() > 10  # grey in three channels would be 0


def test_folders_in_folders_and_coco_one_level_up_or_down(tmp_path):
    fill(tmp_path / "coco" / "train2017", 3)
    fill(tmp_path / "coco" / "val2017", 2)
    assert len(coco_photos(tmp_path / "coco")) == len(coco_photos(tmp_path / "coco" / "train2017")) == 3
    assert len(folder_photos(tmp_path)) == 5


def test_an_empty_folder_says_what_was_found_instead(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "photos.zip").write_bytes(b"")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.txt").write_text("")
    with pytest.raises(InputError, match=r"no pictures, only 2 folders, 2 files \.txt, 1 file \.zip \(unpack"):
        folder_photos(tmp_path)
    with pytest.raises(InputError, match="not there"):
        folder_photos(tmp_path / "missing")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="only nothing"):
        folder_photos(tmp_path / "nothing")
    with pytest.raises(InputError, match="download_coco"):
        coco_photos(tmp_path / "nothing")


def test_without_coco_the_samples_step_in_and_say_so_loudly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COCO_ROOT", raising=False)
    with pytest.warns(UserWarning, match="NO COCO HERE"):
        data = module(source="coco", root=None)
    assert data.source_name == "samples"
    assert len(data.validation_paths) == 1 and len(data.training_paths) == 4


def test_a_coco_folder_that_was_named_must_be_good(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="not there"):
        module(tmp_path / "missing", source="coco")
    monkeypatch.setenv("COCO_ROOT", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="elsewhere"):
        module(source="coco", root=None)
    fill(tmp_path / "elsewhere", 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert module(source="coco", root=None).source_name == "coco"


def test_coco_at_its_usual_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COCO_ROOT", raising=False)
    fill(tmp_path / "data" / "coco" / "train2017", 4)
    assert module(source="coco", root=None).source_name == "coco"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"source": "imagenet"}, "coco, folder, samples"),
        ({"root": None}, "needs a folder"),
        ({"source": "samples"}, "has no folder"),
        ({"image_size": 31}, "image size 31"),
        ({"image_size": 64.0}, "image size 64.0"),
        ({"grow_to": 31}, "data.grow_to 31"),
        ({"grow_at": 1.5}, "data.grow_at=1.5"),
        ({"grow_at": "half"}, "data.grow_at='half'"),
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": True}, "batch size True"),
        ({"steps": 0}, "steps 0"),
        ({"seed": -1}, "seed -1"),
        ({"seed": None}, "seed None"),
        ({"workers": -1}, "workers -1"),
        ({"validation_photos": -1}, "validation photographs -1"),
        ({"validation_size": 16}, "validation size 16"),
    ],
)
def test_wrong_arguments(folder, options, message):
    with pytest.raises(InputError, match=message):
        module(folder, **options)


# Holding out


def test_held_out_photographs_are_never_trained_on(folder):
    data = module(folder, steps=200)
    assert len(data.validation_paths) == 4 and len(data.training_paths) == 16  # a fifth of 20
    assert not set(data.training_paths) & set(data.validation_paths)
    assert set(data.training_paths) | set(data.validation_paths) == set(folder_photos(folder))
    dataset = data.train_dataloader().dataset
    assert set(dataset.paths) == {str(path) for path in data.training_paths}


def test_which_are_held_out_depends_on_names_only(folder, tmp_path):
    names = [path.name for path in module(folder).validation_paths]
    assert names == [path.name for path in module(folder, seed=5, image_size=40).validation_paths]
    assert names == [path.name for path in module(fill(tmp_path / "moved" / "far")).validation_paths]


def test_validation_is_the_same_every_time(folder):
    data = module(folder, validation_size=48)
    first, second = ([batch["images"] for batch in data.val_dataloader()] for _ in range(2))
    assert torch.equal(torch.cat(first), torch.cat(second))
    assert torch.cat(first).shape == (4, 3, 48, 48)


def test_unreadable_photographs_are_not_held_out(folder):
    chosen = module(folder, validation_photos=2).validation_paths
    chosen[0].write_bytes(b"")
    now = module(folder, validation_photos=2).validation_paths
    assert len(now) == 2 and chosen[0] not in now and chosen[1] in now


def test_validation_from_a_folder_of_its_own(folder, tmp_path):
    other = fill(tmp_path / "other", 3)
    data = module(folder, validation_root=str(other))
    assert len(data.training_paths) == 20
    assert [path.parent for path in data.validation_paths] == [other] * 3
    same = module(folder, validation_root=str(folder), validation_photos=5)
    assert len(same.validation_paths) == 5 and len(same.training_paths) == 15


def test_links_to_held_out_photographs_are_held_out_too(folder, tmp_path):
    linked = tmp_path / "linked"
    linked.symlink_to(folder, target_is_directory=True)
    same = module(folder, validation_root=str(linked), validation_photos=5)
    assert len(same.validation_paths) == 5 and len(same.training_paths) == 15


def test_an_unreadable_validation_folder(folder, tmp_path):
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "a.jpg").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="no photograph for validation"):
        module(folder, validation_root=str(tmp_path / "rubbish"))


def test_no_validation_when_there_is_nothing_to_hold_out(tmp_path, folder):
    assert module(fill(tmp_path / "one", 1)).val_dataloader() == []
    assert module(folder, validation_photos=0).val_dataloader() == []


def test_a_folder_of_rubbish_is_refused_before_training(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="none of the 3 photographs"):
        module(tmp_path)


# Batches


def test_every_step_has_its_batch_and_nothing_is_dropped(folder):
    data = module(folder, steps=9)
    assert batches(data).shape == (9, 2, 3, 32, 32)
    assert len(data.train_dataloader()) == 9


@pytest.mark.parametrize("seed", [0, 3])
def test_a_later_step_continues_the_same_run(folder, seed):
    whole = batches(module(folder, seed=seed))
    assert torch.equal(whole, batches(module(folder, seed=seed, workers=2)))
    assert torch.equal(whole[7:], batches(at_step(7, module(folder, seed=seed))))
    assert not torch.equal(whole, batches(module(folder, seed=seed + 1)))


def sides(data: PhotoDataModule) -> list[int]:
    return [batch["images"].shape[-1] for batch in data.train_dataloader()]


def test_crops_grow_at_a_step(folder):
    assert sides(module(folder, grow_to=48, grow_at=0.65)) == [32] * 7 + [48] * 3  # from step 6.5 on
    assert sides(at_step(5, module(folder, grow_to=48, grow_at=0.65))) == [32] * 2 + [48] * 3
    assert sides(at_step(8, module(folder, grow_to=48, grow_at=0.65))) == [48] * 2
    assert sides(module(folder, grow_to=48, grow_at=0)) == [48] * 10 and sides(module(folder)) == [32] * 10
    assert module(folder, grow_to=48).validation_size == 48 and module(folder).validation_size == 32


def test_loading_leaves_torchs_own_random_numbers_alone(folder):
    data = module(folder, workers=1)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    next(iter(data.train_dataloader()))
    next(iter(data.val_dataloader()))
    assert torch.equal(torch.rand(1), expected)


def test_automatic_workers():
    assert 1 <= PhotoDataModule("samples", steps=1).workers <= 8


# In a trainer


class Recorder(pl.LightningModule):
    """Trains one number and remembers the pictures it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: list[torch.Tensor] = []
        self.skipped: list[str] = []

    def training_step(self, batch, index):
        self.shown.append(batch["images"].clone())
        self.skipped += batch["skipped"]
        return (self.weight - batch["images"].mean()) ** 2

    def validation_step(self, batch, index):
        assert batch["images"].shape[1:] == (3, 32, 32)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder: Path, steps: int, **options) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    save = pl.callbacks.ModelCheckpoint(folder, "{step}", every_n_train_steps=4, save_top_k=-1)
    return pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        callbacks=[save],
        val_check_interval=5,
        num_sanity_val_steps=0,
        **quiet,
        **options,
    )


@pytest.mark.parametrize("saved_at", [4, 8])
def test_lightning_resumes_in_the_middle_with_the_batches_that_would_have_come(folder, tmp_path, saved_at):
    whole, resumed = Recorder(), Recorder()
    trainer(tmp_path, 10).fit(whole, datamodule=module(folder))
    again = trainer(tmp_path / "again", 10)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not resumable")
        again.fit(resumed, datamodule=module(folder), ckpt_path=tmp_path / f"step={saved_at}.ckpt")
    assert again.global_step == 10
    assert len(whole.shown) == 10
    assert len(resumed.shown) == 10 - saved_at
    assert torch.equal(torch.stack(whole.shown[saved_at:]), torch.stack(resumed.shown))
    assert torch.equal(whole.weight, resumed.weight)


def test_a_bad_file_does_not_stop_training_and_reaches_the_module(folder, tmp_path):
    data = module(folder, steps=16, workers=1)
    data.training_paths[3].write_bytes(b"")
    model = Recorder()
    trainer(tmp_path, 16).fit(model, datamodule=data)
    assert len(model.shown) == 16
    assert set(model.skipped) == {str(data.training_paths[3])}


class TwoProcesses:
    """What the data module asks a trainer for, as in the second of two processes."""

    global_rank, world_size, global_step = 1, 2, 3


def test_each_process_gets_its_share(folder):
    alone = module(folder, steps=10, batch_size=4)  # one process with batches of 4 ...
    shared = module(folder, steps=10)  # ... sees in every step what two with batches of 2 see
    shared.trainer = TwoProcesses()
    sampler = shared.train_dataloader().sampler
    assert isinstance(sampler, PhotoSampler)
    assert list(sampler) == list(range(3 * 4 + 1, 40, 2))
    assert len(shared.train_dataloader()) == 10
    assert torch.equal(batches(shared), batches(alone)[3:, 1::2])


def test_a_run_goes_on_with_the_next_photograph_at_another_batch_size_and_number_of_processes(folder):
    first = at_step(0, module(folder, steps=10, batch_size=3))
    whole = torch.cat(list(batches(first)))
    first.trainer.global_step = 5
    state = first.state_dict()
    assert state == {"photographs": 15, "step": 5}

    ranks = []
    for rank in range(2):
        data = module(folder, steps=10, batch_size=1)
        data.load_state_dict(state)
        data.trainer = TwoProcesses()
        data.trainer.global_rank, data.trainer.global_step = rank, 5
        loader = data.train_dataloader()
        assert len(loader) == 10  # as Lightning counts: from the beginning of the run
        ranks.append(list(loader.sampler))
        if rank == 0:
            assert torch.equal(next(iter(loader))["images"][0], whole[15])
    assert sorted(ranks[0] + ranks[1]) == list(range(15, 25))  # five more steps of two


def test_paths_are_not_resolved_against_another_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert os.fspath(module("photos").training_paths[0]).startswith("photos")
