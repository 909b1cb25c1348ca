"""Any torchvision network as loss network: its features against torchvision's own pass, watched by hooks."""

from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from fastnst.errors import InputError
from fastnst.features import VGG, TorchvisionNetwork, load_loss_network, torchvision_network
from fastnst.features.loss_network import DEFAULT_LAYERS
from fastnst.losses import PerceptualLoss

PICTURES = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def watched(model: nn.Module, names: list[str], x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the modules of these names give, copied before the next one can write over it."""
    found: dict[str, torch.Tensor] = {}

    def watch(name: str) -> None:
        def keep(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            found.setdefault(name, output.clone())

        model.get_submodule(name).register_forward_hook(keep)

    for name in names:
        watch(name)
    mean, std = (torch.tensor(rgb).view(3, 1, 1) for rgb in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        model.eval()((x - mean) / std)
    return found


def randomised(name: str) -> nn.Module:
    torch.manual_seed(3)
    model = models.get_model(name, weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh ones would change nothing
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet18", ["layer3", "relu", "layer1.0.bn2", "layer2.1.conv1", "layer1.0.bn1"]),  # each is then written over
        ("squeezenet1_1", ["features.7", "features.0", "features.4.squeeze"]),
    ],
)
def test_features_are_torchvisions(tmp_path, name, layers, suffix):
    model, path = randomised(name), tmp_path / f"weights{suffix}"
    save_file(model.state_dict(), path) if suffix == ".safetensors" else torch.save(model.state_dict(), path)
    network = TorchvisionNetwork(layers, name, path)
    expected, found = watched(model, layers, PICTURES), network(PICTURES)
    order = {layer: number for number, layer in enumerate(dict(model.named_modules()))}
    assert list(found) == network.layers and set(found) == set(layers)
    assert [layer for layer in network.layers if "." in layer] == sorted((x for x in layers if "." in x), key=order.get)
    for layer in layers:
        torch.testing.assert_close(found[layer], expected[layer])
    assert network(PICTURES, layers[:1]).keys() == {layers[0]}


def test_official_weights(monkeypatch):
    """What torchvision would download, by its address; and nobody to download from."""
    model, asked = randomised("squeezenet1_1"), []

    def download(url: str, **options: object) -> dict[str, torch.Tensor]:
        asked.append(url)
        return model.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    found = TorchvisionNetwork(["features.4"], "squeezenet1_1")(PICTURES)["features.4"]
    torch.testing.assert_close(found, watched(model, ["features.4"], PICTURES)["features.4"])
    TorchvisionNetwork(["features.4"], "squeezenet1_1", "IMAGENET1K_V1")
    assert len(asked) == 2 and all("squeezenet1_1" in url for url in asked)
    with pytest.raises(InputError, match=r"near are features\.4"):
        TorchvisionNetwork(["featres.4"], "squeezenet1_1")
    assert len(asked) == 2  # a misspelled name costs no download

    def refuse(url: str, **options: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(InputError, match=r"squeezenet1_1 weights could not be downloaded .*no route.*weights=PATH"):
        TorchvisionNetwork(["features.4"], "squeezenet1_1")


def test_it_is_frozen_and_cut_and_always_the_same():
    first, second = (TorchvisionNetwork(["features.4"], "squeezenet1_1", "random") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    nn.ModuleList([first]).train()
    assert not any(module.training for module in first.modules())
    assert not any(value.requires_grad for value in first.parameters())
    names = [name for name, _ in first.named_parameters()]
    assert names and {name.split(".")[2] for name in names} == {"0", "3", "4"}
    x = PICTURES.clone().requires_grad_()
    first(x)["features.4"].sum().backward()
    assert x.grad.abs().min() >= 0 and x.grad.std() > 0
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    TorchvisionNetwork(["features.1"], "squeezenet1_1", "random")
    assert torch.equal(torch.rand(1), before)  # nobody else's random numbers change


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_large"])
def test_the_objective_with_the_default_layers(name):
    content, style = DEFAULT_LAYERS[name]
    network = load_loss_network(name, weights="random")
    assert set(network.layers) == {content, *style}
    loss = PerceptualLoss(network, PICTURES[:1], {content: 1.0}, dict.fromkeys(style, 1.0))
    smallest = torch.rand(1, 3, network.minimum_size, network.minimum_size)
    assert loss(PICTURES, PICTURES).terms["content"] == 0 and loss(smallest, smallest).total.isfinite()
    torch.testing.assert_close(loss(PICTURES[:1], PICTURES[1:]).terms["style"], torch.zeros(()), atol=1e-4, rtol=0)
    assert loss(PICTURES[1:], PICTURES[:1]).total > 0.01


def test_all_default_layers_are_torchvisions():
    """By the names of its modules, on no device: a test that builds them all would take a minute."""
    families = {str(layers): name for name, layers in reversed(DEFAULT_LAYERS.items())}
    assert len(DEFAULT_LAYERS) >= 15 and len(families) == 9
    for name in families.values():
        content, style = DEFAULT_LAYERS[name]
        if name not in ("vgg16", "vgg19"):
            with torch.device("meta"):
                model = models.get_model(name, weights=None)
            modules = [layer for layer, _ in model.named_modules()]
            assert [*style] == sorted(style, key=modules.index) and content in style


def test_vgg_by_name():
    assert isinstance(load_loss_network(), VGG) and load_loss_network().layers == sorted(DEFAULT_LAYERS["vgg16"][1])
    random = load_loss_network("vgg19", ["conv2_1"], "random", "average")
    features = random(PICTURES)["conv2_1"]
    assert random.pooling == "average" and 0.3 < features.std() < 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet50x", ["layer1"], "random"), "unknown loss network 'resnet50x'.*near are resnet50"),
        (("raft_large", ["x"], "random"), "unknown loss network 'raft_large'"),
        (("resnet18", ["layr2"], "random"), "resnet18 has no layer 'layr2'; near are layer2"),
        (("resnet18", ["fc"], "random"), r"its layer fc gives \(1, 1000\), no feature maps"),
        (("swin_t", ["features.1"], "random"), r"its layer features.1 gives \(1, .*no feature maps"),
        (("resnet18", [], "random"), r"resnet18: name layers for loss\.content_layers and .*, of conv1 to fc"),
        (("resnet18", ["layer1"], "random", "average"), "pooling=average is for loss_network=vgg16 and vgg19"),
        (("resnet18", ["layer1"], "imagenet_caffe"), "'imagenet_caffe': expected torchvision, IMAGENET1K_V1, .*random"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message) as refused:
        load_loss_network(*arguments)
    assert "\n" not in str(refused.value)


def test_a_network_that_takes_its_own_size_only(monkeypatch):
    """As a vision transformer, of which only one side goes through."""
    monkeypatch.setattr(torchvision_network, "SIZES", (1, 2))
    with pytest.raises(InputError, match=r"squeezenet1_1 does not take pictures of any size and shape: .*input size"):
        TorchvisionNetwork(["features.12"], "squeezenet1_1", "random")


@pytest.mark.parametrize("damage", ["another network", "a layer is missing", "no weights"])
def test_weights_that_do_not_fit(tmp_path, damage):
    state = models.get_model("resnet18" if damage != "another network" else "squeezenet1_1", weights=None).state_dict()
    if damage == "a layer is missing":
        state = {name: value for name, value in state.items() if "layer1.1.conv2" not in name}
    torch.save(state if damage != "no weights" else [1], tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"do not fit resnet18|cannot be read"):
        TorchvisionNetwork(["layer1"], "resnet18", tmp_path / "weights.pth")
