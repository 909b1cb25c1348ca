"""Thousands of pictures, and an object store: `pytest -m cluster`, with the extra `s3`."""

import io
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from fastnst.models.model_file import save_model
from fastnst.networks import TransformerNetwork
from tests.conftest import run_script

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.ckpt"
    save_model(path, TransformerNetwork(width=4, residual_blocks=1), {})
    return path


def tiny(number: int) -> bytes:
    """A picture of 8 x 8 pixels, no two alike."""
    data = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def folder_of(where: Path, count: int, broken: int = 0) -> Path:
    """So many pictures in folders of 100; every so often one that is cut off, empty, or text."""
    for number in range(count):
        file = where / f"{number // 100:03}" / f"{number:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        data = tiny(number)
        which, rest = divmod(number, count // broken) if broken else (0, 1)
        if rest == 0 and which < broken:
            data = (data[: len(data) // 2], b"", b"text")[which % 3]
        file.write_bytes(data)
    return where


def stylize_many(model_file, source, target, *options, cwd):
    return run_script(
        "stylize_many",
        "--model",
        model_file,
        "--input",
        source,
        "--output",
        target,
        "--device",
        "cpu",
        *options,
        cwd=cwd,
    )


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}


def rows(target: Path) -> list[dict]:
    return pyarrow.parquet.read_table(target / "_manifest.parquet").to_pylist()


def test_ten_thousand(model_file, tmp_path):
    source, target = folder_of(tmp_path / "in", 10_000), tmp_path / "out"
    answer = stylize_many(model_file, source, target, "--batch", 250, cwd=tmp_path)
    assert answer.code == 0 and "10,000 painted" in answer.out, answer
    found = rows(target)
    assert len(found) == len({row["source"] for row in found}) == 10_000
    assert sum(1 for _ in target.rglob("*.png")) == 10_000


@pytest.mark.parametrize("kind", ["files", "shards", "parquet"])
def test_a_thousand_of_which_thirty_are_broken(model_file, tmp_path, kind):
    source, target = folder_of(tmp_path / "in", 1000, broken=30), tmp_path / "out"
    answer = stylize_many(model_file, source, target, "--as", kind, cwd=tmp_path)
    broken = [row for row in rows(target) if row["error"]]
    assert answer.code == 1 and len(rows(target)) == 1000
    reasons = Counter(
        next(word for word in ("empty", "cannot be read", "not a picture") if word in row["error"]) for row in broken
    )
    assert reasons == {"empty": 10, "cannot be read": 10, "not a picture": 10}
    assert len(answer.err.splitlines()) == 30 + 1


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A server on this machine that speaks S3 (moto), and two buckets in it."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1", AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )  # fmt: skip
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem(use_listings_cache=False)
    for bucket in ("photographs", "paintings"):
        store.mkdir(bucket)
    yield store
    server.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("kind", ["files", "shards", "parquet"])
def test_from_bucket_to_bucket(s3, model_file, tmp_path, kind):
    local, here = folder_of(tmp_path / "in", 50, broken=5), tmp_path / "here"
    s3.put(str(local), f"photographs/{kind}", recursive=True)
    assert stylize_many(model_file, local, here, cwd=tmp_path).code == 1
    options = ["--as", kind, "--batch", 10]
    source, target = f"s3://photographs/{kind}", f"s3://paintings/{kind}"
    answer = stylize_many(model_file, source, target, *options, cwd=tmp_path)
    assert answer.code == 1 and "45 painted" in answer.out, answer
    s3.get(target, str(tmp_path / "there"), recursive=True)
    found = rows(tmp_path / "there")
    assert len(found) == 50 and sum(row["error"] is None for row in found) == 45
    if kind == "files":
        there = {
            path.relative_to(tmp_path / "there"): path.read_bytes() for path in (tmp_path / "there").rglob("*.png")
        }
        assert there == {path.relative_to(here): path.read_bytes() for path in here.rglob("*.png")} and len(there) == 45

    gone = next(row["output"] for row in found if row["error"] is None).split("/part-")[0]
    part = gone if kind == "files" else gone.split("/")[0]
    lost = sum(str(row["output"]).startswith(part) for row in found)
    s3.rm(f"{target}/{part}")
    answer = stylize_many(model_file, source, target, *options, cwd=tmp_path)
    assert f"{lost} painted, {45 - lost} were there already" in answer.out, answer
    names = [name.removeprefix(f"paintings/{kind}/") for name in s3.find(f"paintings/{kind}")]
    assert sum(name.startswith("_run/") for name in names) == 1 and "_manifest.parquet" in names
    s3.invalidate_cache()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("s3://nowhere/x", "s3://paintings/x", "--input s3://nowhere/x: there is no such folder, file or bucket"),
        ("s3://photographs/bad", "s3://nowhere/x", "s3://nowhere/x: there is no such bucket"),
    ],
)
def test_buckets_that_do_not_exist(s3, model_file, tmp_path, source, target, message):
    s3.pipe_file("photographs/bad/a.png", tiny(0))
    assert message in stylize_many(model_file, source, target, cwd=tmp_path).error()


def test_a_store_without_credentials(s3, model_file, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    type(s3).clear_instance_cache()
    message = stylize_many(model_file, "s3://photographs/bad", "s3://paintings/x", cwd=tmp_path).error()
    assert "s3://photographs/bad cannot be reached" in message and "credentials" in message
