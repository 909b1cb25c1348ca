"""SIGKILL at any moment, also while files are written: what is trained on from there ends with the very same weights.

Three kills here; FASTNST_KILLS=20 for more.
"""

import os
import random
import signal
import sys
import threading
import traceback
from pathlib import Path

import pytest
import torch

from fastnst.training.callbacks.tensorboard import Curves
from fastnst.training.resume import checkpoint_io, run_folder
from tests.conftest import losses, run_script, same, weights

KILLS = int(os.environ.get("FASTNST_KILLS", "3"))
OPTIONS = ["trainer.max_steps=40", "save_every=1", "validate_every=10", "preview_every=20"]


def train_in_a_child(options: list[str], cwd: Path, before=lambda: None) -> int | None:
    """``scripts/train.py`` in a process of its own, without the seconds of imports; None when it was killed."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            torch.set_num_threads(1)  # where this process had more (OMP_NUM_THREADS=4), libgomp lost them in the fork
            before()
            answer = run_script("train", *options, cwd=cwd)
            code = answer.code
            sys.stderr.write(answer.err)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory) -> Path:
    """The run folder of a training that was never killed."""
    folder = tmp_path_factory.mktemp("whole")
    assert train_in_a_child([*small, *OPTIONS, "output_dir=run"], folder) == 0
    return folder / "run"


def test_random_kills(small, whole, tmp_path):
    kills, seed = 0, 0
    while kills < KILLS:
        seed += 1
        command = [*small, *OPTIONS, f"output_dir={seed}", "ckpt_path=auto"]
        code = None
        while code is None:
            delay = random.Random(f"{seed}/{kills}").uniform(0, 0.8) if kills < KILLS else 600

            def soon(delay=delay):
                ordinary = Curves.on_train_start

                def and_then(self, *arguments):
                    ordinary(self, *arguments)
                    timer = threading.Timer(delay, die)
                    timer.daemon = True
                    timer.start()

                Curves.on_train_start = and_then

            code = train_in_a_child(command, tmp_path, soon)
            kills += code is None
        assert code == 0
        assert same(weights(tmp_path / str(seed)), weights(whole))
        assert losses(tmp_path / str(seed)) == losses(whole)  # no gaps, no doubles
    print(f"{kills} kills in {seed} runs")


@pytest.mark.parametrize("call", ["fsync", "replace", "replace renamed", "sync_folder"])
def test_killed_while_writing(small, whole, tmp_path, call):
    """Before the new file is synced; before the old one is renamed; between the two; before the folder is synced."""

    def break_writing():
        name, _, renamed = call.partition(" ")
        place = checkpoint_io if name == "sync_folder" else os
        ordinary, calls = getattr(place, name), []

        def deadly(*arguments, **options):
            if name == "fsync":
                concerned = os.readlink(f"/proc/self/fd/{arguments[0]}").endswith(".part.ckpt")
            else:
                concerned = name != "replace" or arguments[1].name == (
                    run_folder.LAST if renamed else run_folder.PREVIOUS
                )
            if concerned:
                calls.append(None)
                if len(calls) == 3:
                    die()
            return ordinary(*arguments, **options)

        setattr(place, name, deadly)

    command = [*small, *OPTIONS, "output_dir=run", "ckpt_path=auto"]
    assert train_in_a_child(command, tmp_path, break_writing) is None
    assert (tmp_path / "run" / run_folder.LAST).exists() or (tmp_path / "run" / run_folder.PREVIOUS).exists()
    assert train_in_a_child(command, tmp_path) == 0
    assert same(weights(tmp_path / "run"), weights(whole)) and losses(tmp_path / "run") == losses(whole)
