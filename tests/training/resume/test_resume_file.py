"""Resume files from strangers, of later versions, and of earlier ones."""

import copy
import os
import resource
import shutil

import pytest
import pytorch_lightning as pl
import torch

from fastnst.errors import LONGEST_LINE, InputError, one_line
from fastnst.networks import build_network
from fastnst.training.module import StyleTransferModule
from fastnst.training.resume.checkpoint_io import WholeFiles
from fastnst.training.resume.resume_file import FORMAT, FORMAT_VERSION, NewerFormat, read_resume_file
from fastnst.training.resume.resumption import find_resume_point
from tests.conftest import load, run_script, same, weights
from tests.hostile_files import hostile_checkpoints
from tests.test_fixtures import FIXTURES

OF_FIXTURES = ["network.arguments.width=2", "network.arguments.residual_blocks=0"]


def find(path, settings=None, width=4, blocks=1):
    """As scripts/train.py asks, for the network of the small trainings."""
    network = {"name": "transformer", "arguments": {"width": width, "residual_blocks": blocks}}
    module = StyleTransferModule(build_network(**network), None, steps=6)
    settings = settings or {"optimizer": "adam", "network": network}
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    return find_resume_point(path, "mosaic", "", module, settings, trainer)


@pytest.fixture(scope="module")
def good(trained):
    content = load(trained / "last.ckpt")
    del content["callbacks"]["RunFiles"]["picture"]
    del content["callbacks"]["RunFiles"]["settings"]
    return content


@pytest.fixture(scope="module")
def hostile(trained, tmp_path_factory):
    return hostile_checkpoints(trained / "last.ckpt", tmp_path_factory.mktemp("hostile"), part="callbacks")


