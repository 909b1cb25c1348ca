"""Files that earlier versions wrote keep loading and keep painting the same. One is added with each new format."""

import shutil
from pathlib import Path

import pytest
import torch

from fastnst.checkpoints import FORMAT_VERSION, load_model
from fastnst.errors import InputError
from fastnst.training.files import RESUME_VERSION, check_resumable
from tests.conftest import run_script

FIXTURES = Path(__file__).parent / "fixtures"

PAINTED = {
    "model_v1_first.ckpt": (0.39161, 0.22635, 0.42276, 0.29618),
    "model_v1.ckpt": (0.38352, 0.18452, 0.39751, 0.52843),
    "model_v1.onnx": (0.38352, 0.18452, 0.39751, 0.52843),
    "model_v1.safetensors": (0.38352, 0.18452, 0.39751, 0.52843),
}
"""Mean, deviation and two values of what each made of a ramp when it was written. The first one's card, of
November 2026, knows neither grain nor the kind of output."""


@pytest.mark.parametrize("name", PAINTED)
def test_earlier_model_files(name):
    assert {path.name for path in FIXTURES.glob("model_*")} == PAINTED.keys()
    model = load_model(FIXTURES / name)
    with torch.inference_mode():
        painted = model.network(torch.linspace(0, 1, 3 * 16 * 20).reshape(1, 3, 16, 20))
    seen = (painted.mean().item(), painted.std().item(), painted[0, 0, 3, 4].item(), painted[0, 2, 15, 19].item())
    assert seen == pytest.approx(PAINTED[name], abs=2e-4)
    assert model.card["style"] == {"name": "fixture", "size": 64} and model.card["losses"] == {"total": 1.5}


def test_there_is_a_file_of_every_format():
    versions = {torch.load(path, weights_only=True)["version"] for path in FIXTURES.glob("model_*.ckpt")}
    assert versions == set(range(1, FORMAT_VERSION + 1))
    resumed = {
        torch.load(path, weights_only=True)["callbacks"]["RunFiles"].get("version", 1)
        for path in FIXTURES.glob("last_*")
    }
    assert resumed == set(range(1, RESUME_VERSION + 1))


@pytest.mark.parametrize("name", ["last_v1_first.ckpt"])
def test_earlier_resume_files_go_on(name, small, tmp_path):
    assert {path.name for path in FIXTURES.glob("last_*")} == {"last_v1_first.ckpt"}
    shutil.copy(FIXTURES / name, tmp_path / "last.ckpt")
    answer = run_script(
        "train", *small, "network.arguments.width=2", "network.arguments.residual_blocks=0", "trainer.max_steps=4",
        "ckpt_path=last.ckpt", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "4 of 4 steps" in answer.out


def test_a_newer_resume_file_is_refused(tmp_path):
    content = torch.load(FIXTURES / "last_v1_first.ckpt", weights_only=True)
    content["callbacks"]["RunFiles"]["version"] = RESUME_VERSION + 1
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match=f"has resume format {RESUME_VERSION + 1}.*install a newer fastnst"):
        check_resumable(tmp_path / "last.ckpt", "mosaic", torch.nn.Identity())
