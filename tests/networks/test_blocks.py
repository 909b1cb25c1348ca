"""Instance normalisation against torch's own and by hand; blocks by their shapes and their parts."""

import pytest
import torch
from torch import nn

from fastnst.networks.blocks import ConvBlock, InstanceNorm, ResidualBlock, TransposedBlock, UpsampleBlock


def normalisers(channels: int = 5) -> tuple[InstanceNorm, nn.InstanceNorm2d]:
    ours, theirs = InstanceNorm(channels), nn.InstanceNorm2d(channels, affine=True)
    with torch.no_grad():
        for name in ("weight", "bias"):
            values = torch.randn(channels)
            getattr(ours, name).copy_(values)
            getattr(theirs, name).copy_(values)
    return ours, theirs


def test_instance_norm_equals_torch():
    torch.manual_seed(0)
    ours, theirs = normalisers()
    x = 3 + 2 * torch.randn(2, 5, 7, 9)
    torch.testing.assert_close(ours(x), theirs(x))
    assert list(ours.state_dict()) == ["weight", "bias"] and ours.eps == theirs.eps


@pytest.mark.parametrize("style", [None, torch.tensor([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])])
def test_channels_last_is_the_same_instance_norm(style):
    norm = InstanceNorm(5, styles=None if style is None else 3).double()
    x, gradient = torch.randn(2, 2, 5, 7, 9, dtype=torch.double)
    with torch.no_grad():
        for values in norm.parameters():
            values.normal_()
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        given = x.to(memory_format=layout).requires_grad_()
        found = norm(given, None if style is None else style.double())
        assert found.is_contiguous(memory_format=layout)
        results.append((found, *torch.autograd.grad(found, (given, *norm.parameters()), gradient)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def statistics(x):
    return x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)


def test_instance_norm_by_hand():
    norm = InstanceNorm(1, eps=0.0)
    with torch.no_grad():
        norm.weight.fill_(2.0)
        norm.bias.fill_(1.0)
    x = torch.tensor([[[[1.0, 3.0]]]])  # mean 2, biased deviation 1
    torch.testing.assert_close(norm(x), torch.tensor([[[[-1.0, 3.0]]]]))


def test_measured_statistics_handed_back_change_nothing():
    torch.manual_seed(0)
    norm, _ = normalisers()
    x = torch.randn(2, 5, 6, 8) * 4 - 1
    expected = norm(x)
    torch.testing.assert_close(norm(x, statistics=statistics(x)), expected)


def test_a_tile_with_the_statistics_of_the_whole_picture_equals_that_part_of_the_whole_result():
    torch.manual_seed(0)
    norm, _ = normalisers()
    x = torch.randn(1, 5, 16, 16) * torch.linspace(0.1, 3, 16)
    whole = norm(x)
    alone = norm(x[..., 4:12, :6])
    torch.testing.assert_close(norm(x[..., 4:12, :6], statistics=statistics(x)), whole[..., 4:12, :6])
    assert not torch.allclose(alone, whole[..., 4:12, :6], atol=0.1)
    assert list(norm.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("handed", [False, True])
def test_instance_norm_gradients(handed):
    torch.manual_seed(0)
    norm = InstanceNorm(2).double()
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    others = statistics(torch.randn(1, 2, 5, 5, dtype=torch.float64)) if handed else None
    assert torch.autograd.gradcheck(lambda x: norm(x, statistics=others), x)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (ConvBlock(3, 8, 9), (2, 8, 12, 20)),
        (ConvBlock(3, 8, 3, stride=2), (2, 8, 6, 10)),
        (UpsampleBlock(3, 8), (2, 8, 24, 40)),
        (TransposedBlock(3, 8), (2, 8, 24, 40)),
        (ResidualBlock(3), (2, 3, 12, 20)),
    ],
)
def test_shapes(block, expected):
    assert block(torch.rand(2, 3, 12, 20)).shape == expected


def test_conv_block_pads_by_reflection():
    torch.manual_seed(0)
    block = ConvBlock(3, 4, 3)
    x = torch.rand(1, 3, 8, 8)
    by_hand = nn.functional.conv2d(nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"), block[0].weight, block[0].bias)
    torch.testing.assert_close(block(x), torch.relu(nn.functional.instance_norm(by_hand)))


def test_residual_block_adds_its_body_and_may_be_negative():
    torch.manual_seed(0)
    block = ResidualBlock(4)
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(block(x) - x, block.body(x))
    assert block(x).min() < 0
    with torch.no_grad():
        block.body[-1].weight.zero_()
    torch.testing.assert_close(block(x), x)


def test_upsampling_repeats_pixels():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    expected = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]).float()
    torch.testing.assert_close(UpsampleBlock(1, 1)[0](x)[0, 0], expected)
