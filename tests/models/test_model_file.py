"""Model files: what goes in comes out, nothing in them is code, and what is wrong with one is said in a line."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst import __version__
from fastnst.errors import InputError
from fastnst.models import model_file
from fastnst.models.model_file import current_commit, find_model, load_model, save_model
from fastnst.networks import build_network

CARD = {"style": {"name": "mosaic", "size": 384}, "steps": 3, "losses": {"total": 1.5}}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network("transformer", {"width": 4, "residual_blocks": 1, "grain": 0.02})


@pytest.fixture
def saved(network, tmp_path):
    path = tmp_path / "sub" / "model.ckpt"
    save_model(path, network, CARD, torch.rand(3, 20, 30))
    return path


def rounded(weights):
    """NumPy's float16 for kernels, float32 as it is for the rest."""
    return {
        name: torch.from_numpy(value.numpy().astype(np.float16).astype(np.float32)) if value.ndim == 4 else value
        for name, value in weights.items()
    }


def test_what_goes_in_comes_out(saved, network):
    model = load_model(saved)
    expected, found = rounded(network.state_dict()), model.network.state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    assert {value.dtype for value in found.values()} == {torch.float32}
    x = torch.rand(1, 3, 20, 20)
    assert (model.network(x) - network(x)).abs().max() < 2 / 255
    assert not model.network.training and not any(value.requires_grad for value in model.network.parameters())
    assert model.card == {
        "network": {"name": "transformer", "arguments": network.arguments},
        "fastnst": __version__,
        "torch": torch.__version__,
        **CARD,
    }


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_picture_is_no_model_and_it_is_said(tmp_path, form):
    """Whatever it is called: the head of the file tells."""
    Image.new("RGB", (20, 30)).save(tmp_path / "model.ckpt", form)
    with pytest.raises(InputError, match=rf"model\.ckpt is a picture \({form}\), not a model: "):
        load_model(tmp_path / "model.ckpt")


def test_the_thumbnail_is_kept_to_8_bits(network, tmp_path):
    thumbnail = torch.rand(3, 20, 30)
    save_model(tmp_path / "a.ckpt", network, CARD, thumbnail)
    assert (load_model(tmp_path / "a.ckpt").thumbnail - thumbnail).abs().max() <= 0.5 / 255 + 1e-6
    save_model(tmp_path / "b.ckpt", network, CARD)
    assert load_model(tmp_path / "b.ckpt").thumbnail is None


def test_the_format(saved):
    content = torch.load(saved, weights_only=True)
    assert content.keys() == {"format", "version", "card", "weights", "thumbnail"}
    assert (content["format"], content["version"]) == ("fastnst-model", 1)
    assert content["thumbnail"].dtype == torch.uint8


def test_the_papers_network_in_half_precision(tmp_path):
    """Earlier versions read it, too: they copied the weights into a network of float32."""
    torch.manual_seed(0)
    network = build_network("transformer", {})
    save_model(tmp_path / "a.ckpt", network, CARD, torch.rand(3, 72, 96))
    assert (tmp_path / "a.ckpt").stat().st_size < 3.5e6
    written = torch.load(tmp_path / "a.ckpt", weights_only=True)["weights"]
    assert {(value.ndim, value.dtype) for value in written.values()} == {(4, torch.float16), (1, torch.float32)}
    earlier = build_network("transformer", {})
    earlier.load_state_dict(written)
    now = load_model(tmp_path / "a.ckpt").network.state_dict()
    assert all(torch.equal(value, now[name]) for name, value in earlier.state_dict().items())


def test_what_half_precision_cannot_hold_stays_whole(network, tmp_path):
    """Values beyond 65504 and kernels of nothing but tiny ones; tiny ones beside others are rounded by 2^-25."""
    large, tiny, mixed = (network.encoder[0][0], network.encoder[1][0], network.to_rgb)
    with torch.no_grad():
        large.weight[0, 0, 0, 0] = 65520.0  # rounds to infinity
        tiny.weight.mul_(1e-7)
        mixed.weight[0] *= 1e-6
    save_model(tmp_path / "a.ckpt", network, CARD)
    found = load_model(tmp_path / "a.ckpt").network
    assert torch.equal(found.encoder[0][0].weight, large.weight) and torch.equal(
        found.encoder[1][0].weight, tiny.weight
    )
    lost = (found.to_rgb.weight - mixed.weight).abs()
    assert 0 < lost[0].max() <= 2**-25
    written = torch.load(tmp_path / "a.ckpt", weights_only=True)["weights"]
    assert [name for name, value in written.items() if value.ndim == 4 and value.dtype == torch.float32] == [
        "encoder.0.0.weight",
        "encoder.1.0.weight",
    ]


