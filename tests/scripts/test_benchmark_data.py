"""scripts/benchmark.py data: what it prints and writes, not how fast anything is."""

import json

from PIL import Image

from tests.conftest import run_script


def test_rates_and_start_up(photos, tmp_path):
    answer = run_script(
        "benchmark", "data", "--photos", photos, "--size", "32", "--count", "8", "--repeats", "1", "--workers", "0",
        "--files", "1", "40", "--json", "data.json", "--plot", "data.png", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    figures = json.loads((tmp_path / "data.json").read_text())
    assert set(figures["rates"]) == {"files", "files, no draft", "cache", "shards", "pytorch/examples"}
    assert all(row["low"] <= row["cpu_seconds"] <= row["high"] for row in figures["rates"].values())
    assert [row["files"] for row in figures["start_up"]] == [1, 40]
    assert [row["opened"] for row in figures["start_up"]] == [1, 9]  # held out: none of 1, 8 of 40; and one to train on
    assert all(rates["0"] > 0 for rates in figures["loaders"].values())
    assert "pytorch/examples" in answer.out and Image.open(tmp_path / "data.png").width > 100


def test_wrong_calls(tmp_path):
    assert "--files=0" in run_script("benchmark", "data", "--files", "0", cwd=tmp_path).error()
    assert "--size=8" in run_script("benchmark", "data", "--size", "8", cwd=tmp_path).error()
