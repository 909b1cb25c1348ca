"""Beginning with another model's weights: its last layer is adapted to the new style, the rest stays."""

import pytest
import torch

from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.losses import PerceptualLoss
from fastnst.models.model_file import find_model, load_model, save_model
from fastnst.networks import build_network
from fastnst.training.module import StyleTransferModule
from fastnst.training.start import adapt_output, begin_from

LAYERS = {"relu1_2": 1.0, "relu2_2": 1.0}


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def vgg():
    return VGG(list(LAYERS), load_vgg_weights())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network("transformer", {"width": 4, "residual_blocks": 1}).eval()


@pytest.fixture
def quiet() -> torch.Tensor:
    """A style picture of one colour with a little noise."""
    return torch.tensor([0.7, 0.5, 0.3])[:, None, None] + 0.02 * (noise(1, 3, 48, 48) - 0.5)


def test_an_energetic_model_is_calmed_and_coloured(vgg, network, quiet):
    content = noise(2, 2, 3, 40, 40)
    with torch.no_grad():
        network.to_rgb.weight.mul_(5)  # hard black and white
    loss = PerceptualLoss(vgg, quiet[None], LAYERS, LAYERS)
    before = network(content)
    adapt_output(network, loss, quiet, content)
    after = network(content)
    assert loss(after, content).total < 0.2 * loss(before, content).total
    torch.testing.assert_close(after.mean(dim=(0, 2, 3)), torch.tensor([0.7, 0.5, 0.3]), atol=0.02, rtol=0)


def test_what_is_right_already_stays(vgg, network, quiet):
    """A style that is the network's own picture cannot be had nearer by another contrast."""
    content = noise(3, 1, 3, 40, 40)
    with torch.no_grad():  # torch's own convolutions, as there: to the last digit
        own = network(content)
    weights = network.to_rgb.weight.clone()
    loss = PerceptualLoss(vgg, own, LAYERS, LAYERS, content_weight=0)
    adapt_output(network, loss, own[0], content)
    assert torch.equal(network.to_rgb.weight, weights)


def test_all_other_layers_are_the_models(vgg, network, quiet, tmp_path):
    save_model(tmp_path / "given.ckpt", network, {})
    torch.manual_seed(1)
    other = build_network("transformer", {"width": 4, "residual_blocks": 1})
    module = StyleTransferModule(other, PerceptualLoss(vgg, quiet[None], LAYERS, LAYERS), steps=1)
    begin_from(module, str(tmp_path / "given.ckpt"), [quiet], noise(2, 2, 3, 40, 40))
    for name, value in network.state_dict().items():
        if not name.startswith("to_rgb"):
            torch.testing.assert_close(other.state_dict()[name], value, atol=1e-3, rtol=1e-3)  # files may be in half


def test_another_network_is_refused(vgg, network, quiet, tmp_path):
    save_model(tmp_path / "given.ckpt", build_network("transformer", {"width": 8, "residual_blocks": 1}), {})
    module = StyleTransferModule(network, PerceptualLoss(vgg, quiet[None], LAYERS, LAYERS), steps=1)
    with pytest.raises(InputError, match="give a model of the same network"):
        begin_from(module, str(tmp_path / "given.ckpt"), [quiet], noise(2, 2, 3, 40, 40))


def test_another_network_begins_without_base_and_is_told(vgg, network, quiet, capsys):
    """Some experiments begin with base by themselves; asked for any other model, the same is an error."""
    module = StyleTransferModule(network, PerceptualLoss(vgg, quiet[None], LAYERS, LAYERS), steps=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    begin_from(module, "base", [quiet], noise(2, 1, 3, 40, 40))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert capsys.readouterr().out.startswith("This network begins with random weights")
    with pytest.raises(InputError, match="its network is"):
        begin_from(module, "mosaic", [quiet], noise(2, 1, 3, 40, 40))


def test_the_default_network_begins_with_base(vgg, quiet):
    network = build_network("transformer", load_model(find_model("base")).card["network"]["arguments"])
    module = StyleTransferModule(network, PerceptualLoss(vgg, quiet[None], LAYERS, LAYERS), steps=1)
    begin_from(module, "base", [quiet], noise(2, 1, 3, 40, 40))
    base = load_model(find_model("base")).network.state_dict()
    same = [torch.equal(value, base[name]) for name, value in network.state_dict().items() if "to_rgb" not in name]
    assert len(same) > 40 and all(same)


def test_the_grain_may_be_another(vgg, network, quiet, tmp_path):
    """It has no weights: a network for films begins from one that has grain."""
    save_model(tmp_path / "given.ckpt", network, {})
    other = build_network("transformer", {"width": 4, "residual_blocks": 1, "grain": 0.03})
    module = StyleTransferModule(other, PerceptualLoss(vgg, quiet[None], LAYERS, LAYERS), steps=1)
    begin_from(module, str(tmp_path / "given.ckpt"), [quiet], noise(2, 2, 3, 40, 40))
    torch.testing.assert_close(other.encoder[0][0].weight, network.encoder[0][0].weight, atol=1e-3, rtol=1e-3)
    assert other.grain.amplitude == 0.03