def test_weights_of_any_kind_are_loaded_as_plain_float32(network, tmp_path):
    expected = rounded(network.state_dict())
    network.to(memory_format=torch.channels_last)
    save_model(tmp_path / "a.ckpt", network, CARD)
    for name, value in load_model(tmp_path / "a.ckpt").network.state_dict().items():
        assert value.is_contiguous() and torch.equal(value, expected[name])
    save_model(tmp_path / "b.ckpt", network.bfloat16(), CARD)
    assert {value.dtype for value in load_model(tmp_path / "b.ckpt").network.state_dict().values()} == {torch.float32}


def test_code_in_a_file_never_runs(tmp_path, saved):
    class Malice:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    content = torch.load(saved, weights_only=True)
    torch.save({**content, "card": Malice()}, tmp_path / "bad.ckpt")
    with pytest.raises(InputError, match=r"bad\.ckpt is damaged or not a model file"):
        load_model(tmp_path / "bad.ckpt")
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Malice()))
    with pytest.raises(InputError):
        load_model(tmp_path / "bad.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", [0, 1, 10, 0.3, 0.9, 0.999])
def test_truncated_files(saved, part):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: part if isinstance(part, int) else int(len(whole) * part)])
    with pytest.raises(InputError, match="damaged or not a model file"):
        load_model(saved)


def test_flipped_bits_are_noticed_or_harmless(saved):
    """The zip's checksums cover the weights."""
    whole = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    whole[largest.header_offset + 200] ^= 0xFF
    saved.write_bytes(whole)
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "is not a fastnst model file"),
        ({"version": 2}, "has model format 2, this fastnst .* reads up to 1: install a newer"),
        ({"version": "x"}, "has model format x"),
        ({"card": {}}, "does not hold the weights of the network its card names"),
        ({"card": None}, "does not hold"),
        ({"card": {"network": {"name": "nope", "arguments": {}}}}, "unknown network 'nope'"),
        ({"card": {"network": {"name": "transformer", "arguments": {"width": 8}}}}, "does not hold the weights"),
        ({"weights": {}}, "does not hold the weights"),
        ({"weights": [1]}, "does not hold"),
    ],
)
def test_what_is_refused(saved, change, message):
    torch.save({**torch.load(saved, weights_only=True), **change}, saved)
    with pytest.raises(InputError, match=message):
        load_model(saved)


def test_other_files(tmp_path):
    with pytest.raises(InputError, match="there is no model file"):
        load_model(tmp_path / "missing.ckpt")
    with pytest.raises(InputError, match="there is no model file"):
        load_model(tmp_path)
    torch.save(torch.zeros(3), tmp_path / "tensor.ckpt")
    with pytest.raises(InputError, match="is not a fastnst model file"):
        load_model(tmp_path / "tensor.ckpt")


def test_a_file_is_written_whole_or_not_at_all(network, tmp_path, monkeypatch):
    path = tmp_path / "model.ckpt"
    save_model(path, network, CARD)
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"model\.ckpt cannot be written .*No space left"):
        save_model(path, network, CARD)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["model.ckpt"]


def test_a_folder_that_cannot_be_made(network, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        save_model(tmp_path / "file" / "model.ckpt", network, CARD)


def test_find_model(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_file, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setenv("FASTNST_HOME", str(tmp_path / "home"))
    for folder, name in (("checkpoints", "checkpoints"), ("shipped", "shipped"), ("home/checkpoints", "home")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"{name}_own.ckpt").write_bytes(saved.read_bytes())
    assert find_model(str(saved)) == saved
    assert find_model("sub/model").name == "model.ckpt"
    assert find_model("shipped_own") == tmp_path / "shipped" / "shipped_own.ckpt"
    assert find_model("home_own") == tmp_path / "home" / "checkpoints" / "home_own.ckpt"
    assert find_model("checkpoints_own.ckpt").parts[0] == "checkpoints"
    with pytest.raises(
        InputError,
        match=r"no model 'nope': .*one of candy, checkpoints_own, home_own, "
        "paintings_steady, shipped_own",
    ):
        find_model("nope")


def test_commit(monkeypatch):
    commit = current_commit()
    assert commit is None or len(commit.removesuffix("+changes")) >= 7
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(model_file, "PACKAGE", model_file.PACKAGE / "models")  # in a repository that is not ours
        assert current_commit() is None
    monkeypatch.setenv("PATH", "")
    assert current_commit() is None
