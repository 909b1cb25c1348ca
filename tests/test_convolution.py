"""Convolutions by NNPACK against torch's own in float64: maps, gradients, and where it must step aside."""

import copy
import os
import subprocess
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastnst import convolution as module
from fastnst.convolution import Conv2d, convolution, nnpack_helps
from fastnst.networks import build_network
from tests.conftest import PROJECT

WINOGRAD_ERROR = 5e-5
"""Of the largest value. Winograd's F(6x6, 3x3) loses up to two digits of float32's seven; torch's own gives 5e-6."""
SHAPES = [
    (2, 16, 24, 3, 25, 0),
    (1, 64, 32, 3, 24, 1),
    (3, 32, 3, 9, 30, 0),
    (1, 3, 12, 9, 30, 4),
    (2, 8, 12, 5, 18, 2),
]


def tensors(batch, inside, outside, side, places, padding):
    torch.manual_seed(0)
    x = torch.randn(batch, inside, places, places + 5)
    kernel = torch.randn(outside, inside, side, side) / (inside * side**2) ** 0.5
    return [one.requires_grad_() for one in (x, kernel, torch.randn(outside))], (padding, padding)


def close(found, expected):
    assert found.dtype == torch.float32 and (found - expected).abs().max() < WINOGRAD_ERROR * expected.abs().max()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_maps_and_gradients(shape, layout):
    inputs, padding = tensors(*shape)
    exact = [one.detach().double().requires_grad_() for one in inputs]
    expected = F.conv2d(*exact, padding=padding)
    gradient = torch.randn_like(expected)
    inputs[0] = inputs[0].detach().to(memory_format=layout).requires_grad_()
    assert nnpack_helps(inputs[0], inputs[1]) == torch.backends.nnpack.is_available()
    found = convolution(inputs[0], inputs[1], bias=inputs[2], padding=padding)
    close(found, expected)
    found_gradients = torch.autograd.grad(found, inputs, gradient.float().to(memory_format=layout))
    for one, other in zip(found_gradients, torch.autograd.grad(expected, exact, gradient), strict=True):
        close(one, other)


def test_only_the_gradients_asked_for():
    """Of a frozen kernel, of the input alone; of the first layer, of the kernel alone; of a bias alone."""
    (x, kernel, bias), padding = tensors(2, 16, 16, 3, 24, 1)
    for wanted in ([x], [kernel], [bias], [kernel, bias]):
        given = [one if any(one is other for other in wanted) else one.detach() for one in (x, kernel, bias)]
        expected = torch.autograd.grad(F.conv2d(*given, padding=padding).sin().sum(), wanted)
        found = torch.autograd.grad(convolution(given[0], given[1], bias=given[2], padding=padding).sin().sum(), wanted)
        for one, other in zip(found, expected, strict=True):
            close(one, other)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_reflection_and_its_gradient_are_torchs(layout):
    layer = Conv2d(3, 4, 9, padding=4, padding_mode="reflect").double()
    x = torch.randn(2, 3, 11, 7, dtype=torch.double).to(memory_format=layout).requires_grad_()
    expected = nn.Conv2d._conv_forward(layer, x, layer.weight, layer.bias)
    found, gradient = layer(x), torch.randn_like(expected)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(one, x, gradient)[0] for one in (found, expected)))


def test_without_a_bias():
    (x, kernel, _), _ = tensors(1, 16, 16, 3, 26, 0)
    found, expected = convolution(x, kernel), F.conv2d(x.double(), kernel.double())
    close(found, expected)
    close(*(torch.autograd.grad(one.square().sum(), kernel)[0] for one in (found, expected)))


def test_a_picture_is_the_same_in_any_batch_and_every_time():
    (x, kernel, bias), _ = tensors(3, 16, 16, 3, 26, 0)
    together = convolution(x, kernel, bias=bias)
    for number in range(3):
        assert torch.equal(convolution(x[number : number + 1], kernel, bias=bias), together[number : number + 1])


