"""benchmark.py train and stylize: contenders in turn, other people's code, what is counted and what is compared."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fastnst.benchmark.commands import one_picture, train_step
from fastnst.benchmark.instruments import machine
from fastnst.benchmark.instruments.against import load_against
from fastnst.benchmark.instruments.machine import ceilings, count_flops, describe
from fastnst.benchmark.instruments.race import race_table
from fastnst.benchmark.instruments.timing import interleaved
from fastnst.benchmark.instruments.worker import Worker
from fastnst.errors import InputError
from fastnst.models.model_file import save_model
from fastnst.networks import TransformerNetwork, build_network
from tests.conftest import run_script

CPU = torch.device("cpu")


def test_calls_take_turns_and_the_order_turns():
    order = []
    timings = interleaved({name: lambda name=name: order.append(name) for name in "abc"}, CPU, repeats=2, warm_up=1)
    assert "".join(order) == "abc" + "bca" + "cab"
    for timing in timings.values():
        assert len(timing.seconds) == 2 and timing.low <= timing.median <= timing.high


def test_flops_by_hand():
    convolution = torch.nn.Conv2d(3, 8, 5, bias=False)
    assert count_flops(lambda: convolution(torch.rand(2, 3, 12, 10))) == 2 * 2 * (8 * 6) * (3 * 25 * 8)
    size = 64  # the network of the paper: 153,792 multiplications for each pixel, forward; see the docs
    network = build_network("transformer", {})
    counted = count_flops(lambda: one_picture.no_grad(network, torch.rand(1, 3, size, size)))
    per_pixel = 7776 + 4608 + 4608 + 92160 + 18432 + 18432 + 7776
    assert counted == 2 * per_pixel * size**2


def test_a_step_needs_as_many_operations_as_its_parts():
    """Forward and backward of the network are three forwards, less the gradient of the photograph that nobody needs."""
    size, batch = 32, 2
    forward = 2 * (7776 + 4608 + 4608 + 92160 + 18432 + 18432 + 7776) * size**2
    network = 3 * forward - 2 * 7776 * size**2
    vgg = 0
    for places, channels in (
        (1, (3, 64, 64)),
        (4, (64, 128, 128)),
        (16, (128, 256, 256, 256)),
        (64, (256,) + (512,) * 3),
    ):
        for inside, outside in itertools.pairwise(channels):
            vgg += 2 * 9 * inside * outside * size**2 // places
    to_relu2_2 = 3 * 64 + 64 * 64 + (64 * 128 + 128 * 128) // 4
    content = 2 * 9 * (to_relu2_2 + (128 * 256 + 256 * 256 + 256 * 256) // 16) * size**2
    grams = sum(2 * c * c * size**2 // places * 2 for c, places in ((64, 1), (128, 4), (256, 16), (512, 64)))
    assert train_step.step_flops(size, batch, 32) == batch * (network + 2 * vgg + content + grams)


def test_ceilings_and_versions(monkeypatch):
    for there, more in ((True, {"matmul_bf16", "convolution_bf16"}), (False, set())):  # emulated, it takes minutes
        monkeypatch.setattr(machine, "computes_in_bfloat16", lambda kind, there=there: there)
        found = ceilings(CPU, repeats=1, scale=16)
        assert set(found) == {"matmul", "convolution", "copy"} | more
        assert all(value > 0 for value in found.values())
    told = describe(CPU)
    assert torch.__version__.startswith(told["versions"]["torch"]) and told["threads"] == torch.get_num_threads()


def test_table_by_hand():
    rows = [
        {"size": 8, "name": "peer", "seconds": 4.0, "low": 3.0, "high": 5.0, "cpu": 6.0, "peak": 2_000_000},
        {"size": 8, "name": "ours", "seconds": 2.0, "low": 2.0, "high": 2.5, "cpu": 2.0, "peak": None},
    ]
    _, peer, ours = race_table(rows, ["peer"], {8: 8 * 10**9}).splitlines()
    assert peer.split() == ["8", "peer", "4", "3-5", "6", "2", "2.0", "1.00", "(1.00)"]
    assert ours.split() == ["8", "ours", "2", "2-2.5", "2", "4.0", "2.00", "(3.00)"]


def test_a_worker_measures_its_own_memory_and_tells_what_went_wrong(tmp_path, monkeypatch):
    (tmp_path / "contender_here.py").write_text(
        "import torch\n"
        "def build(device, name):\n"
        "    def prepare(size):\n"
        "        if size == 13: raise ValueError('unlucky\\nsize')\n"
        "        print('noise on standard output')\n"
        "        return (lambda: torch.ones(size * 2**18)), {'told': size}\n"
        "    return prepare\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Worker("contender_here:build", "cpu", {"name": "it"}) as worker:
        assert worker.prepare(64) == {"told": 64}
        run = worker.run()
        assert run["seconds"] > 0 and run["cpu"] >= 0
        peak = worker.peak()
        assert peak is None or 60e6 < peak < 200e6  # 64 MiB of ones
        with pytest.raises(InputError, match=r"^it: ValueError: unlucky$"):
            worker.prepare(13)


def test_a_worker_ends_with_its_parent(tmp_path):
    """Also in the middle of a call, when the parent has no time to say so."""
    (tmp_path / "contender_long.py").write_text(
        "import os, torch\n"
        "from pathlib import Path\n"
        "def build(device):\n"
        "    def long():\n"
        f"        Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "        while True: torch.rand(300, 300) @ torch.rand(300, 300)\n"
        "    return lambda size: (long, {})\n"
    )
    program = "from fastnst.benchmark.instruments.worker import Worker\n"
    program += "Worker('contender_long:build', 'cpu', {}).prepare(1)\n"
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    parent = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    try:
        worker = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    finally:
        parent.terminate()
        parent.wait()
    try:
        wait_for(lambda: not is_running(worker), 20)
    finally:
        if is_running(worker):
            os.kill(worker, signal.SIGKILL)


def wait_for(answer, seconds=100):
    """What ``answer`` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (given := answer()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return given


def is_running(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_bfloat16_is_left_out_where_it_would_be_emulated(monkeypatch, capsys):
    for there, expected in (
        (True, ["float32", "float32, without NNPACK", "channels_last", "bfloat16", "bfloat16, channels_last"]),
        (False, ["float32", "float32, without NNPACK", "channels_last"]),
    ):
        monkeypatch.setattr(train_step, "computes_in_bfloat16", lambda kind, there=there: there)
        assert train_step.choose_variants(None, CPU) == expected
        said = capsys.readouterr().out
        assert said == "" if there else "left out: bfloat16; bfloat16, channels_last" in said
        assert train_step.choose_variants(["bfloat16"], CPU) == ["bfloat16"]  # asked for


def test_the_curves_are_told_apart():
    falling = [10.0 / n for n in range(1, 41)]
    assert train_step.distance(falling, falling) == 0
    assert train_step.distance(falling, [2 * one for one in falling]) == pytest.approx(0.6931, abs=1e-4)
    assert train_step.tail(falling) == pytest.approx(sum(falling[30:]) / 10)


def test_our_step_learns_and_is_that_of_the_training(project):
    style = train_step.style_picture("mosaic")[:, :64, :64]
    (content,) = train_step.batches(None, 32, 2)
    torch.manual_seed(0)
    step = train_step.our_step(style, CPU, width=4)
    losses = [step(content).item() for _ in range(4)]
    assert losses[-1] < losses[0]
    for how in ({"nnpack": False}, {"channels_last": True}, {"bfloat16": True}):
        torch.manual_seed(0)
        assert train_step.our_step(style, CPU, width=4, **how)(content).item() == pytest.approx(losses[0], rel=0.03)


def test_the_peers_step_descends():
    step = train_step.examples_step(train_step.style_picture("mosaic")[:, :48, :48], CPU, 1)
    (content,) = train_step.batches(None, 32, 1)
    assert step(content) > step(content)


@pytest.mark.parametrize("engine", [one for one in one_picture.ENGINES if one not in ("compile", "openvino")])
def test_engines_paint_the_same(engine):
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 4, "residual_blocks": 1, "grain": 0.02}).eval()
    picture = torch.rand(1, 3, 35, 42)
    with torch.inference_mode():
        expected = network(picture).clamp(0, 1)
    difference = (one_picture.painter(engine, network, CPU)(picture) - expected).abs().max().item()
    assert difference < (0.1 if engine == "bfloat16" else 1 / 255)


