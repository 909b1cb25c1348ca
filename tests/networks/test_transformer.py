"""The transformation network: sizes, parameters, range, and the errors of building one."""

import operator

import numpy as np
import pytest
import torch

from fastnst.errors import InputError
from fastnst.networks import NETWORKS, build_network
from fastnst.networks.transformer import MINIMUM_SIZE

SMALL = {"width": 4, "residual_blocks": 1}


def convolution(inputs: int, outputs: int, size: int) -> int:
    return inputs * outputs * size * size + outputs


def parameters(width: int, blocks: int) -> int:
    """From the paper's table: c9s1-w, d2w, d4w, R4w..., u2w, uw, c9s1-3; two for each normalised channel."""
    w = width
    convolutions = [(3, w, 9), (w, 2 * w, 3), (2 * w, 4 * w, 3)] + [(4 * w, 4 * w, 3)] * (2 * blocks)
    convolutions += [(4 * w, 2 * w, 3), (2 * w, w, 3)]
    return sum(convolution(*each) + 2 * each[1] for each in convolutions) + convolution(w, 3, 9)


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_parameter_count(upsampling):
    network = build_network("transformer", {"upsampling": upsampling})
    count = sum(value.numel() for value in network.parameters())
    assert count == parameters(32, 5)
    assert count == 1_679_235
    assert sum(value.numel() for value in network.state_dict().values()) == count  # nothing else is saved


@pytest.mark.parametrize(("width", "blocks"), [(4, 0), (8, 3)])
def test_parameter_count_of_other_sizes(width, blocks):
    network = build_network("transformer", {"width": width, "residual_blocks": blocks})
    assert sum(value.numel() for value in network.parameters()) == parameters(width, blocks)


def test_parameter_count_of_a_slim_network():
    """c5s1-4, d8, d10, one residual block of 2 x (3x3 for each channel, 1x1, norm), u8, u4, c5s1-3."""
    arguments = {"width": 4, "residual_blocks": 1, "trunk": 10, "kernel": 5, "separable": True}
    plain = [(3, 4, 5), (4, 8, 3), (8, 10, 3), (10, 8, 3), (8, 4, 3)]
    expected = sum(convolution(*each) + 2 * each[1] for each in plain) + convolution(4, 3, 5)
    expected += 2 * (convolution(1, 10, 3) + convolution(10, 10, 1) + 2 * 10)
    network = build_network("transformer", arguments)
    assert sum(value.numel() for value in network.parameters()) == expected
    assert network(torch.rand(1, 3, 18, 21)).shape == (1, 3, 18, 21)


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_every_size_from_16_to_257_comes_back(upsampling):
    network = build_network("transformer", {"width": 1, "residual_blocks": 1, "upsampling": upsampling, "grain": 0.1})
    with torch.no_grad():
        for size in range(16, 258):
            height, width = (size, 16 + size % 23) if size % 3 else (16 + size % 19, size)
            assert network(torch.rand(1, 3, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (131, 65)])
@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_the_full_network_keeps_sizes(size, upsampling):
    network = build_network("transformer", {"upsampling": upsampling})
    with torch.no_grad():
        assert network(torch.rand(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("size", [(15, 16), (16, 15), (1, 500)])
def test_smaller_pictures_are_refused(size):
    with pytest.raises(ValueError, match=f"{size[1]}x{size[0]} is under {MINIMUM_SIZE}x{MINIMUM_SIZE}"):
        build_network("transformer", SMALL)(torch.rand(1, 3, *size))


def test_output_is_a_scaled_tanh():
    network = build_network("transformer", SMALL)
    z = torch.linspace(-9, 9, 50)
    expected = (127.5 + 150 * np.tanh(z.numpy().astype(np.float64))) / 255  # the released code's 0..255
    np.testing.assert_allclose(network.to_unit_range(z).numpy(), expected, atol=1e-6)
    x = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.to_unit_range(network.preactivation(x)))
        assert network(x).amin() > -0.0883 and network(x).amax() < 1.0883


def test_pictures_of_a_batch_do_not_influence_each_other():
    torch.manual_seed(0)
    network = build_network("transformer", SMALL | {"grain": 0.05}).eval()
    x = torch.rand(3, 3, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]))


def test_a_picture_of_another_brightness_scale_is_told_apart():
    """The input is centred: -1 for black, 1 for white."""
    network = build_network("transformer", SMALL)
    seen = []
    network.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(torch.zeros(1, 3, 16, 16))
    network(torch.ones(1, 3, 16, 16))
    assert seen[0].unique().tolist() == [-1.0] and seen[1].unique().tolist() == [1.0]


def test_gradients_reach_every_parameter_that_can_matter():
    torch.manual_seed(0)
    network = build_network("transformer", {})
    network(torch.rand(1, 3, 32, 32)).square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in network.parameters())
    assert all(value.grad.abs().max() > 0 for name, value in network.named_parameters() if name.endswith("weight"))


def test_arguments_rebuild_the_network():
    torch.manual_seed(0)
    network = build_network(
        "transformer", {"width": 6, "residual_blocks": 2, "upsampling": "transposed", "grain": 0.02}
    )
    again = build_network(network.name, network.arguments)
    again.load_state_dict(network.state_dict())
    x = torch.rand(1, 3, 20, 20)
    torch.testing.assert_close(network(x), again(x))
    assert all(isinstance(value, int | float | str | None) for value in network.arguments.values())


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("nope", {}, "unknown network 'nope': expected one of .*transformer"),
        ("transformer", {"colour": 3}, "does not take these arguments.*colour"),
        ("transformer", {"width": "wide"}, "wide"),
        ("transformer", {"width": 2.5}, "2.5"),
        ("transformer", {"width": 0}, "width=0"),
        ("transformer", {"residual_blocks": -1}, "residual_blocks=-1"),
        ("transformer", {"upsampling": "bilinear"}, "'bilinear': expected 'nearest' or 'transposed'"),
        ("transformer", {"grain": -0.1}, "grain=-0.1"),
        ("transformer", {"grain": 2}, "grain=2"),
        ("transformer", {"trunk": 0}, "trunk=0"),
        ("transformer", {"kernel": 4}, "kernel=4"),
    ],
)
def test_what_cannot_be_built(name, arguments, message):
    with pytest.raises(InputError, match=message):
        build_network(name, arguments)


def test_the_table_lists_networks_under_their_own_names():
    assert len(NETWORKS) >= 1
    assert all(network.name == name for name, network in NETWORKS.items())


def test_sizes_that_vary_can_be_compiled():
    """Inductor of torch 2.15 fails on the remainder of a negated size, where several sizes share one compiled graph."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    network = build_network("transformer", {"width": 2, "residual_blocks": 0, "kernel": 3}).eval()
    compiled = torch.compile(network.preactivation, backend=backend, dynamic=True)
    for height, width in ((16, 20), (17, 18), (19, 23)):
        picture = torch.rand(1, 3, height, width)
        torch.testing.assert_close(compiled(picture), network.preactivation(picture))
    targets = {node.target for graph in graphs for node in graph.graph.nodes}
    assert operator.mod in targets and operator.neg not in targets
