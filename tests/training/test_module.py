"""The training step by hand, the schedule by its known points, and that speed options change nothing but speed."""

import copy
import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.images.made_motion import MadeMotion
from fastnst.losses import PerceptualLoss
from fastnst.networks import build_network
from fastnst.training.machine import speed_up as faster
from fastnst.training.machine.speed_up import speed_up
from fastnst.training.module import StyleTransferModule
from fastnst.training.steps.training_module import one_cycle
from tests.conftest import ON_CPU

LAYERS = {"relu1_2": 1.0}


@pytest.fixture(scope="module")
def vgg():
    return VGG(list(LAYERS), load_vgg_weights())


@pytest.fixture
def build(vgg):
    def module(**options) -> StyleTransferModule:
        torch.manual_seed(0)
        style = torch.rand(1, 3, 32, 32)
        loss = PerceptualLoss(copy.deepcopy(vgg), style, LAYERS, LAYERS, tv_weight=0.1)
        network = build_network("transformer", {"width": 4, "residual_blocks": 1})
        built = StyleTransferModule(network, loss, **{"steps": 10, "range_weight": 2.0} | options)
        built.log_dict = lambda values, **_: built.logged.update(values)  # type: ignore[method-assign]
        built.logged = {}
        return built

    return module


def batch() -> dict:
    return {"images": torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)), "skipped": []}


def descend(module: StyleTransferModule, steps: int = 4, bfloat16: bool = False) -> list[float]:
    optimizer = module.configure_optimizers()["optimizer"]
    losses = []
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):  # as Lightning's bf16-mixed
            loss = module.training_step(batch(), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_training_step_by_hand(build):
    module = build()
    content = batch()["images"]
    z = module.network.preactivation(content)
    stylized = 0.5 + 150 / 255 * torch.tanh(z)
    excess = (z.abs() - 1.2).clamp(min=0).square().mean()
    objective = module.loss(stylized, content).total
    expected = objective + 2.0 * objective.item() * excess
    torch.testing.assert_close(module.training_step(batch(), 0), expected)
    logged = module.logged
    assert excess > 0
    assert logged["train/weighted/range"].item() == pytest.approx(2 * (objective * excess).item(), rel=1e-5)
    assert logged["train/total"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_range_penalty_weighs_the_same_for_every_objective(build):
    """A thousand times the weights, a thousand times the loss and its gradient, the penalty's part included."""
    gradients = []
    for factor in (1.0, 1000.0):
        module = build()
        module.loss.weights = {name: factor * weight for name, weight in module.loss.weights.items()}
        module.training_step(batch(), 0).backward()
        gradients.append(module.network.to_rgb.weight.grad)
    torch.testing.assert_close(gradients[1], 1000 * gradients[0], rtol=1e-3, atol=1e-3)


def test_validation_measures_what_is_shown(build):
    module = build()
    module.validation_step(batch(), 0)
    shown = module.network(batch()["images"]).clamp(0, 1)
    expected = module.loss(shown, batch()["images"])
    assert module.logged["held_out/total"].item() == pytest.approx(expected.total.item())
    assert module.last_objective is None  # of training alone


def test_the_loss_goes_down(build):
    losses = descend(build(), 8)
    assert losses[-1] < losses[0]


def test_one_cycle():
    assert one_cycle(0) == pytest.approx(0.04)
    assert one_cycle(0.15) == pytest.approx(1)
    assert one_cycle(0.075) == pytest.approx(0.52)  # half of the way from 0.04 to 1
    assert one_cycle(0.575) == pytest.approx(0.5)
    assert one_cycle(1) == pytest.approx(0, abs=1e-12) and one_cycle(1.5) == pytest.approx(0, abs=1e-12)
    rates = [one_cycle(step / 200) for step in range(201)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_schedule_over_a_run(build, schedule):
    module = build(schedule=schedule, learning_rate=0.01, steps=20)
    optimizers = module.configure_optimizers()
    optimizer, scheduler = optimizers["optimizer"], optimizers["lr_scheduler"]["scheduler"]
    assert optimizers["lr_scheduler"]["interval"] == "step" and isinstance(optimizer, torch.optim.Adam)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    if schedule == "constant":
        assert rates == [0.01] * 20
    else:
        assert rates == pytest.approx([0.01 * one_cycle(step / 20) for step in range(20)])
        assert rates[3] == max(rates) and math.isclose(max(rates), 0.01)


def test_a_teacher_is_imitated_first(build):
    content = batch()["images"]
    teacher = build_network("transformer", {"width": 8, "residual_blocks": 1, "grain": 0.03})
    module = build(teacher=teacher, teacher_steps=1, seed=5)
    found = module.training_step(batch(), 0)  # its step is 0
    module.teacher_steps = 0
    after = module.training_step(batch(), 0)
    origin = tuple(np.random.default_rng((5, 0)).integers(4096, size=2))
    z = module.network.preactivation(content, origin)
    difference = (0.5 + 150 / 255 * torch.tanh(z) - teacher(content, origin)).square().mean()
    excess = 2 * (z.abs() - 1.2).clamp(min=0).square().mean()
    torch.testing.assert_close(found, 100 * difference * (1 + excess))
    torch.testing.assert_close(after, module.loss(module.network.to_unit_range(z), content).total * (1 + excess))
    assert difference > 0.001 and module.logged["train/imitation"] == 0


@pytest.mark.parametrize("teacher", [None, {"width": 8}])
def test_only_the_network_is_trained_and_saved(build, teacher):
    module = build(teacher=teacher and build_network("transformer", teacher), teacher_steps=1)
    trained = {
        id(value) for group in module.configure_optimizers()["optimizer"].param_groups for value in group["params"]
    }
    assert trained == {id(value) for value in module.network.parameters()}
    module.train()
    assert not module.loss.vgg.training
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == {f"network.{name}" for name in module.network.state_dict()}
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"], strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": -1e-3}, "learning_rate=-0.001"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3'"),
        ({"range_weight": -1.0}, "range_weight=-1.0"),
        ({"schedule": "linear"}, "schedule='linear'"),
    ],
)
def test_what_is_refused(build, options, message):
    with pytest.raises(InputError, match=message):
        build(**options)


