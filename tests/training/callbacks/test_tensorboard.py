"""TensorBoard while the disk is full: nothing is raised, one warning, and a new file when there is room again."""

import errno

import pytest
import torch

from fastnst.training.callbacks import tensorboard
from fastnst.training.callbacks.tensorboard import EventLogger
from tests.conftest import events as shown


def test_a_full_disk_from_the_first_event_on(tmp_path, monkeypatch):
    def no_room(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    logger = EventLogger(tmp_path)
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="No space left on device") as warned:
        patch.setattr(tensorboard, "SummaryWriter", no_room)
        logger.log_metrics({"a": 1.0}, 1)
        logger.log_picture("b", torch.rand(3, 8, 8), 1)
        logger.save()
    assert len(warned) == 1
    logger.log_metrics({"a": 2.0}, 2)
    logger.save()
    assert [(event.step, event.value) for event in shown(tmp_path).Scalars("a")] == [(2, 2.0)]
