"""The beginning and the end of a run: style picture, trainer, folder, publishing, previews."""

from dataclasses import replace

import pytest
import torch

from fastnst.errors import InputError
from fastnst.training.trainer import build_trainer, choose_precision
from tests.conftest import ON_CPU


def test_precision(monkeypatch):
    assert choose_precision("32-true", "auto") == "32-true"
    assert choose_precision("bf16-mixed", "cpu") == "bf16-mixed"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    for fast, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda fast=fast: {"avx512_bf16": fast}, raising=False)
        assert choose_precision("auto", "auto") == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert choose_precision("auto", "gpu") == "bf16-mixed"
    for given in ("16-mixed", "16"):
        with pytest.raises(InputError, match=r"trainer\.precision=16.*bf16-mixed"):
            choose_precision(given, "gpu")


def test_trainer(tmp_path):
    trainer = build_trainer(ON_CPU, tmp_path, [], validate_every=100)
    assert trainer.max_steps == 3 and trainer.val_check_interval == 3  # a short run is still validated
    assert trainer.progress_bar_callback is None and trainer.checkpoint_callback is None


def test_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="torch finds no GPU; use trainer=auto or trainer=cpu"):
        build_trainer(replace(ON_CPU, accelerator="gpu"), tmp_path, [], 1)
