"""VGG taps against torchvision's own modules, and what a loss network never does: train, look deeper, renormalise."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from fastnst.errors import InputError
from fastnst.features import VGG, VGGWeights, layer_names, load_vgg_weights
from fastnst.features.weights import TORCHVISION_MEAN, TORCHVISION_STD

ARCHITECTURES = ("vgg16", "vgg19")


def random_network(architecture: str) -> tuple[nn.Module, VGGWeights]:
    """torchvision's network with small random weights, and the same for ours."""
    torch.manual_seed(0)
    with torch.device("meta"):  # the classifier's hundred million weights are none of our business
        theirs = getattr(models, architecture)(weights=None)
    theirs.features.to_empty(device="cpu")
    for module in theirs.features:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=(2 / (9 * module.in_channels)) ** 0.5)
            nn.init.normal_(module.bias, std=0.1)
    return theirs, VGGWeights(theirs.state_dict(), TORCHVISION_MEAN, TORCHVISION_STD)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def random(request):
    return request.param, *random_network(request.param)


@pytest.fixture(scope="module")
def shipped():
    return load_vgg_weights()


def taps(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every layer of torchvision's sequence, named by counting poolings and convolutions."""
    found, block, index = {}, 1, 0
    for module in network.features:
        module = nn.ReLU() if isinstance(module, nn.ReLU) else module  # theirs writes over its input
        x = module(x)
        if isinstance(module, nn.Conv2d):
            index += 1
            found[f"conv{block}_{index}"] = x
        elif isinstance(module, nn.ReLU):
            found[f"relu{block}_{index}"] = x
        else:
            block, index = block + 1, 0
    return found


def normalised(x: torch.Tensor) -> torch.Tensor:
    return (x - torch.tensor(TORCHVISION_MEAN)[:, None, None]) / torch.tensor(TORCHVISION_STD)[:, None, None]


def test_every_tap_equals_torchvision(random):
    architecture, theirs, weights = random
    x = torch.rand(2, 3, 48, 33)
    with torch.no_grad(), torch.backends.nnpack.flags(enabled=False):
        expected = taps(theirs, normalised(x))
        ours = VGG(layer_names(architecture), weights, architecture)(x)
    assert list(ours) == list(expected) == layer_names(architecture)
    assert len(ours) == {"vgg16": 26, "vgg19": 32}[architecture]
    for name in expected:
        torch.testing.assert_close(ours[name], expected[name])


def test_every_tap_asked_for_alone_equals_torchvision(random):
    """Alone: then no neighbouring tap protects a tensor from being written over."""
    architecture, theirs, weights = random
    x = torch.rand(1, 3, 32, 32)
    vgg = VGG(layer_names(architecture), weights, architecture)
    with torch.no_grad(), torch.backends.nnpack.flags(enabled=False):
        expected = taps(theirs, normalised(x))
        for name in layer_names(architecture):
            alone = vgg(x, [name])
            assert list(alone) == [name]
            torch.testing.assert_close(alone[name], expected[name])


def test_the_shipped_weights_are_an_image_network(shipped):
    """The original network saw RGB (here) in 0..255 without its mean; a random one would not tell photographs apart."""
    x = torch.rand(1, 3, 32, 32)
    by_hand = 255 * x - torch.tensor([123.68, 116.779, 103.939])[:, None, None]
    state = shipped.state
    by_hand = F.relu(F.conv2d(by_hand, state["features.0.weight"], state["features.0.bias"], padding=1))
    ours = VGG(["relu1_1"], shipped)(x)["relu1_1"]
    torch.testing.assert_close(ours, by_hand, rtol=1e-4, atol=1e-3)
    # conv1_1's first published filters, read in RGB order: edge and colour detectors whose weights sum to about zero.
    filters = state["features.0.weight"]
    assert filters.shape == (64, 3, 3, 3) and filters.abs().max() < 1.0
    assert ours.mean() > 1  # activations of a caffe network are of the order of its 0..255 input


def test_average_pooling(random):
    architecture, _, weights = random
    x = torch.rand(1, 3, 20, 21)
    vgg = VGG(["relu1_2", "conv2_1"], weights, architecture, pooling="average")
    features = vgg(x)
    pooled = 2 * F.avg_pool2d(features["relu1_2"], 2)
    expected = F.conv2d(pooled, weights.state["features.5.weight"], weights.state["features.5.bias"], padding=1)
    torch.testing.assert_close(features["conv2_1"], expected)
    assert not torch.allclose(features["conv2_1"], VGG(["conv2_1"], weights, architecture)(x)["conv2_1"])


def test_frozen_for_good(shipped):
    vgg = VGG(["relu2_2"], shipped)
    outer = nn.Sequential(vgg, nn.Dropout())
    outer.train()
    assert outer.training and not vgg.training and not any(module.training for module in vgg.modules())
    assert not any(value.requires_grad for value in vgg.parameters())
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    vgg(x)["relu2_2"].square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert all(value.grad is None for value in vgg.parameters())


@pytest.mark.parametrize(
    ("layers", "deepest"), [(["relu1_2"], "conv1_2"), (["relu3_3", "conv1_1"], "conv3_3"), (["conv4_2"], "conv4_2")]
)
def test_cut_after_the_deepest_layer(shipped, layers, deepest):
    vgg = VGG(layers, shipped)
    assert list(vgg.convolutions)[-1] == deepest
    assert len(vgg.convolutions) == [name for name in layer_names("vgg16") if name[0] == "c"].index(deepest) + 1
    assert set(vgg(torch.rand(1, 3, 32, 32))) == set(layers)


def test_only_some_layers_end_the_pass_early(shipped):
    vgg = VGG(["relu1_1", "relu2_2", "relu4_3"], shipped)
    x = torch.rand(1, 3, 32, 32)
    ran = []
    for name, convolution in vgg.convolutions.items():
        convolution.register_forward_hook(lambda *_, name=name: ran.append(name))
    some = vgg(x, ["relu2_2"])
    assert list(some) == ["relu2_2"] and ran[-1] == "conv2_2"
    torch.testing.assert_close(some["relu2_2"], vgg(x)["relu2_2"])


def test_layers_come_in_order_and_once(shipped):
    assert VGG(["relu3_1", "relu1_1", "relu3_1", "conv2_2"], shipped).layers == ["relu1_1", "conv2_2", "relu3_1"]


@pytest.mark.parametrize(("layer", "smallest"), [("relu1_2", 1), ("relu2_1", 2), ("relu3_3", 4), ("relu5_1", 16)])
def test_smallest_picture(shipped, layer, smallest):
    vgg = VGG([layer], shipped)
    assert vgg.minimum_size == smallest
    assert vgg(torch.rand(1, 3, smallest, smallest + 1))[layer].shape[-2] == 1
    if smallest > 1:
        with pytest.raises(ValueError, match=f"{smallest}x{smallest - 1} is too small for {layer}"):
            vgg(torch.rand(1, 3, smallest - 1, smallest))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["relu6_1"]}, "no layer 'relu6_1': expected names like relu2_2"),
        ({"layers": ["relu2_2", "pool1"]}, "'pool1'"),
        ({"layers": []}, "none was named"),
        ({"layers": ["relu5_4"]}, "relu5_4"),  # VGG19 has it
        ({"architecture": "vgg11"}, "unknown loss network 'vgg11'"),
        ({"pooling": "median"}, "'median': expected 'max' or 'average'"),
        ({"architecture": "vgg19", "layers": ["relu3_4"]}, "do not fit vgg19"),
    ],
)
def test_what_cannot_be_built(shipped, options, message):
    with pytest.raises(InputError, match=message):
        VGG(**{"layers": ["relu2_2"], "weights": shipped} | options)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_features_and_gradients_against_float64(shipped, pooling):
    """In float64 torch's own convolutions compute, in float32 NNPACK's forward and for the gradient (on the CPU)."""
    torch.manual_seed(0)
    vgg = VGG(["relu2_2", "conv4_1"], shipped, pooling=pooling)
    exact = VGG(["relu2_2", "conv4_1"], shipped, pooling=pooling).double()
    x = F.interpolate(torch.rand(2, 3, 20, 24), size=(192, 200), mode="bicubic").requires_grad_()
    wide = x.detach().double().requires_grad_()
    found, expected = vgg(x), exact(wide)
    for name in expected:
        assert (found[name] - expected[name]).norm() < 1e-5 * expected[name].norm()
    for features in (found, expected):
        sum((one / one.detach().norm()).square().sum() for one in features.values()).backward()
    # ReLU and maxima decide otherwise where rounding is all that separates two values: torch's own are 7e-4 apart, too.
    assert (x.grad - wide.grad).norm() < 3e-3 * wide.grad.norm()
