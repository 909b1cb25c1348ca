"""scripts/stylize_many.py, with Ray on this machine."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from fastnst.models.model_file import save_model
from fastnst.networks import TransformerNetwork
from tests.conftest import PROJECT, run_script


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.ckpt"
    save_model(path, TransformerNetwork(width=4, residual_blocks=1), {})
    return path


def rows(folder: Path) -> list[dict]:
    return pyarrow.parquet.read_table(folder / "_manifest.parquet").to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_a_folder_as_on_one_machine(model, photos, tmp_path):
    """The same files as scripts/stylize.py, byte for byte; a broken picture is named; again, only what is missing."""
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for number, photo in enumerate(sorted(photos.iterdir())):
        (source / ("sub" if number % 2 else "") / photo.name).write_bytes(photo.read_bytes())
    options = ["--model", model, "--device", "cpu", "--strength", "0.7", "--max-side", "50", "--input", source]
    assert run_script("stylize", *options, "--output", "one", cwd=tmp_path).code == 0
    (source / "broken.png").write_bytes(b"nothing")
    many = [*options, "--output", "many", "--cores", "1", "--workers", "1"]
    answer = run_script("stylize_many", *many, cwd=tmp_path)
    assert answer.code == 1 and "8 painted: " in answer.out and "Ray's dashboard: " in answer.out
    failure, summary = answer.err.splitlines()
    assert failure.startswith(f"{source}/broken.png FAILED: ") and summary.startswith("1 failed")
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert [Path(row["source"]).name for row in rows(tmp_path / "many") if row["error"]] == ["broken.png"]
    assert len(rows(tmp_path / "many")) == 9

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "many").rglob("*.png")}
    (tmp_path / "many/photo0.png").unlink()
    (source / "broken.png").write_bytes((photos / "photo0.png").read_bytes())
    answer = run_script("stylize_many", *many, cwd=tmp_path)
    assert answer.code == 0 and answer.err == "" and "2 painted, 7 were there already" in answer.out
    assert len(rows(tmp_path / "many")) == 9 and not any(row["error"] for row in rows(tmp_path / "many"))
    for path, before in times.items():
        assert (path.stat().st_mtime_ns == before) == (path.name != "photo0.png")

    assert (
        "was painted with another strength"
        in run_script("stylize_many", *many, "--strength", "0.2", cwd=tmp_path).error()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "nowhere"], "there is no such file or folder"),
        (["--sheet", "a.png"], "--sheet is of one machine only"),
        (["--info"], "--info is of one machine only"),
        (["--workers", "0"], "--workers=0: expected a whole number, 1 or more"),
        (["--once", "--mix", "1"], "--once picks one of several models and --mix joins them"),
        (["--model", "SAME"], "have the same name"),
        (["--mix", "0.3,0.7"], "2 shares for 1 models"),
        (["--format", "tga"], "expected one of png"),
        (["--strength", "7"], "expected a number from 0 to 1"),
        (["--address", "somewhere"], "expected HOST:PORT"),
        (["--address", "ray://127.0.0.1:10001"], "expected HOST:PORT"),
        (["--output", "taken"], "holds 1 files that are not of such a run"),
        (["--cores", "999"], "no node has so many"),
        (["--input", "unheard://bucket"], "unheard://bucket cannot be reached"),
    ],
)
def test_what_cannot_be_done(model, photos, tmp_path, options, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/holiday.jpg").write_bytes(b"")
    options = [model if option == "SAME" else option for option in options]
    answer = run_script(
        "stylize_many", "--model", model, "--input", photos, "--output", tmp_path / "out", *options, cwd=tmp_path
    )
    assert message in answer.error()


def test_an_address_that_does_not_answer(model, photos, tmp_path):
    """Told within seconds, whether it refuses or keeps silent."""
    begun = time.monotonic()
    with socket.socket() as closed, socket.socket() as silent:
        closed.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for port in (closed.getsockname()[1], silent.getsockname()[1]):
            answer = subprocess.run(
                [
                    *(sys.executable, PROJECT / "scripts/stylize_many.py", "--model", model, "--input", photos),
                    *("--output", tmp_path / "out", "--address", f"127.0.0.1:{port}"),
                ],
                capture_output=True, text=True, cwd=tmp_path,
            )  # fmt: skip
            assert answer.returncode == 2 and answer.stderr.count("\n") == 1, answer.stderr
            assert f"--address 127.0.0.1:{port}" in answer.stderr
    assert time.monotonic() - begun < 60


def test_without_ray(model, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = run_script("stylize_many", "--model", model, "--input", photos, "--output", "out", cwd=tmp_path)
    assert answer.error() == "error: many machines need Ray: install it with pip install 'fastnst[cluster]'."
