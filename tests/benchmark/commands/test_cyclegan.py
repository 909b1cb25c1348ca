"""benchmark.py cyclegan: both trainings on small pictures, kept, measured as benchmark.py paintings does."""

import json
from pathlib import Path

import pytest

from fastnst.benchmark.commands import cyclegan
from fastnst.features.fidelity import FidelityMeter
from fastnst.images.reading import read_image
from fastnst.models.model_file import load_model
from fastnst.styles import picture_path
from tests.conftest import run_script

SMALL = [
    "data.image_size=32", "data.batch_size=2", "data.workers=0", "data.grow_to=null", "preview_size=32",
    "trainer.max_steps=2", "network.arguments.width=4", "network.arguments.residual_blocks=1",
]  # fmt: skip


class Train:
    """`fastnst train` in this process, in the place of one of its own, which takes seconds of imports."""

    def __init__(self, command, env):
        assert command[1:4] == ["-m", "fastnst", "train"]
        self.returncode = run_script("train", *command[4:], cwd=Path.cwd()).code

    def wait(self):
        pass


@pytest.fixture
def compare(tmp_path, photos, monkeypatch):
    monkeypatch.setattr(cyclegan, "Popen", Train)
    monkeypatch.setattr(cyclegan, "HELD_OUT_PAINTINGS", 2)
    return lambda *arguments: run_script(
        "benchmark", "cyclegan", "--device", "cpu", "--photos", photos, "--held-out", photos, "--count", 2, "--style",
        "candy", "--paintings", 2, "--size", 64, "--crop", 64, "--width", 4, "--blocks", 1, "--minutes", 0.02,
        *(f"--override={one}" for one in SMALL), *arguments, cwd=tmp_path,
    )  # fmt: skip


def test_both_are_trained_once_and_compared(compare, tmp_path, photos, monkeypatch):
    answer = compare("--json", "a.json", "--sheet", "a.png", "--plot", "losses.png")
    assert answer.code == 0, answer.err
    told = json.loads((tmp_path / "a.json").read_text())
    rows = {row["name"]: row for row in told["rows"]}
    assert list(rows) == ["the photographs", "CycleGAN", "fastnst", "the painter, unseen"]
    assert rows["CycleGAN"]["seconds"] >= 1.2 and rows["CycleGAN"]["steps"] >= 1 and rows["fastnst"]["steps"] == 2
    kept = tmp_path / "outputs" / "benchmark" / "cyclegan"
    (model,) = kept.glob("fastnst_*.ckpt")
    assert rows["fastnst"]["weights"] == sum(one.numel() for one in load_model(model).network.parameters())
    assert len(list((kept / "paintings").iterdir())) == 2 + 2
    assert read_image(tmp_path / "a.png").shape[2] > 4 * 256 and (tmp_path / "losses.png").exists()

    meter = FidelityMeter()  # a second route to a figure
    painting = meter.describe(cyclegan.read_picture(picture_path("candy"), 64, ""))
    own = [meter.describe(cyclegan.read_picture(path, 64, "")) for path in sorted(photos.iterdir())[:2]]
    expected = sum(meter.compare(one, one, painting).style for one in own) / 2
    assert rows["the photographs"]["style"] == pytest.approx(expected, rel=1e-4)
    assert rows["the photographs"]["content"] == pytest.approx(1, abs=1e-4)

    monkeypatch.setattr(cyclegan, "paint", lambda *_: pytest.fail("painted again"))
    monkeypatch.setattr(cyclegan, "Popen", lambda *_, **__: pytest.fail("trained again"))
    answer = compare("--json", "b.json")
    assert answer.code == 0, answer.err
    again = json.loads((tmp_path / "b.json").read_text())
    assert again["rows"] == told["rows"] and again["curve"] == told["curve"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--style", "nope"), "no style picture is called 'nope'"),
        (("--crop", 128), "--crop 128: expected at most --size, 64"),
        (("--crop", 32), "--crop=32: expected a whole number, 64 or more"),
        (("--paintings", 0), "--paintings=0"),
        (("--width", 0), "--width=0"),
        (("--minutes", 0), "--minutes 0.0: expected more than 0"),
        (("--held-out", "gone"), "gone is not there"),
    ],
)
def test_wrong_calls(compare, monkeypatch, arguments, said):
    monkeypatch.setattr(cyclegan, "paint", lambda *_: pytest.fail("minutes later"))
    assert said in compare(*arguments).error()


def test_a_training_of_ours_that_fails_is_said(compare, monkeypatch):
    answer = compare("--override", "no.such=1")
    assert answer.code == 2 and answer.err.endswith(" ended with code 2.\n") and "Traceback" not in answer.err
