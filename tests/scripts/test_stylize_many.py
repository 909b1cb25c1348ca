"""scripts/stylize_many.py, with Ray on this machine."""

import socket
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from fastnst.models.model_file import save_model
from fastnst.networks import TransformerNetwork
from tests.conftest import run_script
from tests.models.test_styles import write


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.ckpt"
    save_model(path, TransformerNetwork(width=4, residual_blocks=1), {})
    return path


def rows(folder: Path) -> list[dict]:
    return pyarrow.parquet.read_table(folder / "_manifest.parquet").to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.fixture
def source(photos, tmp_path) -> Path:
    """Eight photographs, in a folder and in another below it."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for number, photo in enumerate(sorted(photos.iterdir())):
        (folder / ("sub" if number % 2 else "") / photo.name).write_bytes(photo.read_bytes())
    return folder


def test_a_folder_as_on_one_machine(source, tmp_path):
    """In two styles the same files as scripts/stylize.py makes, byte for byte; a broken picture is named."""
    model = write(tmp_path / "all.ckpt")
    options = ["--model", model, "--device", "cpu", "--strength", "0.7", "--max-side", "50", "--input", source]
    styles = {"candy": "candy", "ink+sea": "ink=0.4,sea=0.6"}
    for name, style in styles.items():
        one = run_script("stylize", *options, "--style", style, "--output", Path("one", name), cwd=tmp_path)
        assert one.code == 0, one
    (source / "broken.png").write_bytes(b"nothing")
    chosen = [word for style in styles.values() for word in ("--style", style)]
    answer = run_script("stylize_many", *options, *chosen, "--output", "many", "--workers", "1", cwd=tmp_path)
    assert answer.code == 1 and "16 painted: " in answer.out and "Ray's dashboard: " in answer.out, answer
    *failures, summary = answer.err.splitlines()
    assert [failure.startswith(f"{source}/broken.png FAILED: ") for failure in failures] == [True, True]
    assert summary.startswith("2 failed")
    assert contents(tmp_path / "many") == contents(tmp_path / "one") and len(contents(tmp_path / "many")) == 16
    found = rows(tmp_path / "many")
    assert len(found) == len({(row["source"], row["model"]) for row in found}) == 18
    assert {Path(row["source"]).name for row in found if row["error"]} == {"broken.png"}


@pytest.mark.cluster
def test_again_only_what_is_missing(model, source, photos, tmp_path):
    many = ["--model", model, "--device", "cpu", "--input", source, "--output", "many", "--cores", "1"]
    (source / "broken.png").write_bytes(b"nothing")
    assert run_script("stylize_many", *many, cwd=tmp_path).code == 1
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "many").rglob("*.png")}
    (tmp_path / "many/photo0.png").unlink()
    (source / "broken.png").write_bytes((photos / "photo0.png").read_bytes())
    answer = run_script("stylize_many", *many, cwd=tmp_path)
    assert answer.code == 0 and answer.err == "" and "2 painted, 7 were there already" in answer.out
    assert len(rows(tmp_path / "many")) == 9 and not any(row["error"] for row in rows(tmp_path / "many"))
    for path, before in times.items():
        assert (path.stat().st_mtime_ns == before) == (path.name != "photo0.png")
    other = run_script("stylize_many", *many, "--strength", "0.2", cwd=tmp_path)
    assert "was painted with another strength" in other.error()


def refused(model, photos, tmp_path, options) -> str:
    options = [model if option == "SAME" else option for option in options]
    given = ["--model", model, "--input", photos, "--output", tmp_path / "out", *options]
    return run_script("stylize_many", *given, cwd=tmp_path).error()


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
        (["--input", "unheard://bucket"], "unheard://bucket cannot be reached"),
        (["--style", "candy"], "this model has only one: leave the name out"),
        (["--model", "SAME", "--style", "candy"], "--style picks from one --model"),
        (["--style-from", "candy", "--style-to", "ink"], "--style-from is of one machine only"),
        (["--tile", "-1"], "expected a side in pixels"),
        (["--unknown"], "unrecognized arguments: --unknown; see --help"),
        (["--as", "zip"], "invalid choice: 'zip'"),
    ],
)
def test_what_cannot_be_done(model, photos, tmp_path, options, message):
    assert message in refused(model, photos, tmp_path, options)


def test_which_of_many_styles(photos, tmp_path):
    model = write(tmp_path / "all.ckpt")
    assert "has 3 styles: pick one of candy, ink, sea" in refused(model, photos, tmp_path, [])
    assert "no style 'oil'" in refused(model, photos, tmp_path, ["--style", "oil"])
    twice = ["--style", "candy=0.4,ink=0.6", "--style", "candy=0.5,ink=0.5"]
    assert "two of candy+ink, candy+ink have the same name" in refused(model, photos, tmp_path, twice)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "taken"], "holds 1 files that are not of such a run"),
        (["--cores", "999"], "no node has so many"),
    ],
)
def test_what_is_seen_when_ray_runs(model, photos, tmp_path, options, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/holiday.jpg").write_bytes(b"")
    assert message in refused(model, photos, tmp_path, options)


def test_an_address_that_does_not_answer(model, photos, tmp_path):
    """Told within seconds, whether it refuses or keeps silent."""
    begun = time.monotonic()
    with socket.socket() as closed, socket.socket() as silent:
        closed.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for port in (closed.getsockname()[1], silent.getsockname()[1]):
            message = refused(model, photos, tmp_path, ["--address", f"127.0.0.1:{port}"])
            assert f"--address 127.0.0.1:{port} does not answer" in message
    assert time.monotonic() - begun < 30


def test_without_ray(model, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = run_script("stylize_many", "--model", model, "--input", photos, "--output", "out", cwd=tmp_path)
    assert answer.error() == "error: many machines need Ray: install it with pip install 'fastnst[cluster]'."