# Speed: channels_last and compile compute the same in another order, which Adam, whose first steps follow the signs of
# the gradients, makes 1e-3 of the loss in four steps; bfloat16 keeps 8 bits of a number, hence 5e-2.


def test_channels_last_changes_nothing(build):
    plain, fast = build(), build()
    names = list(fast.state_dict())
    speed_up(fast, replace(ON_CPU, channels_last=True))
    assert fast.network.residual[0].body[0].weight.is_contiguous(memory_format=torch.channels_last)
    expected, found = descend(plain), descend(fast)
    assert found[0] == pytest.approx(expected[0], rel=1e-5) and found == pytest.approx(expected, rel=1e-2)
    assert list(fast.state_dict()) == names


def test_bfloat16_agrees(build):
    plain, fast = build(), build()
    assert descend(fast, bfloat16=True) == pytest.approx(descend(plain), rel=5e-2)
    assert all(value.dtype == torch.float32 for value in fast.state_dict().values())


def test_compiling_changes_nothing(build, monkeypatch):
    """With torch's capture and differentiation of the graphs; their translation to C++ takes minutes and is torch's."""
    captured = []

    def backend(graph, inputs):
        captured.append(graph)
        return aot_eager(graph, inputs)

    aot_eager = torch._dynamo.lookup_backend("aot_eager")
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    monkeypatch.setattr(faster, "missing_compiler", lambda on_gpu: None)
    plain, fast = build(), build()
    names = list(fast.state_dict())
    speed_up(fast, replace(ON_CPU, compile=True))
    assert descend(fast, 3) == pytest.approx(descend(plain, 3), rel=1e-3)
    assert list(fast.state_dict()) == names
    graphs = len(captured)
    assert graphs >= 3  # the network, the loss network on stylized and on content pictures
    descend(fast, 3)
    assert len(captured) == graphs  # nothing is compiled anew at later steps, wherever the grain lies


