"""What ``check_device`` has a device compute, each with what the CPU computes in float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from fastnst.benchmark.commands.objective import square_photo
from fastnst.benchmark.commands.train_step import LAYERS, style_picture
from fastnst.benchmark.instruments.timing import wait
from fastnst.data.sources import sample_photos
from fastnst.errors import one_line
from fastnst.features import VGG, load_vgg_weights
from fastnst.images.resizing import resize_short_side
from fastnst.losses import PerceptualLoss
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Stylizer
from fastnst.training.callbacks.non_finite_guard import judge
from fastnst.training.machine.speed_up import missing_compiler
from fastnst.training.module import StyleTransferModule
from fastnst.training.steps.undoing import undo_unless

CPU = torch.device("cpu")
STEPS = 10
STYLE_SIZE = 96  # shorter side of the style picture in pixels


class Part(NamedTuple):
    """What is compared.

    Attributes:
        on_cpu: of a side in pixels, any values in one tensor.
        on_device: the same values of a device and a side.
        allowed: the length of the difference over the length of the CPU's values.
    """

    on_cpu: Callable[[int], Tensor]
    on_device: Callable[[torch.device, int], Tensor]
    allowed: float


class Outcome(NamedTuple):
    """What came of a part; ``reason`` is why it was left out or failed."""

    difference: float | None
    seconds_on_cpu: float | None
    seconds: float | None
    verdict: str
    reason: str


class LeftOut(Exception):
    """The machine or the device has not what a part is about."""


def photographs(side: int, count: int) -> Tensor:
    """(N, 3, side, side) in [0, 1]: the middles of sample photographs."""
    return torch.stack([square_photo(path, side) for path in sample_photos()[:count]])


def training(device: torch.device) -> StyleTransferModule:
    """That of ``fastnst train style=mosaic``, with a narrow network."""
    torch.manual_seed(0)
    network = TransformerNetwork(width=16, residual_blocks=2, grain=0.03)
    loss = PerceptualLoss(VGG(LAYERS, load_vgg_weights()), resize_short_side(style_picture("mosaic"), STYLE_SIZE)[None])
    module = StyleTransferModule(network, loss, STEPS, range_weight=1.0).to(device)
    module.log_dict = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    return module


def stylized(device: torch.device, side: int, tile: int | None = None) -> Tensor:
    return Stylizer("mosaic", device, tile=tile, engine="plain")(photographs(side, 1)[0])


def objective(device: torch.device, side: int) -> Tensor:
    """Its terms, of photographs as the pictures of their mirror images."""
    module, content = training(device), photographs(side, 2).to(device)
    return torch.stack([*module.loss(content.flip(3), content).weighted.values()])


def gradients(device: torch.device, side: int, bfloat16: bool = False) -> Tensor:
    """Of all weights in the first step."""
    module = training(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        loss = module.training_step(photographs(side, 2).to(device), 0)
    loss.backward()
    return torch.cat([one.grad.flatten() for one in module.network.parameters() if one.grad is not None])


def losses(device: torch.device, side: int, steps: int = STEPS, watched: bool = False) -> Tensor:
    """Of each step, taken as training does; ``watched``: where CUDA has to wait after the first, it is an error."""
    module, content, found = training(device), photographs(side, 2).to(device), []
    optimizer, alone = module.configure_optimizers()["optimizer"], SimpleNamespace(world_size=1, global_step=0)
    try:
        for step in range(steps):
            if watched and step == 1:
                torch.cuda.set_sync_debug_mode("error")
            optimizer.zero_grad()
            loss = module.training_step(content, step)
            loss.backward()
            judgement = judge(alone, module)  # type: ignore[arg-type]
            undo = undo_unless(judgement.finite[0] > 0, optimizer) if step else None
            optimizer.step()
            if undo is not None:
                undo()
            found.append(loss.detach())
    finally:
        if watched:
            torch.cuda.set_sync_debug_mode("default")
    return torch.stack(found)


def watched_losses(device: torch.device, side: int) -> Tensor:
    if device.type != "cuda":
        raise LeftOut("only CUDA tells; on the CPU tests/training/test_waiting.py counts")
    return losses(device, side, 3, watched=True)


@torch.no_grad()
def painted(device: torch.device, side: int, compiled: bool = False) -> Tensor:
    """By a network so small that compilers are soon done."""
    torch.manual_seed(0)
    network = TransformerNetwork(width=8, residual_blocks=1).to(device)
    if compiled:
        if (missing := missing_compiler(device.type == "cuda")) is not None:
            raise LeftOut(f"torch.compile needs {missing}")
        network.convolve = torch.compile(network.convolve)  # type: ignore[method-assign]
    return network(photographs(side, 1).to(device))


PARTS = {
    "picture": Part(lambda side: stylized(CPU, side), stylized, 1e-2),
    "tiles": Part(lambda side: stylized(CPU, side), lambda device, side: stylized(device, side, side // 2), 1e-2),
    "loss": Part(lambda side: objective(CPU, side), objective, 1e-2),
    "gradients": Part(lambda side: gradients(CPU, side), gradients, 3e-2),
    "bfloat16": Part(lambda side: gradients(CPU, side), lambda device, side: gradients(device, side, True), 0.5),
    "steps": Part(lambda side: losses(CPU, side), losses, 5e-2),
    "waiting": Part(lambda side: losses(CPU, side, 3), watched_losses, 5e-2),
    "compile": Part(lambda side: painted(CPU, side), lambda device, side: painted(device, side, True), 1e-2),
}
"""A picture by a shipped network, whole and in tiles; the objective's terms; its gradients, also in bfloat16; the
losses of ten steps; of three, none of which may wait; a picture by a compiled network. What is allowed is ten times
what TensorFloat-32 leaves, in which NVIDIA GPUs convolve (10 bits of mantissa: 1e-3); 3 times what bfloat16 does."""


def examine(part: Part, device: torch.device, side: int) -> Outcome:
    """Compute a part on the device, and on the CPU by torch's own convolutions; an error there is an outcome, too."""
    try:
        if device.type != "cpu":
            part.on_device(device, side)  # the first time libraries are loaded, and kernels chosen
        wait(device)
        begin = time.perf_counter()
        found = part.on_device(device, side)
        wait(device)
        seconds = time.perf_counter() - begin
        with torch.backends.nnpack.flags(enabled=False):
            begin = time.perf_counter()
            expected = part.on_cpu(side).detach().flatten()
            on_cpu = time.perf_counter() - begin
        difference = ((found.detach().cpu().float().flatten() - expected).norm() / expected.norm()).item()
    except LeftOut as error:
        return Outcome(None, None, None, "left out", str(error))
    except Exception as error:  # whatever drivers and compilers raise is what somebody wants to know
        return Outcome(None, None, None, "FAILED", one_line(f"{type(error).__name__}: {error}"))
    return Outcome(difference, on_cpu, seconds, "agrees" if difference <= part.allowed else "DIFFERS", "")
