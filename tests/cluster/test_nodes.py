"""A cluster of two and three nodes on this machine: killed, joined by another, left by its driver."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image

from fastnst.cluster.session import import_ray
from fastnst.images.tensors import to_bytes, to_tensor
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Stylizer
from tests.conftest import start_script

pytestmark = pytest.mark.cluster

PICTURES = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.ckpt"
    save_model(path, TransformerNetwork(width=4, residual_blocks=1), {})
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory, photos) -> Path:
    """Photographs that take some tenths of a second each, one of them broken."""
    folder = tmp_path_factory.mktemp("source")
    big = Image.open(photos / "photo0.png").resize((1600, 1200))
    big.save(folder / "0.jpg")
    for number in range(1, PICTURES):
        (folder / f"{number}.jpg").hardlink_to(folder / "0.jpg")
    (folder / "7.jpg").unlink()
    (folder / "7.jpg").write_bytes(b"broken")
    return folder


@pytest.fixture
def cluster(tmp_path):
    """A head without cores, where the driver is; workers are added by the test."""
    import_ray()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100_000_000})
    cluster.add = lambda: cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    yield cluster
    cluster.shutdown()


def command(cluster, model, source, target) -> list[object]:
    return [
        *("--address", cluster.address, "--model", model, "--input", source, "--output", target),
        *("--device", "cpu", "--batch", 4, "--cores", 1, "--format", "jpg"),
    ]


def pictures(target: Path) -> int:
    return len(list(target.glob("[0-9]*.jpg")))


def wait_for(target: Path, count: int) -> None:
    end = time.monotonic() + 100
    while pictures(target) < count:
        assert time.monotonic() < end, f"{pictures(target)} of {count} pictures"
        time.sleep(0.05)


def check(target: Path, source: Path, model: Path) -> None:
    """Every picture exactly once, all of them whole and the right ones, and nothing else."""
    rows = pyarrow.parquet.read_table(target / "_manifest.parquet").to_pylist()
    assert [row["source"] for row in rows] == sorted(str(path) for path in source.iterdir())
    assert [Path(row["source"]).name for row in rows if row["error"]] == ["7.jpg"]
    assert pictures(target) == PICTURES - 1
    expected = target / "expected.jpg"
    stylized = Stylizer(load_model(model), "cpu")(to_tensor(Image.open(source / "0.jpg")))
    Image.fromarray(to_bytes(stylized).permute(1, 2, 0).numpy()).save(expected, quality=95, subsampling=0)
    for path in target.glob("[0-9]*.jpg"):
        assert Image.open(path).tobytes() == Image.open(expected).tobytes()
    left = {path.name for path in target.rglob("*") if path.is_file() and not path.name.endswith(".jpg")}
    assert {name for name in left if not name.startswith(".")} == {"_manifest.parquet", "settings.json"}


def kill_workers(node) -> int:
    """Those that paint on a node; how many there were."""
    raylet = node.all_processes["raylet"][0].process.pid
    killed = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet and b"PaintingActor" in (folder / "cmdline").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)
                killed += 1
    return killed


def test_workers_and_nodes_die_and_join(cluster, model, source, tmp_path):
    """Of two nodes one is killed in the middle, another joins, the other's worker is killed, and then that node."""
    nodes = [cluster.add(), cluster.add()]
    target = tmp_path / "out"
    run = start_script("stylize_many", *command(cluster, model, source, target), cwd=tmp_path)
    try:
        wait_for(target, 6)
        cluster.remove_node(nodes[0], allow_graceful=False)
        wait_for(target, 10)
        assert kill_workers(nodes[1]) == 1
        wait_for(target, 14)
        cluster.add()
        wait_for(target, 18)
        cluster.remove_node(nodes[1], allow_graceful=False)
        out, err = run.communicate(timeout=120)
    finally:
        run.kill()
    assert run.returncode == 1 and f"{PICTURES - 1} painted" in out, (out, err)
    check(target, source, model)


def test_the_driver_dies(cluster, model, source, tmp_path):
    """And a worker with it; the same command paints the rest."""
    cluster.add()
    target = tmp_path / "out"
    run = start_script("stylize_many", *command(cluster, model, source, target), cwd=tmp_path)
    try:
        wait_for(target, 8)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    finally:
        run.kill()
    time.sleep(2)  # the cluster ends what the driver has begun
    before = pictures(target)
    assert 8 <= before < PICTURES - 1
    again = start_script("stylize_many", *command(cluster, model, source, target), cwd=tmp_path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 1 and " were there already" in out, (out, err)
    check(target, source, model)
