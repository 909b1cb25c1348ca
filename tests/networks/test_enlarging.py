"""Networks that enlarge: their shapes, their counts, and how far they see."""

import pytest
import torch
import torch.nn.functional as F

from fastnst.errors import InputError
from fastnst.networks import EnlargingNetwork, build_network
from fastnst.networks.enlarging import FACTORS, Johnson2016Enlarging


def stirred(network):
    """With weights everywhere, in evaluation mode."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.05)
    return network.eval().requires_grad_(False)


def test_stages_are_the_same_network_again():
    once = stirred(EnlargingNetwork(2, 8, 1))
    twice = EnlargingNetwork(4, 8, 1, stages=2).eval()
    twice.load_state_dict(once.state_dict())
    low = torch.rand(1, 3, 9, 7)
    torch.testing.assert_close(twice(low), once(once(low)))


@pytest.mark.parametrize("factor", FACTORS)
def test_a_new_network_is_bicubic_interpolation(factor):
    low = torch.rand(2, 3, 5, 7)
    expected = F.interpolate(low, size=(5 * factor, 7 * factor), mode="bicubic", align_corners=False)
    torch.testing.assert_close(EnlargingNetwork(factor, 8, 1)(low), expected)


def test_the_default_has_the_parameters_that_its_layers_have():
    count = sum(one.numel() for one in EnlargingNetwork().parameters())
    layers = [(3, 32), *[(32, 32)] * 16, (32, 48)]
    assert count == sum(9 * a * b + b for a, b in layers) == 162_736


@pytest.mark.parametrize(("factor", "doublings"), [(4, 2), (8, 3)])
def test_the_papers_network_is_the_supplements_table_2(factor, doublings):
    network = Johnson2016Enlarging(factor)
    kernels = [tuple(one.shape) for one in network.parameters() if one.ndim == 4]
    middle = [(64, 64, 3, 3)] * (8 + doublings)
    assert kernels == [(64, 3, 9, 9), *middle, (3, 64, 9, 9)]
    assert sum(isinstance(one, torch.nn.BatchNorm2d) for one in network.modules()) == 1 + 8 + doublings
    side = 288 // factor
    assert network(torch.rand(1, 3, side, side)).shape == (1, 3, 288, 288)


@pytest.mark.parametrize(
    "network",
    [EnlargingNetwork(4, 8, 2), EnlargingNetwork(4, 8, 2, stages=2), Johnson2016Enlarging(2)],
    ids=["ours", "stages", "paper's"],
)
def test_nothing_beyond_its_reach_counts(network):
    """With positive weights, so that nothing cancels; the pixel at the reach itself is seen by ours."""
    network = stirred(network)
    for parameter in network.parameters():
        parameter.abs_()
    side, middle = 2 * network.reach + 5, network.reach + 2
    low = torch.full((1, 3, side, side), 0.6)
    result = network(low)
    for distance in (network.reach, network.reach + 1):
        changed = low.clone()
        changed[..., middle, middle - distance] += 0.3
        at = slice(middle * network.factor, (middle + 1) * network.factor)
        same = torch.equal(network(changed)[..., at, at], result[..., at, at])
        assert same or distance == network.reach
        if isinstance(network, EnlargingNetwork):
            assert same == (distance > network.reach)


def test_bad_arguments():
    for arguments, message in (
        ({"factor": 5}, "factor=5: expected one of 2, 3, 4, 8"),
        ({"width": 0}, "expected width from 1 to 1024"),
        ({"residual_blocks": 101}, "residual_blocks from 0 to 100"),
        ({"factor": 8, "stages": 2}, "stages=2: factor=8 is not that power of a whole number"),
        ({"stages": 0}, "stages=0"),
        ({"stages": "2"}, "does not take these arguments"),
        ({"depth": 3}, "does not take these arguments"),
    ):
        with pytest.raises(InputError, match=message):
            build_network("enlarging", arguments)
    with pytest.raises(InputError, match="factor=3 is for network=enlarging"):
        build_network("johnson2016_sr", {"factor": 3})