@pytest.fixture
def theirs(tmp_path):
    (tmp_path / "their_neighbour.py").write_text("from torch import nn\n")
    path = tmp_path / "theirs.py"
    path.write_text(
        "from their_neighbour import nn\n"
        "class Net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 3, 3, padding=1)\n"
        "def build_step(style, images):\n    return lambda: images.sum()\n"
    )
    yield path
    sys.path[:] = [one for one in sys.path if one != str(tmp_path)]


def test_other_peoples_code(theirs):
    assert load_against(f"{theirs}:Net", "build_network")()(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    assert load_against("torch.nn:Identity", "build_network")
    for given, said in (
        (str(theirs), "has no build_network"), (f"{theirs}:Nope", "has no Nope"),
        ("nosuchmodule", "cannot be imported"),
        ("gone.py", "there is no file gone.py"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            load_against(given, "build_network")


def test_stylize_from_the_shell(tmp_path, theirs):
    save_model(tmp_path / "small.ckpt", TransformerNetwork(4, 1), {})
    answer = run_script(
        "benchmark", "stylize", "--model", "small.ckpt", "--device", "cpu", "--sizes", 32, 48, "--repeats", 1,
        "--engines", "auto", "--against", f"{theirs}:Net", "--json", "figures.json", "--plot", "plot.png", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {row["name"] for row in figures["rows"]} >= {"pytorch/examples", f"{theirs}:Net", "fastnst, auto"}
    assert all(row["levels"] < 1 for row in figures["rows"] if "levels" in row)
    assert figures["machine"]["versions"]["torch"] and figures["ceilings"]["copy"] > 0
    assert "of 255 levels" in answer.out and (tmp_path / "plot.png").exists()


def test_train_from_the_shell(tmp_path, photos):
    answer = run_script(
        "benchmark", "train", "--photos", photos, "--device", "cpu", "--sizes", 32, "--batch", 1, "--width", 2,
        "--repeats", 1, "--variants", "channels_last", "--json", "figures.json", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["pytorch/examples", "fastnst, channels_last"]


def test_curves_from_the_shell(tmp_path, photos):
    answer = run_script(
        "benchmark", "train", "--photos", photos, "--device", "cpu", "--sizes", 32, "--batch", 1, "--width", 2,
        "--curves", 4, "--seeds", 3, "--variants", "channels_last", "--plot", "curves.png", "--json", "curves.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "channels_last" in answer.out and "within the spread of 3 seeds" in answer.out
    assert (tmp_path / "curves.png").exists()
    told = json.loads((tmp_path / "curves.json").read_text())
    seeds = [told["curves"][f"float32, seed {seed}"] for seed in range(3)]
    apart = [train_step.distance(seeds[one], seeds[other]) for one, other in ((0, 1), (0, 2), (1, 2))]
    assert told["spread"] == pytest.approx(max(apart)) and min(apart) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stylize", "--engines", "magic"), "--engines magic: expected some of auto"),
        (("stylize", "--against", "nosuchmodule"), "nosuchmodule cannot be imported"),
        (("stylize", "--sizes", 8), "--sizes=8"),
        (("train", "--variants", "magic"), "--variants 'magic'"),
        (("train", "--style", "magic"), "--style magic: expected one of"),
        (("train", "--batch", 0), "--batch=0"),
    ],
)
def test_wrong_calls(tmp_path, arguments, said):
    assert said in run_script("benchmark", *arguments, "--device", "cpu", cwd=tmp_path).error()
