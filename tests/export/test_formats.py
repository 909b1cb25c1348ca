"""Exported models: they paint what PyTorch paints, carry their card, and never replace a file unasked."""

import json

import onnx
import onnxruntime
import pytest
import torch

from fastnst.errors import InputError
from fastnst.export import export_onnx, export_safetensors, export_torchscript, formats
from fastnst.images.reading import read_image
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import build_network
from fastnst.stylization import Stylizer
from tests.conftest import run_script

SIZES = ((1, 1), (1, 40), (15, 16), (17, 23), (64, 48), (101, 130))
CARD = {"style": {"name": "mosaic"}, "steps": 3}
NETWORKS = [
    {"grain": 0.03},
    {"upsampling": "transposed", "output": "linear", "epsilon": 1e-3},
    {"output": "dark_tanh", "residual_blocks": 0},
    {"trunk": 12, "kernel": 5, "separable": True},
]


@pytest.fixture
def model(tmp_path):
    return made(tmp_path)


def made(folder, **arguments):
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 4, "residual_blocks": 2, "grain": 0.03} | arguments)
    with torch.no_grad():
        for value in network.parameters():  # biases and norms, too
            if value.ndim == 1:
                value.add_(0.1 * torch.randn_like(value))
    save_model(folder / "small.ckpt", network, CARD, torch.rand(3, 16, 20))
    return load_model(folder / "small.ckpt")


@pytest.mark.parametrize("arguments", NETWORKS, ids=["ours", "foreign", "dark", "slim"])
def test_onnx_equals_pytorch_at_every_size(arguments, tmp_path):
    model = made(tmp_path, **arguments)
    assert export_onnx(model, tmp_path / "m.onnx").largest < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, "height", "width"] == session.get_outputs()[0].shape
    ours = Stylizer(model, "cpu")
    for size in SIZES:
        picture = torch.rand(3, *size)
        (painted,) = session.run(["stylized"], {"picture": picture[None].numpy()})
        torch.testing.assert_close(torch.from_numpy(painted)[0], ours(picture), atol=1e-4, rtol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
@pytest.mark.parametrize("arguments", NETWORKS[:2], ids=["ours", "foreign"])
def test_torchscript_equals_pytorch_at_every_size(arguments, tmp_path):
    model = made(tmp_path, **arguments)
    assert export_torchscript(model, tmp_path / "m.pt").largest < 1e-4
    extra = {"card.json": ""}
    script = torch.jit.load(tmp_path / "m.pt", _extra_files=extra)
    assert json.loads(extra["card.json"]) == model.card
    for size in SIZES:
        picture = torch.rand(3, *size)
        torch.testing.assert_close(script(picture[None])[0], Stylizer(model, "cpu")(picture), atol=1e-4, rtol=0)


def test_safetensors_comes_back_whole(model, tmp_path):
    assert export_safetensors(model, tmp_path / "m.safetensors").largest == 0
    again = load_model(tmp_path / "m.safetensors")
    assert again.card == model.card
    torch.testing.assert_close(again.thumbnail, model.thumbnail, rtol=0, atol=0)
    assert export_safetensors(model, tmp_path / "h.safetensors", half=True).largest < 2 / 255
    half, full = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("h", "m"))
    assert half < 0.75 * full  # names and card are most of a network this small


def test_the_card_travels_and_reduced_files_are_smaller(tmp_path):
    model = made(tmp_path, width=16)  # in narrower ones rounding a weight shows
    differences, sizes = {}, {}
    for precision in ("float", "half", "int8"):
        path = tmp_path / f"{precision}.onnx"
        differences[precision] = export_onnx(model, path, precision).largest
        exported = onnx.load(path)
        sizes[precision] = sum(len(one.raw_data) for one in exported.graph.initializer)
        (card,) = [json.loads(entry.value) for entry in exported.metadata_props if entry.key == "fastnst.card"]
        assert card == model.card
        kinds = [node.op_type for node in exported.graph.node]
        # two blocks that upsample: in phases, whose sums of weights would be rounded where weights are
        assert (kinds.count("DepthToSpace"), kinds.count("Resize")) == ((2, 0) if precision == "float" else (0, 2))
    assert max(differences["float"], differences["half"]) < 1e-4 < differences["int8"] < 0.5  # our files are half, too
    assert sizes["half"] < 0.6 * sizes["float"] and sizes["int8"] < 0.4 * sizes["float"]


def test_nothing_is_replaced_and_nothing_wrong_is_kept(model, tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists: add --overwrite"):
        export_onnx(model, path)
    monkeypatch.setattr(formats, "compare", lambda *painters: formats.Difference(0.5, 0.1))
    with pytest.raises(InputError, match=r"differs by 127.5/255 at most, more than 2/255: nothing was written"):
        export_onnx(model, path, overwrite=True)
    assert path.read_text() == "mine" and len(list(tmp_path.glob(".*"))) == 0


def test_what_is_for_other_programs_is_not_read_back(model, tmp_path):
    export_onnx(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"m.onnx is a model for other programs: give the model.ckpt"):
        load_model(tmp_path / "m.onnx")
    (tmp_path / "cut.safetensors").write_bytes(b"12345678901")
    with pytest.raises(InputError, match="damaged or not a model file"):
        load_model(tmp_path / "cut.safetensors")


def test_a_card_without_a_style(tmp_path):
    save_model(tmp_path / "model.ckpt", build_network("transformer", {"width": 4, "residual_blocks": 1}), {})
    answer = run_script("export", "--model", "model.ckpt", "--format", "safetensors", cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert (tmp_path / "exported" / "model.safetensors").is_file()


def test_command_lines_export_and_stylize(model, tmp_path, photos):
    photo = sorted(file for file in photos.rglob("*") if file.is_file())[0]
    answer = run_script("export", "--model", "small.ckpt", "--format", "onnx", cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert "at three sizes: at most" in answer.out and "exported/small.onnx" in answer.out
    assert "add --overwrite" in run_script("export", "--model", "small.ckpt", "--format", "onnx", cwd=tmp_path).error()
    assert run_script("export", "--model", "small.ckpt", "--format", "safetensors", cwd=tmp_path).code == 0
    for number, name in enumerate(("small.ckpt", "exported/small.safetensors")):
        answer = run_script("stylize", "--model", name, "--input", photo, "--output", f"{number}.png", cwd=tmp_path)
        assert answer.code == 0, answer.err
    assert (read_image(tmp_path / "0.png") - read_image(tmp_path / "1.png")).abs().max() <= 1.001 / 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "tflite"], "invalid choice: 'tflite'"),
        (["--format", "onnx", "--half", "--quantize"], "give one of them"),
        (["--format", "torchscript", "--half"], "keep full precision"),
        (["--format", "safetensors", "--quantize"], "keep no 8-bit weights"),
        (["--format", "onnx", "--output", "m.pt"], "expected .onnx at its end"),
        (["--format", "onnx", "--runtime", "x"], "--runtime is for --format web"),
        (["--format", "web", "--runtime", "x"], "is not the package onnxruntime-web"),
    ],
)
def test_wrong_calls_get_one_line(arguments, message, model, tmp_path):
    assert message in run_script("export", "--model", "small.ckpt", *arguments, cwd=tmp_path).error()