def test_it_steps_aside():
    (x, kernel, _), _ = tensors(1, 16, 16, 3, 24, 1)
    assert nnpack_helps(x, kernel) == torch.backends.nnpack.is_available()
    assert not nnpack_helps(x.double(), kernel.double())
    assert not nnpack_helps(x.bfloat16(), kernel.bfloat16())
    assert not nnpack_helps(x.to("meta"), kernel.to("meta"))
    assert not nnpack_helps(x[..., :18, :18], kernel), "the kernel's transform costs more than it saves"
    assert not nnpack_helps(x[:, :8], kernel[:, :8]), "so do those of the map"
    assert not nnpack_helps(x, kernel[:, :1]), "a convolution in groups"
    with torch.autocast("cpu", torch.bfloat16):
        assert not nnpack_helps(x, kernel)
        assert convolution(x, kernel).dtype == torch.bfloat16
    with torch.backends.nnpack.flags(enabled=False):
        assert torch.equal(convolution(x, kernel), F.conv2d(x, kernel))
    assert torch.equal(convolution(x, kernel, (2, 2)), F.conv2d(x, kernel, stride=2))


def test_a_trace_has_torchs_own():
    """As TorchScript files are made; what it says of its own age is not ours."""
    (x, kernel, _), _ = tensors(1, 16, 16, 3, 24, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(convolution, (x.detach(), kernel.detach()))
    assert "nnpack" not in str(traced.graph) and "aten::_convolution" in str(traced.graph)


def test_compiled_it_is_torchs_own():
    (x, kernel, _), _ = tensors(1, 16, 16, 3, 24, 1)
    compiled = torch.compile(convolution, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, kernel), F.conv2d(x, kernel))


def test_without_nnpack(monkeypatch):
    monkeypatch.setattr(torch.backends.nnpack, "is_available", lambda: False)
    monkeypatch.delattr(torch, "_nnpack_spatial_convolution", raising=False)
    (x, kernel, _), _ = tensors(1, 16, 16, 3, 24, 1)
    assert torch.equal(convolution(x, kernel), F.conv2d(x, kernel))


def test_float64_by_differences():
    x, kernel = torch.randn(1, 16, 5, 5).double().requires_grad_(), torch.randn(16, 16, 3, 3).double()
    assert torch.autograd.gradcheck(lambda one: convolution(one, kernel, padding=(1, 1)), x, fast_mode=True)


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
def test_the_layer(padding_mode):
    """Names, values and padding are torch's; with gradients NNPACK computes, without them torch does."""
    torch.manual_seed(0)
    ours = Conv2d(16, 20, 3, padding=1, padding_mode=padding_mode)
    theirs = nn.Conv2d(16, 20, 3, padding=1, padding_mode=padding_mode)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 16, 27, 24)
    expected = copy.deepcopy(theirs).double()(x.double())
    found = ours(x)
    assert ("Nnpack" in found.grad_fn.name()) == torch.backends.nnpack.is_available()
    close(found, expected)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_the_network_learns_through_it(monkeypatch):
    """All gradients of the transformation network against those in float64, and most convolutions by NNPACK."""
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 16, "residual_blocks": 1})
    exact = copy.deepcopy(network).double()
    x, calls = torch.rand(2, 3, 96, 100), []
    original = module._in_parts
    monkeypatch.setattr(module, "_in_parts", lambda *given: calls.append(1) or original(*given))
    for one in (network, exact):
        one(x.to(next(one.parameters()).dtype)).square().mean().backward()
    assert len(calls) == (11 if torch.backends.nnpack.is_available() else 0), "six forward, five for their inputs"
    for (name, one), other in zip(network.named_parameters(), exact.parameters(), strict=True):
        if one.grad.norm() > 1e-6:  # normalisation takes the biases away
            assert (one.grad - other.grad).norm() < 3e-3 * other.grad.norm(), name  # 1.3e-3 without AVX2


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_threads_share_pictures_or_channels(batch):
    """In a process of its own: the same values as one thread's, and torch keeps the threads it had."""
    code = (
        "import torch; from fastnst.convolution import convolution\n"
        "torch.manual_seed(0)\n"
        f"x, kernel = torch.randn({batch}, 16, 26, 30), torch.randn(19, 16, 3, 3, requires_grad=True)\n"
        "results = []\n"
        "for threads in (1, 2):\n"
        "    torch.set_num_threads(threads)\n"
        "    one = x.clone().requires_grad_()\n"
        "    y = convolution(one, kernel, bias=torch.ones(19))\n"
        "    y.square().sum().backward()\n"
        "    with torch.inference_mode():\n"
        "        results.append((y.detach(), one.grad, convolution(x, kernel)))\n"
        "    assert torch.get_num_threads() == threads\n"
        "assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*results)), results\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(PROJECT)})