def test_without_a_compiler_the_training_goes_on(build, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    module = build()
    with pytest.warns(UserWarning, match=r"trainer.compile needs a C\+\+ compiler .*not found.* uncompiled"):
        speed_up(module, replace(ON_CPU, compile=True))
    assert len(descend(module, 1)) == 1


def many_styles(vgg, names=("a", "b", "c")) -> StyleTransferModule:
    torch.manual_seed(0)
    loss = PerceptualLoss(
        copy.deepcopy(vgg), [torch.rand(1, 3, 32, 32 + 4 * n) for n, _ in enumerate(names)], LAYERS, LAYERS
    )
    network = build_network("transformer", {"width": 4, "residual_blocks": 1, "styles": len(names)})
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.add_(0.3 * torch.randn_like(parameter))
    module = StyleTransferModule(network, loss, steps=10, styles=names)
    module.logged = {}
    module.log_dict = lambda values, **_: module.logged.update(values)  # type: ignore[method-assign]
    return module


def test_styles_take_turns(vgg):
    """Each three pictures have three styles, in another order each time."""
    module = many_styles(vgg)
    seen = [number for step in range(30) for number in module.styles_of(step, 2)]
    rounds = [tuple(seen[i : i + 3]) for i in range(0, 60, 3)]
    assert all(sorted(each) == [0, 1, 2] for each in rounds) and len(set(rounds)) > 2
    assert seen == [number for step in range(60) for number in module.styles_of(step, 1)]  # of the step alone


def test_a_step_of_many_styles_by_hand(vgg):
    module, content = many_styles(vgg), batch()["images"]
    styles = module.styles_of(0, 2)
    total = module.training_step(batch(), 0)
    objectives = []
    for picture, number in zip(content.split(1), styles, strict=True):
        alone = module.network.of_style(torch.eye(3)[number])
        objectives.append(module.loss(alone(picture), picture, number).total)
        torch.testing.assert_close(module.logged[f"train/styles/{'abc'[number]}"], objectives[-1])
    torch.testing.assert_close(total, torch.stack(objectives).mean())
    assert styles[0] != styles[1] and abs(objectives[0] - objectives[1]) > 1e-3


def test_validation_shows_every_style(vgg):
    module, content = many_styles(vgg), batch()["images"]
    with torch.no_grad():
        module.validation_step(batch(), 0)
        expected = [
            module.loss(module.network.of_style(torch.eye(3)[n])(content).clamp(0, 1), content, n).total
            for n in range(3)
        ]
    for name, value in zip("abc", expected, strict=True):
        torch.testing.assert_close(module.logged[f"held_out/styles/{name}"], value)
    torch.testing.assert_close(module.logged["held_out/total"], torch.stack(expected).mean())


def test_steadiness_by_hand(build):
    """A motion of whole pixels: the moved picture's pixels against those of the picture, slice by slice."""
    module = build(range_weight=0.0)
    module.loss.stability_weight = 30.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MadeMotion, "draw", classmethod(lambda cls, random: cls(shift=(4, 2))))
        total = module.training_step(batch(), 0)
    content = batch()["images"]
    rows, columns = [1, 0, *range(30)], [3, 2, 1, 0, *range(28)]  # mirrored at the edge, edge pixels twice
    before, after = module.network(content), module.network(content[:, :, rows][..., columns])
    expected = (after[:, :, 2:, 4:] - before[:, :, :-2, :-4]).square().mean()
    assert module.logged["train/stability"].item() == pytest.approx(expected.item(), rel=1e-3)
    plain = build(range_weight=0.0)
    assert total.item() == pytest.approx(plain.training_step(batch(), 0).item() + 30 * expected.item(), rel=1e-3)
    assert "train/stability" not in plain.logged
    assert module.logged["train/total"].item() == pytest.approx(total.item(), rel=1e-5)


def test_steadier_by_the_step(build):
    """The term alone descends, through both pictures; each step draws a motion of its own, the same when resumed."""
    module = build(range_weight=0.0)
    module.loss.weights = dict.fromkeys(module.loss.weights, 0.0)
    module.loss.stability_weight = 100.0
    losses = descend(module, 12)
    assert losses[-1] < 0.7 * losses[0]
    assert module.training_step(batch(), 0) == module.training_step(batch(), 0)
