"""The CPU engine against the network as it is written, and each of its rewritings against its definition."""

import pytest
import torch
import torch.nn.functional as F

from fastnst.errors import InputError
from fastnst.models.model_file import Model, load_model
from fastnst.networks import build_network
from fastnst.networks.blocks import InstanceNorm, UpsampleBlock, phases_of_upsampling
from fastnst.stylization import Stylizer
from fastnst.stylization.cpu import engine, kernels
from fastnst.stylization.cpu.bands import Bands
from fastnst.stylization.cpu.borders import REFLECT_PHASES, REPLICATE, close
from fastnst.stylization.cpu.engine import CpuEngine
from fastnst.stylization.cpu.workers import Workers

LEVEL = 1 / 255
NETWORKS = [
    {},
    {"output": "linear", "grain": 0.0},
    {"width": 3, "residual_blocks": 0},
    {"trunk": 24, "kernel": 5, "separable": True},
    {"trunk": 20, "kernel": 5},
]


def random_network(**arguments):
    """Weights that no rewriting can take for granted: scales of both signs and zero, shifts, large biases."""
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 8, "residual_blocks": 2, "grain": 0.03, **arguments}).eval()
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, InstanceNorm):
                part.weight.copy_(torch.randn_like(part.weight))
                part.weight[0], part.bias[0] = 0.0, 0.7
                part.bias[1:].copy_(torch.randn_like(part.bias[1:]))
            elif isinstance(part, torch.nn.Conv2d):
                part.bias.copy_(3 * torch.randn_like(part.bias))
    return network.requires_grad_(False)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (45, 38), (64, 20)])
@pytest.mark.parametrize("arguments", NETWORKS)
def test_same_pixels_for_random_weights(size, arguments):
    network = random_network(**arguments)
    picture = torch.rand(1, 3, *size)
    with torch.inference_mode():
        expected = network.double()(picture.double()).float() if network.grain.amplitude == 0 else network(picture)
    network.float()
    found = CpuEngine(network)(picture)
    assert found.shape == picture.shape
    assert (found - expected).abs().max() < LEVEL / 4


@pytest.mark.parametrize("name", ["mosaic", "candy"])
def test_same_pixels_as_the_shipped_models(name, project):
    network = load_model(project / "checkpoints" / f"{name}.ckpt").network
    wave = torch.linspace(0, 9, 83)
    picture = torch.stack([wave[:61, None].sin() * wave.cos() * k + 0.5 for k in (0.5, 0.2, -0.4)])[None].clamp(0, 1)
    for content in (picture, torch.zeros(1, 3, 33, 30), torch.ones(1, 3, 20, 50)):
        with torch.inference_mode():
            expected = network(content)
        difference = (CpuEngine(network)(content) - expected).abs()
        # In flat pictures a norm divides rounding, which differs from processor to processor, by next to nothing.
        assert difference.max() < (1 if content is picture else 3) * LEVEL and difference.mean() < LEVEL / 2


def test_without_nnpack(monkeypatch):
    monkeypatch.setattr(torch.backends.nnpack, "is_available", lambda: False)
    monkeypatch.delattr(torch, "_nnpack_spatial_convolution", raising=False)
    network, picture = random_network(), torch.rand(1, 3, 30, 35)
    with torch.inference_mode():
        assert (CpuEngine(network)(picture) - network(picture)).abs().max() < LEVEL / 4


def test_upsampling_in_phases_is_upsampling_then_convolution():
    torch.manual_seed(0)
    block = UpsampleBlock(3, 5).double()
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    expected = block[1](block[0](x))
    padded = F.pad(x, (1, 1, 1, 1))
    close(padded, 1, REPLICATE, first=True, last=True)
    phases = F.conv2d(padded, phases_of_upsampling(block[1].weight))
    order = phases.view(1, 4, 5, 6, 7).transpose(1, 2).reshape(1, 20, 6, 7)
    found = F.pixel_shuffle(order, 2) + block[1].bias[:, None, None]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("side", [5, 9])
def test_kernel_of_phases_is_the_large_convolution(side):
    torch.manual_seed(0)
    kernel = torch.randn(3, 2, side, side, dtype=torch.float64)
    x = torch.randn(1, 2, 12, 16, dtype=torch.float64)
    whole = F.pad(x, (side // 2,) * 4, mode="reflect")
    apart = torch.cat([x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], 1)
    padded = F.pad(apart, (side // 4,) * 4)
    close(padded, side // 4, REFLECT_PHASES, first=True, last=True)
    by_hand = torch.cat([whole[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], 1)
    torch.testing.assert_close(padded, by_hand, rtol=0, atol=0)
    found = F.pixel_shuffle(F.conv2d(padded, kernels.kernel_of_phases(kernel)), 2)
    torch.testing.assert_close(found, F.conv2d(whole, kernel))


def test_normalised_is_instance_norm_and_relu():
    torch.manual_seed(0)
    norm = InstanceNorm(6).requires_grad_(False)
    norm.weight.copy_(torch.tensor([1.0, -2.0, 0.0, 0.0, 1e-3, 5.0]))
    norm.bias.copy_(torch.tensor([0.3, 0.4, 0.5, -0.5, 2.0, -1.0]))
    x = torch.randn(1, 6, 21, 11) * 3 + torch.tensor([0, 5, 0, 0, 1, 300.0])[:, None, None]  # 300: digits cancel
    plain = InstanceNorm(6).requires_grad_(False)
    for heights in ([21], [13, 8]):
        maps, cut = [one.contiguous() for one in x.split(heights, 2)], Bands(Workers(len(heights)), 21, 11)
        both = [engine.sums(one) for one in maps]
        scale, low, high, constant = engine.normalised(norm, maps, both, cut)
        found = scale * torch.clamp(x, low, high) + constant
        torch.testing.assert_close(found, norm(x).relu(), rtol=1e-4, atol=1e-4)
        assert engine.normalised(plain, maps, both, cut).high is None  # no channel needs an upper bound


def test_stylizer_takes_it_where_it_can(tmp_path):
    network = random_network(residual_blocks=1)
    picture = torch.rand(3, 21, 34)
    fast, plain = (Stylizer(Model(network, {}, None), "cpu", engine=name) for name in ("auto", "plain"))
    assert isinstance(fast.engines[0], CpuEngine) and plain.engines == [None]
    tiled = Stylizer(Model(network, {}, None), "cpu", tile=16)
    torch.testing.assert_close(fast(picture), plain(picture), rtol=0, atol=LEVEL)
    torch.testing.assert_close(fast(picture), tiled(picture), rtol=0, atol=LEVEL)
    small = torch.rand(3, 5, 1)
    torch.testing.assert_close(fast(small), plain(small), rtol=0, atol=LEVEL)
    with pytest.raises(InputError, match="engine='quick': expected one of auto, plain"):
        Stylizer(Model(network, {}, None), "cpu", engine="quick")


def test_networks_it_leaves_alone():
    assert not CpuEngine.takes(random_network(upsampling="transposed"))
    assert not CpuEngine.takes(random_network().double())
    assert not CpuEngine.takes(random_network(kernel=7))
    assert not CpuEngine.takes(torch.nn.Conv2d(3, 3, 1))
