"""The networks of Zhu et al. 2017: published numbers of weights, sizes, patches, first weights."""

import pytest
import torch
from torch import nn

from fastnst.benchmark.unpaired.cycle_networks import Discriminator, Generator


def weights(*layers):
    """By hand: channels in, channels out and side of the kernel of each convolution; a bias for each channel out."""
    return sum(inside * outside * side**2 + outside for inside, outside, side in layers)


@pytest.mark.parametrize(("blocks", "published"), [(6, 7.84e6), (9, 11.378e6)])
def test_the_generators_layers(blocks, published):
    counted = sum(one.numel() for one in Generator(blocks=blocks).parameters())
    residual = [(256, 256, 3)] * 2 * blocks
    down = [(3, 64, 7), (64, 128, 3), (128, 256, 3)]
    assert counted == weights(*down, *residual, (256, 128, 3), (128, 64, 3), (64, 3, 7))
    assert counted == pytest.approx(published, rel=1e-3)  # as the released code counts them


def test_the_discriminators_layers():
    counted = sum(one.numel() for one in Discriminator().parameters())
    assert counted == weights((3, 64, 4), (64, 128, 4), (128, 256, 4), (256, 512, 4), (512, 1, 4)) == 2_764_737


def test_a_judgement_is_of_a_patch_of_70_pixels():
    """Without normalisation, which sees the whole picture: what the gradient of one judgement reaches."""
    judge = Discriminator(2)
    for name, layer in list(judge.named_children()):
        if isinstance(layer, nn.InstanceNorm2d):
            setattr(judge, name, nn.Identity())
    picture = torch.rand(1, 3, 160, 176, requires_grad=True)
    judgement = judge(picture)
    assert judgement.shape == (1, 1, 160 // 8 - 2, 176 // 8 - 2)
    judgement[0, 0, 9, 10].backward()
    rows, columns = (picture.grad[0].abs().amax(0) > 0).nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == 70


def test_a_generator_keeps_size_and_range():
    torch.manual_seed(0)
    network = Generator(4, 1)
    painted = network(3 * torch.rand(2, 3, 40, 52) - 1)
    assert painted.shape == (2, 3, 40, 52) and painted.min() >= 0 and painted.max() <= 1
    assert network(torch.rand(1, 3, 64, 64)).mean().item() == pytest.approx(0.5, abs=0.1)
    kernels = torch.cat([one.flatten() for one in Generator(16, 2).parameters() if one.ndim == 4])
    assert kernels.std().item() == pytest.approx(0.02, rel=0.02) and kernels.mean().abs() < 1e-3
