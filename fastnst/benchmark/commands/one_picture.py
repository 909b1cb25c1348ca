"""Seconds and memory of one picture: our engines, the network of pytorch/examples in PyTorch and ONNX Runtime."""

from __future__ import annotations

import argparse
import io
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastnst.benchmark.commands.objective import square_photo
from fastnst.benchmark.instruments.against import load_against
from fastnst.benchmark.instruments.machine import ceilings, ceilings_line, count_flops
from fastnst.benchmark.instruments.peers import ExamplesNetwork
from fastnst.benchmark.instruments.race import race, race_plot, race_table
from fastnst.data.sources import sample_photos
from fastnst.errors import InputError
from fastnst.models.model_file import Model, find_model, load_model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Stylizer

EAGER, RUNTIME = "pytorch/examples", "pytorch/examples in ONNX Runtime"
ENGINES = ("auto", "plain", "channels_last", "bfloat16", "compile", "onnxruntime", "openvino")
"""Ways of running our model: as the Stylizer does by default; the network as written; then what else could be done."""

FRONT_DOOR = {"THP_MEM_ALLOC_ENABLE": "1"}
"""What ``scripts/stylize.py`` and ``scripts/demo.py`` set for torch."""

Prepare = Callable[[int], tuple[Callable[[], object], dict[str, Any]]]


def picture_of(size: int) -> Tensor:
    """(1, 3, size, size): the middle of a sample photograph."""
    return square_photo(sample_photos()[0], size)[None].contiguous()


def prepare_peer(device: torch.device, name: str, against: str | None = None, runtime: bool = False) -> Prepare:
    """The network of pytorch/examples, or somebody else's: RGB in 0..255, as theirs are."""
    network = (ExamplesNetwork() if against is None else load_against(against, "build_network")()).eval().to(device)
    session = onnx_session(network) if runtime else None

    def prepare(size: int) -> tuple[Callable[[], object], dict[str, Any]]:
        x = 255 * picture_of(size)
        if session is not None:
            given = {session.get_inputs()[0].name: x.numpy()}
            return lambda: session.run(None, given), {}
        return partial(no_grad, network, x.to(device)), {}

    return prepare


def prepare_ours(device: torch.device, name: str, engine: str, model: str) -> Prepare:
    """A model file by one of :data:`ENGINES`; tells by how many of 255 levels it differs from ``plain``."""
    loaded = load_model(find_model(model))
    network = loaded.network.to(device)
    plain = Stylizer(Model(network, loaded.card, None), device, engine="plain")
    paint = painter(engine, network, device)

    def prepare(size: int) -> tuple[Callable[[], object], dict[str, Any]]:
        picture = picture_of(size)
        told = {}
        if size <= 512:  # larger ones show the same
            told["levels"] = 255 * (paint(picture)[0] - plain(picture[0])).abs().max().item()
        return lambda: paint(picture), told

    return prepare


def painter(engine: str, network: TransformerNetwork, device: torch.device) -> Callable[[Tensor], Tensor]:
    """(1, 3, H, W) on the CPU to the same, clamped to [0, 1]."""
    if engine in ("auto", "plain"):
        stylizer = Stylizer(Model(network, {}, None), device, engine=engine)
        return lambda picture: stylizer(picture[0])[None]
    if engine in ("onnxruntime", "openvino"):
        from fastnst.models.onnx_graph import network_to_onnx

        content = network_to_onnx(network).SerializeToString()
        if engine == "onnxruntime":
            session = session_of(content)
            return lambda picture: torch.from_numpy(session.run(None, {"picture": picture.numpy()})[0])
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        compiled = core.compile_model(core.read_model(io.BytesIO(content)), "CPU", settings)
        return lambda picture: torch.from_numpy(compiled(picture.numpy())[0].copy())
    fast = network
    if engine in ("channels_last", "bfloat16", "compile"):
        fast = fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    call: Callable[[Tensor], Tensor] = torch.compile(fast.forward, dynamic=False) if engine == "compile" else fast
    dtype = torch.bfloat16 if engine == "bfloat16" else torch.float32

    def run(picture: Tensor) -> Tensor:
        x = picture.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return no_grad(call, x).float().clamp(0, 1).cpu()

    return run


@torch.inference_mode()
def no_grad(call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return call(x)


def onnx_session(network: nn.Module) -> Any:
    """A PyTorch network in ONNX Runtime, through torch's own exporter, height and width free."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        file = Path(folder, "network.onnx")
        torch.onnx.export(
            network, (torch.rand(1, 3, 64, 64),), file, opset_version=17, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {2: "height", 3: "width"}},
        )  # fmt: skip
        return session_of(file.read_bytes())


def session_of(content: bytes) -> Any:
    """ONNX Runtime at its default settings, but for as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def choose_engines(given: list[str] | None, device: torch.device) -> list[str]:
    """Those asked for, or what is installed and keeps the pixels.

    Raises:
        InputError: no such engine, or it is not installed.
    """
    needs = {"onnxruntime": "onnxruntime", "openvino": "openvino"}
    if given is None:
        usual = ["auto", "plain", "channels_last"]
        return usual if device.type != "cpu" or find_spec("onnxruntime") is None else [*usual, "onnxruntime"]
    for engine in given:
        if engine not in ENGINES:
            raise InputError(f"--engines {engine}: expected some of {', '.join(ENGINES)}.")
        if engine in needs and find_spec(needs[engine]) is None:
            raise InputError(f"--engines {engine}: the package {needs[engine]} is not installed: pip install it.")
    return given


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py stylize``: print the table; the figures, and a plot of seconds against size."""
    model = str(find_model(options.model))
    load_model(model)  # what is none is refused now
    here = __name__
    contenders: dict[str, tuple[str, dict[str, Any]]] = {EAGER: (f"{here}:prepare_peer", {})}
    if device.type == "cpu" and find_spec("onnxruntime") is not None and find_spec("onnx") is not None:
        contenders[RUNTIME] = (f"{here}:prepare_peer", {"runtime": True})
    if options.against is not None:
        load_against(options.against, "build_network")
        contenders[options.against] = (f"{here}:prepare_peer", {"against": options.against})
    peers = list(contenders)
    for engine in choose_engines(options.engines, device):
        contenders[f"fastnst, {engine}"] = (f"{here}:prepare_ours", {"engine": engine, "model": model})
    ceiling = ceilings(device, options.repeats)
    print(ceilings_line(ceiling), flush=True)
    rows = race(contenders, options.sizes, device, options.repeats, {"fastnst, auto": FRONT_DOOR})
    with torch.device("meta"):
        reference = ExamplesNetwork()
        flops = {size: count_flops(partial(no_grad, reference, torch.rand(1, 3, size, size))) for size in options.sizes}
    print(race_table(rows, peers, flops))
    worst = {row["name"]: row["levels"] for row in rows if "levels" in row}
    print("Most that a pixel differs from the network as written, of 255 levels: "
          + ", ".join(f"{name.split(', ')[1]} {levels:.2g}" for name, levels in worst.items()) + ".")  # fmt: skip
    answer = {"model": model, "ceilings": ceiling, "flops": flops, "rows": rows}
    return answer, race_plot(f"Seconds for one picture on {device}", rows)
