"""Optimising pixels: it falls, it stays in range, it stops, and the best picture is kept."""

import pytest
import torch
from random_pictures import noise

from fastnst.errors import InputError
from fastnst.losses import PerceptualLoss
from fastnst.optimization import optimize_picture
from fastnst.optimization.descent import Descent

RECIPES = (
    {},
    {"pixel_range": "sigmoid"},
    {"line_search": True},
    {"optimizer": "adam"},
    {"optimizer": "adam", "schedule": "cosine", "learning_rate": 0.05},
    {"optimizer": "adam", "schedule": "linear", "pixel_range": "sigmoid"},
)


def measured(loss, picture, content) -> float:
    with torch.no_grad():
        return loss(picture[None], content[None]).total.item()


@pytest.mark.parametrize("options", RECIPES, ids=str)
@pytest.mark.parametrize("start", ["content", "noise"])
def test_the_objective_falls(loss, content, start, options):
    first = content if start == "content" else noise(5)
    result = optimize_picture(loss, content, first, 15, stall_tolerance=0, **options)
    assert result.stopped == "steps" and len(result.curve) == 16
    assert result.curve[0] == pytest.approx(measured(loss, first, content), rel=0.02)  # a sigmoid starts nearly there
    assert result.objective == pytest.approx(min(result.curve)) and result.objective < 0.8 * result.curve[0]
    assert result.picture.shape == content.shape and result.picture.min() >= 0 and result.picture.max() <= 1
    assert measured(loss, result.picture, content) == pytest.approx(result.objective, rel=1e-4)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e9])
def test_the_scale_of_the_objective_does_not_matter(vgg, content, factor):
    """In float32 and without our scaling, 1e9 never moves and 1e-6 never learns its curvature."""
    layers = {"relu1_1": 1.0, "relu2_1": 1.0}
    loss = PerceptualLoss(
        vgg, noise(2)[None], {"relu2_1": 1.0}, layers, factor, 5 * factor, 0, 0, "relative", "relative"
    )
    result = optimize_picture(loss, content, content, 12)
    assert result.objective < 0.3 * result.curve[0]
    assert result.curve[0] / factor == pytest.approx(measured(loss, content, content) / factor)


def test_a_linear_layer_is_solved(vgg, content):
    """The features of conv1_1 are linear in the pixels: least squares, whose answer is the picture itself."""
    loss = PerceptualLoss(vgg, content[None], {"conv1_1": 1.0}, {}, tv_weight=0, content_distance="relative")
    result = optimize_picture(loss, content, noise(9), 60)
    assert (result.picture - content).abs().mean() < 0.01


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_callback_sees_every_iteration_with_its_own_picture(loss, content, optimizer):
    seen = []
    result = optimize_picture(loss, content, content, 4, optimizer=optimizer, callback=lambda *all: seen.append(all))
    assert [iteration for iteration, _, _ in seen] == [0, 1, 2, 3, 4]
    for iteration, objective, picture in seen:
        assert objective.total.item() == pytest.approx(measured(loss, picture, content), rel=1e-4)
        assert objective.total.item() == pytest.approx(result.curve[iteration])
        assert not objective.total.requires_grad
    assert sum(value.item() for value in objective.weighted.values()) == pytest.approx(objective.total.item())


@pytest.mark.parametrize("exception, stopped", [(KeyboardInterrupt, "interrupted"), (StopIteration, "callback")])
def test_ended_early_the_best_is_kept(loss, content, exception, stopped):
    def end(iteration, objective, picture):
        if iteration == 5:
            raise exception

    result = optimize_picture(loss, content, content, 50, callback=end)
    assert result.stopped == stopped and len(result.curve) == 6
    assert result.objective == min(result.curve)
    assert measured(loss, result.picture, content) == pytest.approx(result.objective, rel=1e-4)


def test_ctrl_c_in_the_middle_of_a_step(loss, content, monkeypatch):
    bound, steps = Descent._bound, []

    def interrupt(self, before):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        bound(self, before)

    monkeypatch.setattr(Descent, "_bound", interrupt)
    result = optimize_picture(loss, content, content, 50)
    assert result.stopped == "interrupted" and len(result.curve) == 4 and result.objective == min(result.curve)


def test_stops_when_it_stalls(vgg, loss, content):
    same = PerceptualLoss(vgg, content[None], {"relu2_1": 1.0}, {}, tv_weight=0)  # starts where it wants to be: 0
    result = optimize_picture(same, content, content, 50, stall_window=4)
    assert result.stopped == "stalled" and len(result.curve) == 5 and torch.equal(result.picture, content)
    assert optimize_picture(loss, content, content, 50, stall_tolerance=0.9, stall_window=5).stopped == "stalled"
    assert optimize_picture(same, content, content, 8, stall_window=4, stall_tolerance=0).stopped == "steps"


def test_a_broken_step_is_taken_back(loss, content, monkeypatch):
    forward, calls = PerceptualLoss.forward, []

    def broken(self, stylized, target):
        calls.append(1)
        objective = forward(self, stylized, target)
        return objective._replace(total=objective.total * float("nan")) if len(calls) == 4 else objective

    monkeypatch.setattr(PerceptualLoss, "forward", broken)
    result = optimize_picture(loss, content, content, 12)
    assert all(value == value for value in result.curve) and result.objective < 0.8 * result.curve[0]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"optimizer": "sgd"}, "optimizer='sgd': expected one of lbfgs, adam"),
        ({"schedule": "cyclic"}, "constant, cosine, linear"),
        ({"pixel_range": "tanh"}, "clamp, sigmoid"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"line_search": True, "optimizer": "adam"}, "line_search=true belongs to optimizer=lbfgs"),
        ({"line_search": "yes"}, "expected true or false"),
        ({"stall_tolerance": 2}, "stall_tolerance=2"),
        ({"stall_window": 0}, "stall_window=0"),
        ({"steps": 0}, "steps=0"),
    ],
)
def test_wrong_options(loss, content, options, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        optimize_picture(loss, content, content, **{"steps": 1, **options})


def test_wrong_pictures(loss, content):
    with pytest.raises(InputError, match="one size"):
        optimize_picture(loss, content, content[:, :-1], 1)
    with pytest.raises(InputError, match="at least 2x2 pixels"):
        optimize_picture(loss, content[:, :1], content[:, :1], 1)
