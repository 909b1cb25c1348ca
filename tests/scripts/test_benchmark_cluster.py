"""scripts/benchmark.py cluster: what it prints and writes, not how fast anything is."""

import json
import sys

import pytest
from PIL import Image

from fastnst.models.model_file import save_model
from fastnst.networks import TransformerNetwork
from tests.conftest import run_script


@pytest.mark.cluster
def test_overhead_and_memory(photos, tmp_path):
    save_model(tmp_path / "small.ckpt", TransformerNetwork(width=4, residual_blocks=1), {})
    answer = run_script(
        "benchmark", "cluster", "--model", tmp_path / "small.ckpt", "--photos", photos, "--count", "4",
        "--size", "32", "--workers", "1x1", "--repeats", "1", "--files", "300", "--device", "cpu",
        "--json", "c.json", "--plot", "c.png", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    figures = json.loads((tmp_path / "c.json").read_text())
    (rows,) = figures["speeds"].values()
    assert set(rows) == {"stylize.py", "1 x 1 core"} and all(row["start"] > 0 for row in rows.values())
    assert [row["files"] for row in figures["memory"]] == [300]
    assert "pictures/s" in answer.out and Image.open(tmp_path / "c.png").width > 100


def test_wrong_calls(tmp_path, monkeypatch):
    for crew in ("2", "0x1", "x", "2x-1"):
        assert (
            "expected workers and their cores"
            in run_script("benchmark", "cluster", "--workers", crew, cwd=tmp_path).error()
        )
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "fastnst[cluster]" in run_script("benchmark", "cluster", cwd=tmp_path).error()
