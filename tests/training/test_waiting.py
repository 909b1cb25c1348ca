"""A step that is not shown anywhere reads nothing back from its device, so that a GPU never waits for its host."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from fastnst.features import VGG, load_vgg_weights
from fastnst.losses import PerceptualLoss
from fastnst.losses.reconstruction import ReconstructionLoss
from fastnst.networks import TransformerNetwork
from fastnst.networks.enlarging import EnlargingNetwork
from fastnst.training.callbacks.non_finite_guard import judge
from fastnst.training.module import StyleTransferModule
from fastnst.training.steps.super_resolution import SuperResolutionModule
from fastnst.training.steps.undoing import undo_unless

LAYERS = ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]

READS = {
    *("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__", "__contains__"),
    *("nonzero", "argwhere", "equal", "allclose", "masked_select", "unique", "is_nonzero", "bincount"),
}
"""Functions of tensors whose answer a host waits for."""
SENDS = {"tensor", "as_tensor", "new_tensor"}
"""And those that make tensors of a host's numbers, which a device is sent, and waited for."""
INNER = {"_local_scalar_dense", "nonzero", "equal", "masked_select", "is_nonzero", "item"}
"""The same below Python."""
DEVICE = torch.device("meta")
"""Stands for any device that is not the host: a tensor there has a shape and no values, so that none can be read."""


class Calls(TorchFunctionMode):
    """What Python code asks of tensors, but for those on the host."""

    def __init__(self, on_host: set[int]) -> None:
        super().__init__()
        self.names: list[str] = []
        self.on_host = on_host

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        kwargs = kwargs or {}
        if name in ("__getitem__", "__setitem__"):
            places = args[1] if isinstance(args[1], tuple) else args[1:2]
            waits = any(isinstance(one, list) or getattr(one, "dtype", None) is torch.bool for one in places)
        elif name in SENDS:
            waits = "device" in kwargs or name == "new_tensor"
        else:
            waits = name in READS and id(args[0]) not in self.on_host
        if waits:
            self.names.append(name)
        return function(*args, **kwargs)


class Kernels(TorchDispatchMode):
    """What torch's own functions ask below Python, but for tensors on the host."""

    def __init__(self, on_host: set[int]) -> None:
        super().__init__()
        self.names: list[str] = []
        self.on_host = on_host

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function._schema.name.split("::")[1]
        sent = name == "_to_copy" and args[0].device != result.device and not kwargs.get("non_blocking")
        if sent or (name in INNER and id(args[0]) not in self.on_host):
            self.names.append(name)
        return result


def on_host(optimizer: torch.optim.Optimizer) -> set[int]:
    """The numbers of steps of an unfused Adam, which are on the host wherever its weights are."""
    return {id(state["step"]) for state in optimizer.state.values() if "step" in state}


class Waits(pl.Callback):
    """Writes to ``waits.json`` what each step waited for."""

    def __init__(self) -> None:
        self.found: dict[int, list[str]] = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        ours = on_host(trainer.optimizers[0])
        self.modes = Calls(ours), Kernels(ours)
        for mode in self.modes:
            mode.__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        for mode in reversed(self.modes):
            mode.__exit__(None, None, None)
        self.found[trainer.global_step] = [name for mode in self.modes for name in mode.names]

    def on_train_end(self, trainer, pl_module):
        Path("waits.json").write_text(json.dumps(self.found))


MANY = ["style=many", "style.images=[{0}/photo0.png,{0}/photo1.png]"]


@pytest.mark.parametrize(
    "options",
    [
        ["optimizer=adam", "teacher=mosaic", "teacher_steps=3"],
        ["optimizer={{_target_: torch.optim.Adam, fused: true}}"],  # as for an NVIDIA GPU
        ["optimizer=muon", "schedule=one_cycle", "loss.stability_weight=1", "trainer.precision=bf16-mixed"],
        ["loss=johnson2016", "network=johnson2016", *MANY],
    ],
    ids=["adam, teacher", "fused", "muon, steady, bfloat16", "the paper's, many styles"],
)
def test_steps_that_are_not_logged_wait_for_nothing(train, tmp_path, photos, options):
    (tmp_path / "waiting.py").write_text("from tests.training.test_waiting import Waits")
    given = [option.format(photos) for option in options]
    answer = train(*given, "trainer.log_every=4", "trainer.max_steps=9", "preview_every=0", "validate_every=9",
                   "save_every=0", "+callbacks.waits._target_=waiting.Waits")  # fmt: skip
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "waits.json").read_text())
    assert list(found) == [str(step) for step in range(1, 10)]
    assert "tolist" in found["4"] and "tolist" in found["8"]  # it does see what is read
    assert [found[str(step)] for step in (2, 3, 5, 6, 7)] == [[]] * 5


def stylizing(optimizer: str | type) -> StyleTransferModule:
    """On the device, with all that a step may have."""
    with DEVICE:
        network, teacher = (TransformerNetwork(width=4, residual_blocks=1, grain=0.03, styles=n) for n in (2, None))
        given = load_vgg_weights("random")
        vgg = VGG(LAYERS, replace(given, state={name: torch.empty(one.shape) for name, one in given.state.items()}))
        loss = PerceptualLoss(vgg, torch.rand(2, 3, 32, 32), stability_weight=1.0)
        return StyleTransferModule(
            network, loss, 9, range_weight=1.0, styles=["a", "b"], teacher=teacher, optimizer=optimizer
        ).to(DEVICE)


def enlarging(optimizer: str | type) -> SuperResolutionModule:
    with DEVICE:
        loss = ReconstructionLoss(None, {}, pixel_weight=1.0, feature_weight=0.0, tv_weight=0.1)
        return SuperResolutionModule(EnlargingNetwork(4), loss, 9, optimizer=optimizer).to(DEVICE)


@pytest.mark.parametrize("optimizer", ["muon", torch.optim.AdamW])
@pytest.mark.parametrize("make", [stylizing, enlarging])
def test_what_a_step_sends_to_another_device_is_not_waited_for(make, optimizer):
    module = make(optimizer)
    module.log_dict = lambda values, **_: None
    trainer, batch = SimpleNamespace(world_size=1, global_step=3), {"images": torch.rand(2, 3, 32, 32, device=DEVICE)}
    made = module.configure_optimizers()["optimizer"]
    for _ in range(2):
        ours = on_host(made)
        with Calls(ours) as calls, Kernels(ours) as kernels:
            module.training_step(batch, 0).backward()
            judgement = judge(trainer, module)
            undo = undo_unless(judgement.finite[0] > 0, made)
            made.step()
            undo()
    assert judgement.finite.device == DEVICE and calls.names == kernels.names == []
