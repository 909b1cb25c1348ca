"""Several processes of one training: started by Lightning and by torchrun, stopped, killed, gone on with by one."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fastnst.training.machine.processes import is_first_process, lost_process, shared
from tests.conftest import PROJECT, run_script


@pytest.fixture(scope="module")
def damaged(photos, tmp_path_factory) -> Path:
    """Eight photographs, two of which cannot be read; a number that batches of four do not divide."""
    folder = tmp_path_factory.mktemp("damaged")
    for number, path in enumerate(sorted(photos.iterdir())):
        (folder / path.name).write_bytes(path.read_bytes()[: 200 if number in (1, 6) else None])
    return folder


@pytest.fixture(scope="module")
def options(small, damaged) -> list[str]:
    return [*small, f"data.root={damaged}", "validate_every=100000", "preview_every=2", "save_every=2"]


def scalars(folder: Path) -> dict[int, float]:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return {event.step: event.value for event in accumulator.Scalars("train/total")}


@pytest.fixture(scope="module")
def alone(options, tmp_path_factory) -> Path:
    """What one process makes of it with batches of 4."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    call = [*options, "data.batch_size=4", "trainer.max_steps=8", f"output_dir={folder}"]
    assert run_script("train", *call, cwd=folder.parent).code == 0
    return folder


class Job:
    """A command line in a folder, ended with the test."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )  # fmt: skip
        self.watchdog = threading.Timer(500, self.process.kill)
        self.watchdog.start()

    def wait_for(self, folder: Path, pattern: str) -> None:
        """Until a file of that name lies in the folder."""
        while not list(folder.glob(pattern)):
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.1)

    def rank(self, number: int) -> int:
        """The process of that rank: a child of this one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        wanted = (f"RANK={number}", f"LOCAL_RANK={number}")
        for child in children:
            if set(wanted) & set(Path(f"/proc/{child}/environ").read_text().split("\0")):
                return int(child)
        raise AssertionError(f"no rank {number} among {children}")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate()
        self.watchdog.cancel()
        return self.process.returncode, out, err


TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=2", "trainer.max_steps=100000"]


def test_two_processes_do_what_one_does_and_one_goes_on_from_there(options, damaged, alone, tmp_path):
    job = Job([str(PROJECT / "scripts/train.py"), *options, *TWO], tmp_path)
    job.wait_for(tmp_path, "outputs/mosaic/*/previews/step_000004.png")
    os.kill(job.rank(1), signal.SIGTERM)  # the one that writes nothing
    code, out, err = job.end()
    assert code == 128 + signal.SIGTERM, err
    assert out.count("Stylize with:") == 1 and "Stopped by SIGTERM" in out and "Traceback" not in err
    (run,) = (tmp_path / "outputs" / "mosaic").iterdir()  # one folder, however many processes
    expected, together = scalars(alone), scalars(run)
    stopped = max(together)
    assert stopped >= 3 and torch.load(run / "last.ckpt", weights_only=True)["global_step"] == stopped
    assert sorted(together) == list(range(1, stopped + 1))
    for step in range(1, min(stopped, 8) + 1):
        # The same but for the range penalty, which each process weighs with its own photographs' objective, and for
        # rounding, which Adam's first steps, near to the sign of the gradient, make larger.
        assert together[step] == pytest.approx(expected[step], rel=3e-4 if step <= 3 else 1e-2)
    assert (run / "previews" / "step_000002.png").exists()
    bad = {str(damaged / f"photo{number}.png") for number in (1, 6)}
    assert set((run / "skipped_photos.txt").read_text().split()) == bad  # whichever process met them
    assert (run / "skipped_photos.txt").read_text().count("photo1") == 1

    more = [*options, "data.batch_size=4", f"output_dir={run}", "ckpt_path=last", f"trainer.max_steps={stopped + 2}"]
    assert run_script("train", *more, cwd=tmp_path).code == 0
    longer = [*options, "data.batch_size=4", "output_dir=longer", f"trainer.max_steps={stopped + 2}"]
    assert run_script("train", *longer, cwd=tmp_path).code == 0
    expected, together = scalars(tmp_path / "longer"), scalars(run)
    for step in range(1, stopped + 3):
        assert together[step] == pytest.approx(expected[step], rel=3e-2), step  # see above


def test_two_processes_paint_each_photograph_in_the_style_that_one_would(options, photos, tmp_path):
    pictures = sorted(photos.iterdir())
    many = ["style=many", f"style.images=[{pictures[2]},{pictures[3]},{pictures[4]}]", "trainer.max_steps=3"]
    answer = run_script("train", *options, "data.batch_size=4", *many, "output_dir=one", cwd=tmp_path)
    assert answer.code == 0, answer.err
    job = Job([str(PROJECT / "scripts/train.py"), *options, *TWO[:-1], *many, "output_dir=two"], tmp_path)
    code, _, err = job.end()
    assert code == 0, err
    expected, together = scalars(tmp_path / "one"), scalars(tmp_path / "two")
    assert sorted(together) == [1, 2, 3]
    assert together == pytest.approx(expected, rel=3e-4)


def test_a_process_that_dies_ends_the_job_which_is_gone_on_with(options, alone, tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
    job = Job([*torchrun, str(PROJECT / "scripts/train.py"), *options, *TWO, "save_every=1"], tmp_path)
    job.wait_for(tmp_path, "outputs/mosaic/*/previews/step_000004.png")
    killed = time.monotonic()
    os.kill(job.rank(1), signal.SIGKILL)
    code, _, err = job.end()
    assert code != 0 and time.monotonic() - killed < 120
    assert "another process of this training does not answer" in err or "SIGKILL" in err  # ours, or torchrun's
    assert "ckpt_path=last" in err or "Signal 9" in err
    (run,) = (tmp_path / "outputs" / "mosaic").iterdir()
    saved = torch.load(run / "last.ckpt", weights_only=True)
    assert saved["global_step"] >= 2 and saved["PhotoDataModule"]["photographs"] == 4 * saved["global_step"]
    steps = saved["global_step"] + 1
    more = [*options, "data.batch_size=4", f"output_dir={run}", "ckpt_path=last", f"trainer.max_steps={steps}"]
    assert run_script("train", *more, cwd=tmp_path).code == 0
    if steps <= 8:
        assert scalars(run)[steps] == pytest.approx(scalars(alone)[steps], rel=1e-2)


def test_what_a_lost_process_looks_like():
    gloo = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4321"
    assert lost_process(RuntimeError(gloo))
    assert lost_process(torch.distributed.DistBackendError("NCCL error"))
    assert not lost_process(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not lost_process(ValueError(gloo))


def test_one_process_shares_with_nobody():
    assert shared(["b", "a"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("environment", "first"),
    [({}, True), ({"NODE_RANK": "0"}, True), ({"NODE_RANK": "1"}, False)],
    ids=["alone", "first machine", "second machine"],
)
def test_who_is_first(monkeypatch, environment, first):
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is first
