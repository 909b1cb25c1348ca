"""What anybody can run on hardware that nobody here has."""

import json

import pytest
import torch

from fastnst.commands import device_parts
from fastnst.commands.device_parts import PARTS, Part
from tests.conftest import Answer, run_script


@pytest.fixture
def check(tmp_path):
    def run(*arguments: object) -> Answer:
        return run_script("check_device", "--device", "cpu", "--size", 32, *arguments, cwd=tmp_path)

    return run


def test_the_cpu_agrees_with_itself(check, tmp_path):
    """Compiling takes too long for a test; that each other part is there and is compared, says the table."""
    parts = [part for part in PARTS if part != "compile"]
    assert len(parts) == 7
    answer = check("--parts", *parts, "--json", "answer.json")
    assert answer.code == 0, answer.out
    table = {line.split()[0]: line for line in answer.out.splitlines() if line.split() and line.split()[0] in PARTS}
    assert list(table) == parts and answer.out.endswith("All that could be tried agrees with the CPU.\n")
    for what in (
        "system: ",
        "processor: ",
        "versions: fastnst ",
        f"torch {torch.__version__.split('+')[0]}",
        "cores: ",
    ):
        assert what in answer.out
    told = json.loads((tmp_path / "answer.json").read_text())
    outcomes = told["parts"]
    assert told["size"] == 32 and "processor" in told["machine"] and list(outcomes) == parts
    assert outcomes.pop("waiting")["verdict"] == "left out" and "waiting: left out: only CUDA" in answer.out
    for part, outcome in outcomes.items():
        assert outcome["verdict"] == "agrees" and outcome["difference"] <= PARTS[part].allowed and outcome["seconds"]
    assert 0 < outcomes["picture"]["difference"] < 1e-5  # other convolutions, and no copy of the same numbers


def test_what_differs_or_fails_is_a_row_and_not_the_end(check, monkeypatch):
    def broken(device, side):
        raise RuntimeError("CUDA error: an illegal memory\naccess was encountered")

    one = torch.ones(4)
    parts = {
        "first": Part(lambda side: one, broken, 1e-2),
        "second": Part(lambda side: one, lambda device, side: one * 1.02, 1e-2),
        "third": Part(lambda side: one, lambda device, side: one * torch.nan, 1e-2),
        "fourth": Part(lambda side: one, lambda device, side: one * 1.005, 1e-2),
    }
    monkeypatch.setattr(device_parts, "PARTS", parts)
    answer = check()
    assert answer.code == 1 and "Traceback" not in answer.err
    rows = {
        line.split()[0]: line.split()[-1] for line in answer.out.splitlines() if line.strip().startswith(tuple(parts))
    }
    assert "first: FAILED: RuntimeError: CUDA error: an illegal memory access was encountered" in answer.out
    assert answer.out.endswith("first, second, third: not as on the CPU.\n")
    assert (rows["second"], rows["third"], rows["fourth"]) == ("DIFFERS", "DIFFERS", "agrees")


def test_a_gpu_that_is_not_there_and_other_mistakes_are_one_line(check, tmp_path):
    assert "device=mps" in run_script("check_device", "--device", "mps", cwd=tmp_path).err.splitlines()[-1]
    (tmp_path / "kept.json").write_text("{}")
    assert "--overwrite" in check("--json", "kept.json").error()
    assert "--size=31" in check("--size", 31).error()
    answer = check("--parts", "pictures")
    assert answer.code == 2 and "expected some of picture, tiles" in answer.err
