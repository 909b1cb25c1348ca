"""Back from activations to pixels: by hand, against autograd where everything is linear, and the receptive fields."""

import pytest
import torch
from random_pictures import noise, random_weights

from fastnst.errors import InputError
from fastnst.features import VGG, VGGWeights
from fastnst.features.architecture import CONVOLUTIONS_PER_BLOCK
from fastnst.optimization import deconvnet


def passing_weights() -> VGGWeights:
    """Every convolution hands channel 0 on and nothing else."""
    state = {name: torch.zeros_like(value) for name, value in random_weights().state.items()}
    for name, value in state.items():
        if name.endswith("weight"):
            value[0, 0, 1, 1] = 1.0
    return VGGWeights(state, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_unpooling_by_hand():
    red = torch.tensor([
        [0.1, 0.9, 0.2, 0.3],
        [0.4, 0.5, 0.8, 0.1],
        [0.6, 0.2, 0.0, 0.0],
        [0.7, 0.1, 0.0, 0.3],
    ])  # fmt: skip
    picture = torch.stack([red, torch.ones(4, 4), torch.ones(4, 4)])
    vgg = VGG(["relu2_2"], passing_weights())
    trace = deconvnet.forward_with_switches(vgg, picture, "relu2_1")
    assert torch.equal(trace.activations[0], torch.tensor([[0.9, 0.8], [0.7, 0.3]]))
    back = deconvnet.project_to_pixels(vgg, trace, trace.activations[None])
    expected = torch.tensor([
        [0.0, 0.9, 0.0, 0.0],
        [0.0, 0.0, 0.8, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.7, 0.0, 0.0, 0.3],
    ])  # fmt: skip
    assert torch.equal(back[0], torch.stack([expected, torch.zeros(4, 4), torch.zeros(4, 4)]))


@pytest.mark.parametrize("layer", ["conv1_1", "relu1_2", "relu2_1", "conv2_2"])
def test_where_no_relu_cuts_it_is_the_gradient(layer):
    """Positive weights, biases and pixels: every ReLU is the identity, and the chain rule goes the same way back."""
    vgg = VGG([layer], random_weights(positive=True))
    picture = noise(3, 9, 13)  # odd: pooling leaves a row and a column over
    trace = deconvnet.forward_with_switches(vgg, picture, layer)
    kept = torch.zeros_like(trace.activations)
    kept[7] = trace.activations[7]
    variable = picture.clone().requires_grad_()
    features = vgg(variable[None])[layer]
    assert torch.allclose(features[0], trace.activations)
    (features * kept).sum().backward()
    back = deconvnet.project_to_pixels(vgg, trace, kept[None])[0]
    assert torch.allclose(back, variable.grad * vgg.std, rtol=1e-4)


def test_several_at_once_are_each_alone(vgg):
    trace = deconvnet.forward_with_switches(vgg, noise(4), "relu2_1")
    kept = torch.zeros(2, *trace.activations.shape)
    kept[0, 3], kept[1, 5] = trace.activations[3], trace.activations[5]
    both = deconvnet.project_to_pixels(vgg, trace, kept)
    for one, alone in zip(both, kept, strict=True):
        assert torch.allclose(one, deconvnet.project_to_pixels(vgg, trace, alone[None])[0], atol=1e-5)


@pytest.mark.parametrize("layer", ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"])
def test_receptive_fields_are_where_the_gradient_is(layer):
    """Average pooling looks at all four: the pixels with a gradient are the whole field."""
    vgg = VGG([layer], random_weights(blocks=3, positive=True), pooling="average")
    picture = noise(6, 64, 64).requires_grad_()
    with torch.backends.nnpack.flags(enabled=False):  # whose tiles are larger: rounding errors, not zeros, outside
        features = vgg(picture[None])[layer]
    place = features.shape[-1] // 2
    features[0, 0, place, place].backward()
    seen = picture.grad.abs().sum(dim=(0, 1)).nonzero()
    centre, step, side = deconvnet.receptive_field(layer, CONVOLUTIONS_PER_BLOCK["vgg16"])
    left = centre + step * place - (side - 1) / 2
    assert (seen.min().item(), seen.max().item()) == (left, left + side - 1)


def test_patches_are_strongest_first_and_apart(vgg):
    picture = noise(8, 40, 48)
    trace = deconvnet.forward_with_switches(vgg, picture, "relu2_1")
    channels = deconvnet.strongest_channels(trace.activations, 3)
    peaks = trace.activations.flatten(1).amax(1)
    assert peaks[channels].tolist() == sorted(peaks.tolist(), reverse=True)[:3]
    found = deconvnet.patches_that_fire(vgg, picture, trace, channels[0], 4, CONVOLUTIONS_PER_BLOCK["vgg16"])
    assert len(found) == 4 and found[0].value == pytest.approx(peaks[channels[0]].item())
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)
    assert len({one.box for one in found}) == 4
    for one in found:
        top, left, bottom, right = one.box
        assert torch.equal(one.patch, picture[:, top:bottom, left:right])
        assert one.reconstruction.shape == one.patch.shape and one.reconstruction.abs().max() > 0
        shown = deconvnet.shown(one.reconstruction)
        assert shown.min() >= 0 and shown.max() <= 1
    assert torch.equal(deconvnet.shown(torch.zeros(3, 2, 2)), torch.full((3, 2, 2), 0.5))


def test_refusals():
    with pytest.raises(InputError, match="pooling=max"):
        deconvnet.forward_with_switches(VGG(["relu1_1"], random_weights(), pooling="average"), noise(1), "relu1_1")
    with pytest.raises(InputError, match="at least 2x2"):
        deconvnet.forward_with_switches(VGG(["relu2_1"], random_weights()), noise(1, 1, 5), "relu2_1")
