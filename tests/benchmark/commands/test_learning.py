"""Time to quality: what is read off the curves, and the whole of it on small pictures."""

import json

import pytest

from fastnst.benchmark.commands import learning
from fastnst.benchmark.commands.learning import Point, first_reaching
from tests.conftest import run_script

CURVE = [Point(10, 1, 8.0), Point(20, 2, 4.0), Point(30, 3, 6.0), Point(40, 4, 2.0)]


@pytest.mark.parametrize(("objective", "seconds"), [(9, 10), (6, 15), (4, 20), (3, 37.5), (2, 40), (1.9, None)])
def test_first_reaching(objective, seconds):
    assert first_reaching(CURVE, objective) == seconds


def test_both_curves(tmp_path, monkeypatch):
    for name, value in {"HELD_OUT": 2, "STYLE_SIZE": 64, "PEER_SIZE": 64}.items():
        monkeypatch.setattr(learning, name, value)
    settings = ["trainer.max_steps=2", "data.image_size=32", "style.size=64", "preview_size=32"]
    answer = run_script(
        "benchmark", "learning", "--peer-minutes", "0.01", "--device", "cpu", "--json", "a.json", "--plot", "a.png",
        *(f"--override={one}" for one in [*settings, "save_every=1", "network.arguments.width=4"]), cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["fastnst"][-1]["steps"] == 2 and found["pytorch/examples"][0]["steps"] == 0
    assert all(point["objective"] > 0 for name in ("fastnst", "pytorch/examples") for point in found[name])
    assert (tmp_path / "a.png").exists()


def test_no_time_for_the_peer(tmp_path):
    answer = run_script("benchmark", "learning", "--peer-minutes", "0", cwd=tmp_path)
    assert answer.code == 2 and "expected more than 0" in answer.err