def test_hostile_resume_files(hostile, recwarn):
    assert len(hostile) == 24
    folder = next(iter(hostile.values())).parent
    here, before = sorted(os.listdir(folder)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in hostile.values():
        for read in (find, WholeFiles().load_checkpoint):
            with pytest.raises(InputError) as caught:
                read(path)
            line = one_line(caught.value)
            assert line.startswith(f"{path} is not a last.ckpt that a training wrote, or damaged (")
            assert len(line) < LONGEST_LINE and line.isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert sorted(os.listdir(folder)) == here and "ran" not in here
    assert not recwarn.list


@pytest.mark.parametrize("what", ["code", "2^40 elements", "zip bomb", "an old pickle"])
def test_hostile_resume_files_with_the_real_program(train, hostile, tmp_path, what):
    line = train(f"ckpt_path='{hostile[what]}'", "output_dir=run").error()
    assert "is not a last.ckpt that a training wrote, or damaged" in line
    assert os.listdir(tmp_path) == [] and not (hostile[what].parent / "ran").exists()


def put(*path, value):
    """Replaces what stands at ``path``."""

    def change(content):
        inner = content
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

    return change


PROGRESS = ("loops", "fit_loop", "epoch_loop.batch_progress")
ADAM = ("optimizer_states", 0, "state", 0)
GROUP = ("optimizer_states", 0, "param_groups", 0)
GUARD = ("callbacks", "NonFiniteGuard")
DEEP: list = []
for _ in range(100):
    DEEP = [DEEP]
HOSTILE_STATES = {
    "no loops": put("loops", value={}),
    "a text for loops": put("loops", "fit_loop", value="x"),
    "a text for a count": put(*PROGRESS, "total", "ready", value="6"),
    "2^40 steps": put(*PROGRESS, "total", "ready", value=2**40),
    "less than no steps": put(*PROGRESS, "current", "ready", value=-1),
    "progress without its parts": put(*PROGRESS, value={}),
    "progress with another method": put(*PROGRESS, "total", "reset", value=3),
    "two places in the data": put("loops", "fit_loop", "state_dict", value={"combined_loader": [{}, {}]}),
    "two optimisers": put("optimizer_states", value=[{"state": {}, "param_groups": []}] * 2),
    "no groups": put("optimizer_states", 0, "param_groups", value=[]),
    "another parameter": put("optimizer_states", 0, "state", 10**6, value={}),
    "moments of another shape": put(*ADAM, "exp_avg", value=torch.zeros(3)),
    "moments that are a list": put(*ADAM, "exp_avg", value=[1]),
    "less than no steps of Adam": put(*ADAM, "step", value=torch.tensor(-1.0)),
    "betas of 1": put(*GROUP, "betas", value=(1.0, 1.0)),
    "betas that are none": put(*GROUP, "betas", value="x"),
    "a text for fused": put(*GROUP, "fused", value="x"),
    "a schedule with another method": put("lr_schedulers", 0, "step", value=1),
    "a schedule with functions": put("lr_schedulers", 0, "lr_lambdas", value=[{"x": 1}]),
    "no last epoch": put("lr_schedulers", 0, "last_epoch", value=None),
    "a version that is none": put("pytorch-lightning_version", value="x"),
    "a version of long ago": put("pytorch-lightning_version", value="0.1"),
    "a step that is a text": put("global_step", value="6"),
    "a huge step": put("global_step", value=10**400),
    "no epoch": put("epoch", value=None),
    "skipped that is a list": put(*GUARD, "skipped", value=[]),
    "halved below zero": put(*GUARD, "halvings", value=-1000),
    "good weights that are none": put(*GUARD, "kept", value={"step": 1}),
    "good weights of another shape": put(*GUARD, "kept", "network", "to_rgb.bias", value=torch.zeros(4)),
    "a good optimiser that is none": put(*GUARD, "kept", "optimizer", value={"state": [], "param_groups": {}}),
    "paths that are none": put("callbacks", "SkippedPhotos", "paths", value=[1]),
    "a callback with a hostile name": put("callbacks", "\x1b[2J", value={}),
    "deep settings": put("callbacks", "RunFiles", "settings", value={"x": DEEP}),
    "settings with a tensor": put("callbacks", "RunFiles", "settings", value={"x": torch.zeros(1)}),
    "a text for a network": put("callbacks", "RunFiles", "settings", value={"network": "x"}),
    "changes that are none": put("callbacks", "RunFiles", "changes", value=[1]),
    "weights that are none": put("state_dict", "network.to_rgb.bias", value="x"),
    "weights without a name": put("state_dict", 3, value=torch.zeros(1)),
    "photographs that are none": put("PhotoDataModule", value={"photographs": "x", "step": 6}),
    "photographs of another step": put("PhotoDataModule", value={"photographs": 6, "step": 2**40}),
    "another format": put("format", value="x"),
    "a version below 1": put("version", value=0),
    "a version that is a list": put("version", value=[]),
}


@pytest.mark.parametrize("what", HOSTILE_STATES)
def test_hostile_states(what, good, tmp_path):
    content = copy.deepcopy(good)
    HOSTILE_STATES[what](content)
    torch.save(content, tmp_path / "bad.ckpt")
    with pytest.raises(InputError) as caught:
        find(tmp_path / "bad.ckpt")
    line = one_line(caught.value)
    assert "bad.ckpt is not a last.ckpt" in line or "bad.ckpt cannot be resumed from" in line
    assert len(line) < LONGEST_LINE


def test_a_good_one_is_taken(good, tmp_path):
    torch.save(good, tmp_path / "good.ckpt")
    assert find(tmp_path / "good.ckpt").step == 6
    assert (good["format"], good["version"]) == (FORMAT, FORMAT_VERSION)


def test_what_a_stranger_wrote_cannot_steer_the_terminal(good, tmp_path):
    network = {"name": "transformer", "arguments": {"width": 4, "residual_blocks": 1}}
    good = copy.deepcopy(good)
    good["callbacks"]["RunFiles"]["settings"] = {"network": network, "seed": "\x1b[2J"}
    torch.save(good, tmp_path / "good.ckpt")
    settings = {"optimizer": "adam", "network": network, "seed": 0}
    line = find(tmp_path / "good.ckpt", settings).describe(settings)
    assert line.endswith("changed since: seed \\x1b[2J -> 0.")


def test_a_newer_format_is_refused_and_not_passed_over(good, tmp_path):
    """Else the steps since the last save of an older program would be trained again."""
    torch.save({**good, "version": FORMAT_VERSION + 1}, tmp_path / "last.ckpt")
    torch.save(good, tmp_path / "previous.ckpt")
    with pytest.raises(NewerFormat, match=r"last.ckpt has resume format 2, .* reads up to 1: install a newer fastnst"):
        find(tmp_path / "last.ckpt")
    (tmp_path / "last.ckpt").write_bytes(b"damaged")
    assert find(tmp_path / "last.ckpt").path == tmp_path / "previous.ckpt"


@pytest.mark.parametrize("name", ["last_v1_first.ckpt", "last_v1.ckpt"])
def test_earlier_resume_files_go_on(train, tmp_path, name):
    """Two steps at a learning rate of nothing: weights, optimiser and schedule are those of the file, two steps on."""
    assert {path.name for path in FIXTURES.glob("last_*")} == {"last_v1_first.ckpt", "last_v1.ckpt"}
    run = tmp_path / "run"
    run.mkdir()
    shutil.copyfile(FIXTURES / name, run / "last.ckpt")
    answer = train(
        *OF_FIXTURES, "trainer.max_steps=4", "learning_rate=1e-12", "output_dir=run", "ckpt_path=last",
    )  # fmt: skip
    assert answer.code == 0 and answer.err == ""
    assert "Resuming from step 2 of run/last.ckpt" in answer.out and "4 of 4 steps" in answer.out
    before, after = load(FIXTURES / name), load(run / "last.ckpt")
    assert before["global_step"] == 2 and after["global_step"] == 4
    for parameter, value in before["state_dict"].items():
        assert torch.allclose(after["state_dict"][parameter], value, rtol=0, atol=1e-9)
    moments = [content["optimizer_states"][0]["state"][0] for content in (before, after)]
    assert [each["step"].item() for each in moments] == [2, 4]
    assert after["lr_schedulers"][0]["last_epoch"] == 4


def test_every_format_has_a_file():
    found = [load(path) for path in sorted(FIXTURES.glob("last_*.ckpt"))]
    assert {content.get("version") for content in found} == {None, *range(1, FORMAT_VERSION + 1)}
    assert [content.get("format") for content in found] == [FORMAT, None]


def test_going_on_with_muon(small, tmp_path):
    """Whose state is another one than that of Adam."""
    options = [*small, "optimizer=muon", "output_dir=run"]
    assert run_script("train", *options, cwd=tmp_path).code == 0
    on = run_script("train", *options, "trainer.max_steps=4", "ckpt_path=last", cwd=tmp_path)
    assert on.code == 0, on.err
    whole = run_script("train", *options, "trainer.max_steps=4", "output_dir=whole", cwd=tmp_path)
    assert whole.code == 0 and same(weights(tmp_path / "run"), weights(tmp_path / "whole"))
    assert read_resume_file(tmp_path / "run" / "last.ckpt")["global_step"] == 4
