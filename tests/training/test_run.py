"""The beginning and the end of a run: style picture, trainer, folder, publishing, previews."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.training.folder import find_checkpoint, open_run_folder
from fastnst.training.previews import fixed_pictures
from fastnst.training.run import build_trainer, check_publishable, choose_precision, publish, read_style

OPTIONS = {
    "accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "32-true", "max_steps": 3,
    "log_every": 1,
}  # fmt: skip


def test_read_style(tmp_path):
    Image.new("RGB", (80, 40), (255, 0, 0)).save(tmp_path / "a.png")
    style = read_style(tmp_path / "a.png", 60)
    assert style.shape == (3, 60, 120)
    torch.testing.assert_close(style.mean(dim=(1, 2)), torch.tensor([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("size", [31, 0, -1, 2.5, "64", True, None])
def test_style_sizes_that_are_refused(tmp_path, size):
    Image.new("RGB", (80, 40)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"style\.size=.*expected a whole number, 32 or more"):
        read_style(tmp_path / "a.png", size)


def test_precision(monkeypatch):
    assert choose_precision("32-true", "auto") == "32-true"
    assert choose_precision("bf16-mixed", "cpu") == "bf16-mixed"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for fast, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda fast=fast: {"avx512_bf16": fast}, raising=False)
        assert choose_precision("auto", "auto") == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert choose_precision("auto", "gpu") == "bf16-mixed"
    for given in ("16-mixed", "16", 16):
        with pytest.raises(InputError, match=r"trainer\.precision=16.*bf16-mixed"):
            choose_precision(given, "gpu")


def test_trainer(tmp_path):
    trainer = build_trainer(OPTIONS, tmp_path, [], validate_every=100)
    assert trainer.max_steps == 3 and trainer.val_check_interval == 3  # a short run is still validated
    assert trainer.progress_bar_callback is None and trainer.checkpoint_callback is None


def test_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="torch finds no GPU; use trainer=auto or trainer=cpu"):
        build_trainer(OPTIONS | {"accelerator": "gpu"}, tmp_path, [], 1)


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


def test_publish_never_overwrites(tmp_path):
    model, folder = tmp_path / "model.ckpt", tmp_path / "checkpoints"
    model.write_bytes(b"first")
    assert publish(model, "mine", folder) == folder / "mine.ckpt"
    model.write_bytes(b"second")
    with pytest.raises(InputError, match=r"mine\.ckpt exists and is not replaced.*model itself is saved as"):
        publish(model, "mine", folder)
    assert (folder / "mine.ckpt").read_bytes() == b"first"
    for name in ("", ".", "..", "a/b", "/abs", 7):
        with pytest.raises(InputError, match="expected a plain name"):
            check_publishable(name, folder)


def test_fixed_pictures(photos, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no")
    pictures = fixed_pictures([*sorted(photos.iterdir())[:2], tmp_path / "broken.png"], 40)
    assert list(pictures) == ["photo0", "photo1", "grey", "white", "ramp"]
    assert all(picture.shape == (3, 40, 40) for picture in pictures.values())
    assert pictures["grey"].unique().tolist() == [0.5] and pictures["white"].unique().tolist() == [1.0]
    ramp = pictures["ramp"]
    assert ramp[0, 0, 0] == 0 and ramp[0, 0, -1] == 1 and (ramp[..., 1:] > ramp[..., :-1]).all()
