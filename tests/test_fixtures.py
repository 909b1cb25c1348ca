"""Files that earlier versions wrote keep loading and keep painting the same. One is added with each new format."""

from pathlib import Path

import pytest
import torch

from fastnst.models.model_file import FORMAT_VERSION, load_model

FIXTURES = Path(__file__).parent / "fixtures"

PAINTED = {
    "model_v1_first.ckpt": (0.39161, 0.22635, 0.42276, 0.29618),
    "model_v1.ckpt": (0.38352, 0.18452, 0.39751, 0.52843),
    "model_v1_half.ckpt": (0.38356, 0.18449, 0.39804, 0.52808),
    "model_v1.safetensors": (0.38352, 0.18452, 0.39751, 0.52843),
}
"""Mean, deviation and two values of what each made of a ramp when it was written. The first one's card, of
November 2026, knows neither grain nor the kind of output. The half one's values are what the version before made of it,
which wrote float32 only."""


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
