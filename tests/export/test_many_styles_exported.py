"""Models of many styles for other programs: a second input says how much of each, or one is taken out."""

import json

import onnx
import onnxruntime
import pytest
import torch

from fastnst.errors import InputError
from fastnst.export import agreement, export_onnx, export_safetensors, export_torchscript, formats
from fastnst.models.model_file import load_model
from fastnst.models.styles import style_names
from tests.conftest import run_script
from tests.models.test_styles import NAMES, write

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")

SHARES = [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.25, 0.5, 0.25)]
SIZES = [(1, 40), (17, 23), (64, 48)]


@pytest.fixture
def model(tmp_path):
    return load_model(write(tmp_path / "all.ckpt"))


def cases(model):
    """Pictures, shares, and what the network as it is written makes of them."""
    for shares in SHARES:
        for size in SIZES:
            picture, style = torch.rand(1, 3, *size), torch.tensor(shares)
            seen = torch.nn.functional.pad(picture, (0, 0, 0, 15), mode="replicate") if size[0] < 16 else picture
            with torch.no_grad():
                yield picture, style, model.network(seen, style=style[None]).clamp(0, 1)[..., : size[0], :]


@pytest.mark.parametrize("precision", ["float", "half"])
def test_onnx(model, tmp_path, precision):
    assert export_onnx(model, tmp_path / "m.onnx", precision).largest < (1e-4 if precision == "float" else 2 / 255)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("picture", [1, 3, "height", "width"]), ("style", [3]),
    ]  # fmt: skip
    (card,) = [json.loads(entry.value) for entry in onnx.load(tmp_path / "m.onnx").metadata_props]
    assert [style["name"] for style in card["styles"]] == list(NAMES)
    for picture, style, expected in cases(model):
        (painted,) = session.run(["stylized"], {"picture": picture.numpy(), "style": style.numpy()})
        torch.testing.assert_close(torch.from_numpy(painted), expected, atol=1e-4, rtol=0)


def test_torchscript(model, tmp_path):
    assert export_torchscript(model, tmp_path / "m.pt").largest < 1e-4
    script = torch.jit.load(tmp_path / "m.pt")
    for picture, style, expected in cases(model):
        torch.testing.assert_close(script(picture, style), expected, atol=1e-4, rtol=0)


def test_safetensors(model, tmp_path):
    assert export_safetensors(model, tmp_path / "m.safetensors").largest == 0
    again = load_model(tmp_path / "m.safetensors")
    assert style_names(again) == list(NAMES) and again.card == model.card
    assert torch.equal(again.thumbnail, model.thumbnail)
    state = model.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.network.state_dict().items())


def test_every_style_is_compared(model, tmp_path, monkeypatch):
    asked = []

    def painter(picture, shares=None):
        asked.append(shares.tolist())
        return picture + (shares[2] if picture.shape[-2:] == (9, 21) else 0)

    difference = agreement.compare(lambda picture, shares: picture, painter, 3)
    assert difference.largest == 1
    third = pytest.approx(1 / 3)
    assert asked == 3 * [[1, 0, 0], [0, 1, 0], [0, 0, 1], [third, third, third]]
    monkeypatch.setattr(formats, "compare", lambda ours, theirs, styles: agreement.Difference(styles, styles))
    for export in (export_onnx, export_safetensors, export_torchscript):
        with pytest.raises(InputError, match="differs by 765"):
            export(model, tmp_path / "m.safetensors")


@pytest.mark.parametrize("extra", [["--format", "onnx"], ["--format", "torchscript"], ["--format", "safetensors"]])
@pytest.mark.parametrize("style", ["ink", "candy=0.75,sea=0.25"])
def test_one_style_alone(model, tmp_path, extra, style):
    name = {"ink": "ink"}.get(style, "candy+sea")
    answer = run_script("export", "--model", "all.ckpt", "--style", style, *extra, cwd=tmp_path)
    assert answer.code == 0 and "at three sizes: at most" in answer.out, answer.err
    (path,) = (tmp_path / "exported").iterdir()
    assert path.stem == name
    picture = torch.rand(1, 3, 24, 31)
    shares = torch.tensor([[0.0, 1.0, 0.0] if style == "ink" else [0.75, 0.0, 0.25]])
    with torch.no_grad():
        expected = model.network(picture, style=shares).clamp(0, 1)
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        painted = torch.from_numpy(session.run(None, {"picture": picture.numpy()})[0])
    elif path.suffix == ".pt":
        painted = torch.jit.load(path)(picture)
    else:
        one = load_model(path)
        assert style_names(one) == [] and one.card["style"]["name"] == name
        with torch.no_grad():
            painted = one.network(picture).clamp(0, 1)
    torch.testing.assert_close(painted, expected, atol=1e-4, rtol=0)


def test_wrong_styles_get_one_line(model, tmp_path):
    answer = run_script("export", "--model", "all.ckpt", "--style", "nosuch", "--format", "onnx", cwd=tmp_path)
    assert "no style 'nosuch' in this model: expected one of candy, ink, sea" in answer.error()
