"""Faults on purpose: what befalls long trainings, done to short ones; each ends as if nothing had been, or says so."""

import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time

import numpy as np
import pytest
import torch

from fastnst.data import datamodule, loading, photos
from fastnst.models.model_file import load_model
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from fastnst.training.callbacks.stop_on_signals import StopOnSignals
from fastnst.training.module import StyleTransferModule
from fastnst.training.resume.run_folder import open_run_folder
from tests.conftest import events, load, losses, run_script, same, weights

STEPS = ["trainer.max_steps=6", "validate_every=3", "preview_every=2"]


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """The run folder of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    assert run_script("train", *small, *STEPS, "output_dir=run", cwd=folder).code == 0
    return folder / "run"


@pytest.fixture
def after_step(monkeypatch):
    """Has something done after the steps asked for, while the training runs."""

    def call(what, *steps: int) -> None:
        ordinary = SkippedPhotos.on_train_batch_end

        def and_then(self, trainer, *arguments):
            ordinary(self, trainer, *arguments)
            if not steps or trainer.global_step in steps:
                what()

        monkeypatch.setattr(SkippedPhotos, "on_train_batch_end", and_then)

    return call


def end(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    """Every curve in TensorBoard; what depends on the machine's speed only by its steps."""
    found = events(folder)
    return {
        tag: [(event.step, 0.0 if "second" in tag else event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
        if not tag.startswith(("final/", "hp_metric"))
    }


# Signals


@pytest.mark.parametrize(
    ("moment", "step"), [("forwards", 4), ("backwards", 4), ("held-out photographs", 3), ("backwards", 1)]
)
def test_what_a_signal_breaks_off_is_done_again(train, whole, tmp_path, monkeypatch, moment, step):
    look, begin, hold = StopOnSignals._look, StopOnSignals.on_train_batch_start, StopOnSignals.on_validation_start
    begun = []

    def and_note(what, ordinary):
        return lambda *arguments: (begun.append(what), ordinary(*arguments))

    def or_end(self, *arguments):
        way = "forwards" if len(arguments) == 2 else "backwards"  # a layer and what it is given, or a gradient
        now = way if begun[-1] == "step" else begun[-1]
        if self._in_vain and (now, begun.count("step")) == (moment, step):
            end()
        look(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignals, "on_train_batch_start", and_note("step", begin))
        patch.setattr(StopOnSignals, "on_validation_start", and_note("held-out photographs", hold))
        patch.setattr(StopOnSignals, "_look", or_end)
        first = train(*STEPS, "output_dir=run")
    assert first.code == 128 + signal.SIGTERM and "Traceback" not in first.err, first
    done = step if moment == "held-out photographs" else step - 1
    if done:
        assert load(tmp_path / "run" / "last.ckpt")["global_step"] == done
    else:
        assert "before the first step was done" in first.out and not list((tmp_path / "run").glob("*.ckpt"))
    second = train(*STEPS, "output_dir=run", "ckpt_path=auto")
    assert second.code == 0, second.err
    assert same(weights(tmp_path / "run"), weights(whole))
    assert scalars(tmp_path / "run") == scalars(whole)


def test_a_run_that_is_broken_off_again_and_again_goes_on(train, whole, tmp_path, monkeypatch):
    """Each time in its second step, on the way back."""
    look, begin = StopOnSignals._look, StopOnSignals.on_train_batch_start
    for _ in range(3):
        begun = []

        def and_note(self, *arguments, begun=begun):
            begun.append("step")
            begin(self, *arguments)

        def or_end(self, *arguments, begun=begun):
            if self._in_vain and len(arguments) != 2 and len(begun) == 2:
                end()
            look(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(StopOnSignals, "on_train_batch_start", and_note)
            patch.setattr(StopOnSignals, "_look", or_end)
            assert train(*STEPS, "output_dir=run", "ckpt_path=auto").code == 128 + signal.SIGTERM
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == 3
    assert train(*STEPS, "output_dir=run", "ckpt_path=auto").code == 0
    assert same(weights(tmp_path / "run"), weights(whole))


# Disks


@pytest.fixture
def full_disk():
    """From its call on files end after 20 kB, which the system says like a full disk: by an error of the write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk(train, whole, tmp_path, full_disk, after_step, monkeypatch):
    """The last whole file stays, training continues; what could not be saved at the end is trained again."""
    with monkeypatch.context():
        after_step(full_disk, 3)
        answer = train(*STEPS, "save_every=1", "output_dir=run")
    assert answer.code == 2 and "Traceback" not in answer.err
    *warnings, last = answer.err.splitlines()
    problem = "run/last.ckpt cannot be written (File too large): make room."
    assert f"warning: step 4: {problem} The training goes on" in answer.err
    assert all(line.startswith("warning: ") for line in warnings)
    assert last.startswith(f"error: {problem} The steps since the last save are")
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] in (2, 3)
    assert not list((tmp_path / "run").glob(".*.part*"))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    monkeypatch.undo()
    assert train(*STEPS, "save_every=1", "output_dir=run", "ckpt_path=last").code == 0
    assert same(weights(tmp_path / "run"), weights(whole))
    assert losses(tmp_path / "run") == losses(whole)


def test_full_disk_when_stylizing(stylize, tmp_path, full_disk):
    full_disk()
    assert "out.png cannot be written" in stylize("--model", "mosaic", "--output", tmp_path / "out.png").error()
    assert list(tmp_path.iterdir()) == []


def test_slow_disk(train, whole, tmp_path, monkeypatch):
    ordinary = photos.open_image

    def slow(*arguments, **options):
        time.sleep(0.1)
        return ordinary(*arguments, **options)

    monkeypatch.setattr(photos, "open_image", slow)
    assert train(*STEPS, "output_dir=run").code == 0
    assert same(weights(tmp_path / "run"), weights(whole))


@pytest.mark.parametrize("damage", ["cut", "one bit", "gone"])
def test_a_damaged_last_ckpt(train, whole, tmp_path, damage):
    assert train(*STEPS, "trainer.max_steps=4", "save_every=3", "output_dir=run").code == 0
    last = tmp_path / "run" / "last.ckpt"
    content = bytearray(last.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 1
        last.write_bytes(content)
    elif damage == "cut":
        last.write_bytes(content[: len(content) // 2])
    else:
        last.unlink()
    answer = train(*STEPS, "save_every=3", "output_dir=run", "ckpt_path=last")
    assert answer.code == 0, answer.err
    assert "Resuming from step 3 of run/previous.ckpt; changed since: trainer.max_steps 4 -> 6." in answer.out
    if damage != "gone":
        (warning,) = answer.err.splitlines()
        assert warning.startswith("warning: run/last.ckpt is not a last.ckpt that a training wrote, or damaged (")
        assert warning.endswith("Resuming from the one before it.")
        assert (tmp_path / "run" / "damaged.ckpt").is_file()
    assert same(weights(tmp_path / "run"), weights(whole))
    assert scalars(tmp_path / "run") == scalars(whole)


# Photographs


def test_photographs_that_disappear_or_break(train, small, photos, tmp_path, after_step, monkeypatch):
    folder = tmp_path / "photographs"
    shutil.copytree(photos, folder)
    held_out = datamodule.PhotoDataModule("folder", str(folder), 32, steps=1)
    held_out.setup()
    gone, broken, *_ = held_out.training_paths

    def lose():
        gone.unlink()
        broken.write_bytes(broken.read_bytes()[:100])

    options = ["trainer.max_steps=9", "validate_every=4", f"data.root={folder}", "output_dir=run"]
    with monkeypatch.context() as patch:
        after_step(lose, 2)
        after_step(end, 8)
        first = train(*options)
        assert first.code == 128 + signal.SIGTERM, first.err
        patch.undo()
    monkeypatch.undo()
    for path in (gone, broken):
        assert f"warning: photograph skipped, it cannot be read: {path}\n" in first.err
    assert (tmp_path / "run" / "skipped_photos.txt").read_text().splitlines().count(str(gone)) == 1


def test_held_out_photographs_may_disappear(tmp_path, photos):
    names = sorted(photos.iterdir())[:2]
    from fastnst.data.photos import CentredPhotos

    shutil.copy(names[0], tmp_path / "a.png")
    held_out = CentredPhotos([tmp_path / "gone.png", tmp_path / "a.png"], 32)
    assert held_out[0]["skipped"] == [str(tmp_path / "gone.png")]
    assert torch.equal(held_out[0]["image"], held_out[1]["image"])


@pytest.mark.parametrize("workers", [0, 1])
def test_no_photograph_is_left(train, photos, tmp_path, after_step, workers):
    """What a loading process could not do is said in one line, and the steps done are saved."""
    folder = tmp_path / "photographs"
    shutil.copytree(photos, folder)

    def lose():
        for path in folder.iterdir():
            path.unlink(missing_ok=True)

    after_step(lose, 2)
    options = [f"data.root={folder}", f"data.workers={workers}", "trainer.max_steps=40", "validate_every=40"]
    answer = train(*options, "output_dir=run")
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith("error: none of the 7 photographs can be read; the last one: ")
    assert all(line.startswith(("warning: ", "error: ")) and len(line) < 400 for line in answer.err.splitlines())
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] >= 2


# Processes


def test_a_loading_process_is_killed(train, whole, tmp_path, after_step):
    def kill():
        for process in multiprocessing.active_children():
            process.kill()

    after_step(kill, 2)
    answer = train(*STEPS, "data.workers=1", "output_dir=run")
    assert answer.code == 0, answer.err
    assert answer.err == "warning: a loading process was killed; its photographs are loaded again by a new one.\n"
    assert same(weights(tmp_path / "run"), weights(whole)) and losses(tmp_path / "run") == losses(whole)


def test_loading_processes_are_killed_again_and_again(train, monkeypatch):
    main = os.getpid()

    def die(*arguments, **options):
        assert os.getpid() != main
        end(signal.SIGKILL)

    monkeypatch.setattr(photos, "_cut_square", die)
    monkeypatch.setattr(loading, "RESTARTS", 0)  # each time takes torch five seconds to notice
    answer = train("data.workers=1", "output_dir=run")
    assert "loading processes were killed 1 times in a row" in answer.error()
    assert "lower data.workers (now 1) or data.image_size" in answer.error()


def test_two_trainings_in_one_folder(train, tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()

    def hold():
        lock = open_run_folder(tmp_path / "run", resuming=False)
        ready.set()
        time.sleep(600)
        lock.close()

    other = context.Process(target=hold)
    other.start()
    try:
        assert ready.wait(300)
        refused = train("output_dir=run").error()
        assert f"output_dir=run is being trained in by process {other.pid} on " in refused
        assert {path.name for path in (tmp_path / "run").iterdir()} == {".lock"}
        other.kill()  # as it was not told to end it keeps nothing
        other.join()
        assert train("output_dir=run").code == 0
    finally:
        other.kill()


# Memory


class Exhausted:
    """Raises what torch raises on a GPU; allocates, on the CPU, what no machine has."""

    @staticmethod
    def gpu():
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    @staticmethod
    def cpu():
        torch.empty(1 << 50)


@pytest.mark.parametrize("where", ["gpu", "cpu"])
def test_out_of_memory(train, whole, tmp_path, monkeypatch, where):
    ordinary, calls = StyleTransferModule.stylize, itertools.count(1)

    def exhausting(self, content, styles):
        if next(calls) == 4:
            getattr(Exhausted, where)()
        return ordinary(self, content, styles)

    with monkeypatch.context() as patch:
        patch.setattr(StyleTransferModule, "stylize", exhausting)
        answer = train(*STEPS, "output_dir=run")
    assert answer.error().startswith("error: out of memory with data.batch_size=2 and data.image_size=32: lower one of")
    assert train(*STEPS, "output_dir=run", "ckpt_path=last").code == 0
    assert same(weights(tmp_path / "run"), weights(whole)) and losses(tmp_path / "run") == losses(whole)


# Clocks and chance


def test_the_clock_jumps(train, whole, tmp_path, after_step, monkeypatch):
    """Days ahead until a signal ends the run, then right again; during the rest hours back and forth."""
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 500_000)
    with monkeypatch.context() as patch:
        after_step(end, 4)
        assert train(*STEPS, "save_every=2", "output_dir=run").code == 128 + signal.SIGTERM
        patch.undo()
    jumps = itertools.cycle([0, -40_000, 3, 40_000])
    monkeypatch.undo()
    monkeypatch.setattr(time, "time", lambda: true() + next(jumps))
    assert train(*STEPS, "save_every=2", "output_dir=run", "ckpt_path=last").code == 0
    monkeypatch.undo()
    assert same(weights(tmp_path / "run"), weights(whole))
    assert scalars(tmp_path / "run") == scalars(whole)
    assert 0 < load_model(tmp_path / "run" / "model.ckpt").card["seconds"] < 600


def test_no_chance_but_the_seed(train, whole, tmp_path, after_step):
    """There are no random states to save: a run does not look at those that everybody may change."""

    def shake():
        torch.manual_seed(time.time_ns() % 2**40)
        np.random.seed(time.time_ns() % 2**32)
        random.seed()

    after_step(shake)
    assert train(*STEPS, "output_dir=run").code == 0
    assert same(weights(tmp_path / "run"), weights(whole)) and losses(tmp_path / "run") == losses(whole)


def test_a_cpu_run_goes_on_with_the_settings_of_a_gpu(train, whole, tmp_path):
    """channels_last computes the same in another order, bfloat16 keeps 8 bits of a number."""
    for name, options, tolerance in (
        ("plain", [], 0),
        ("fast", ["trainer.channels_last=true"], 1e-3),
        ("short", ["trainer.channels_last=true", "trainer.precision=bf16-mixed"], 5e-2),
    ):
        answer = train(f"ckpt_path={whole / 'last.ckpt'}", "trainer.max_steps=9", *options, f"output_dir={name}")
        assert answer.code == 0, answer.err
        values = [value for _, value in losses(tmp_path / name)]
        assert len(values) == 3
        assert values == pytest.approx([value for _, value in losses(tmp_path / "plain")], rel=tolerance)
