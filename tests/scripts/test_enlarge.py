"""fastnst enlarge, and stylize --then: sizes, tiles, kinds of files, and what is refused."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.benchmark.commands.against_originals import summary
from fastnst.demo.atelier import Atelier
from fastnst.export import export_onnx, export_safetensors, export_torchscript
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize
from fastnst.models.model_file import load_enlarger, save_model
from fastnst.networks import build_network
from fastnst.stylization import Controls, Stylizer
from fastnst.stylization.enlarger import Enlarger
from fastnst.stylization.tiles.tiled_run import tiles
from tests.conftest import PROJECT, run_script


def made(folder, name="enlarging", **arguments):
    """A model with weights everywhere, and statistics of its normalisations."""
    torch.manual_seed(0)
    network = build_network(name, arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        network(torch.rand(2, 3, 16, 16))
    path = folder / f"{name}{network.factor}.ckpt"
    save_model(path, network, {})
    return path


@pytest.fixture
def model(tmp_path):
    return made(tmp_path, factor=2, width=4, residual_blocks=1)


@pytest.fixture
def enlarge(tmp_path, model):
    return lambda *arguments: run_script("enlarge", "--device", "cpu", "--model", model, *arguments, cwd=tmp_path)


def picture(path, size=(23, 17), mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    whole = Image.fromarray(pixels, "RGBA") if mode == "RGBA" else Image.fromarray(pixels[..., :3]).convert(mode)
    whole.save(path)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        {"factor": 3, "width": 4, "residual_blocks": 2},
        {"factor": 4, "width": 4, "residual_blocks": 2, "stages": 2},
        {"name": "johnson2016_sr"},
    ],
)
def test_tiles_equal_the_whole_picture(tmp_path, arguments):
    path = made(tmp_path, **arguments)
    photo, told = torch.rand(3, 50, 61), []
    whole = Enlarger(path, "cpu")(photo)
    torch.testing.assert_close(whole, load_enlarger(path).network(photo[None])[0].clamp(0, 1))
    enlarger = Enlarger(path, "cpu", tile=11)
    assert len(list(tiles(50, 61, 11, enlarger.network.reach))) == 30
    torch.testing.assert_close(enlarger(photo, progress=told.append), whole, atol=1e-4, rtol=0)
    assert told[-1] == 1 and len(told) == 30


@pytest.mark.parametrize(
    ("mode", "ending"), [("RGB", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("P", "gif"), ("L", "png")]
)
def test_every_kind_of_still(enlarge, model, tmp_path, mode, ending):
    given = picture(tmp_path / f"a.{ending}", mode=mode)
    answer = enlarge("--input", given, "--output", "b.png")
    assert answer.code == 0, answer.err
    result = Image.open(tmp_path / "b.png")
    assert result.size == (46, 34) and result.mode == ("RGBA" if mode == "RGBA" else "RGB")
    expected = Enlarger(model, "cpu")(read_image(given))
    if mode != "RGBA":  # what is transparent is white to read_image
        assert (read_image(tmp_path / "b.png") - expected).abs().max() < 0.51 / 255


def test_deep_colour_one_pixel_and_the_default_names(enlarge, tmp_path):
    Image.fromarray(np.full((9, 9), 40000, np.uint16)).save(tmp_path / "deep.png")
    picture(tmp_path / "dot.png", (1, 1))
    for name, size in (("deep", 18), ("dot", 2)):
        assert enlarge("--input", f"{name}.png").code == 0
        assert Image.open(tmp_path / "enlarged" / f"{name}_enlarging2.png").size == (size, size)


def test_a_folder_compared_and_on_a_sheet(enlarge, photos, tmp_path):
    answer = enlarge("--input", photos, "--output", "out", "--compare", "--sheet", "sheet.png", "--max-side", 30)
    assert answer.code == 0, answer.err
    results = sorted((tmp_path / "out").iterdir())
    before = resize(Controls(max_side=30).reduce(read_image(photos / "photo0.png")), 50, 60)
    compared = read_image(results[0])
    assert len(results) == 8 and compared.shape == (3, 50, 124)  # both sides, and the gap between
    assert (compared[..., :60] - before).abs().max() < 1.01 / 255
    assert (tmp_path / "sheet.png").exists()


def test_an_animation_and_a_video(enlarge, tmp_path):
    frames = [Image.fromarray(np.full((10, 12, 3), 60 * n, np.uint8)) for n in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=80, loop=0)
    for name in ("b.gif", "b.mp4"):
        answer = enlarge("--input", "a.gif", "--output", name)
        assert answer.code == 0 and "3 frames" in answer.out, answer.err
    with Image.open(tmp_path / "b.gif") as result:
        assert (result.size, result.n_frames, result.info["duration"]) == ((24, 20), 3, 80)
    assert enlarge("--input", "b.mp4", "--output", "c.gif").code == 0
    assert Image.open(tmp_path / "c.gif").size == (48, 40)
    refused = enlarge("--input", "a.gif", "--output", "d.gif", "--max-pixels", 300).error()
    assert (
        "the limit is 300 pixels in all" in refused
    )  # four pictures' worth of the result's pixels, of which four are one


def test_standard_streams(model, tmp_path):
    given = picture(tmp_path / "a.png").read_bytes()
    command = [sys.executable, PROJECT / "scripts" / "enlarge.py", "--model", model, "--input", "-", "--output", "-"]
    answer = subprocess.run(command, input=given, capture_output=True, cwd=tmp_path, check=True)
    assert Image.open(io.BytesIO(answer.stdout)).size == (46, 34)


def test_what_is_refused(enlarge, stylize, model, tmp_path):
    picture(tmp_path / "a.png")
    assert "give it to `fastnst stylize`" in enlarge("--model", "mosaic").error()
    assert "give it to `fastnst enlarge`" in stylize("--model", model, "--input", "a.png").error()
    assert "give it to `fastnst stylize`" in stylize("--model", "mosaic", "--then", "candy", "--input", "a.png").error()
    refused = enlarge("--input", "a.png", "--max-pixels", 1563).error()
    assert "23 x 17 pixels enlarged by 2 are 1,564; the limit is 1,563" in refused
    assert "tile=0: expected a side in pixels" in enlarge("--input", "a.png", "--tile", 0).error()
    assert enlarge("--info").out.startswith("{")


def test_then_paints_small_and_enlarges(stylize, model, tmp_path):
    """The photograph's size, odd as it is, by half of it painted."""
    picture(tmp_path / "a.png", (81, 67))
    answer = stylize("--model", "mosaic", "--then", model, "--input", "a.png", "--output", "b.png")
    assert answer.code == 0, answer.err
    half = Stylizer("mosaic", "cpu")(resize(read_image(tmp_path / "a.png"), 34, 41))
    expected = resize(Enlarger(model, "cpu")(half), 67, 81)
    assert (read_image(tmp_path / "b.png") - expected).abs().max() < 1.01 / 255


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
@pytest.mark.parametrize("stages", [1, 2])
def test_exports(tmp_path, stages):
    model = load_enlarger(made(tmp_path, factor=4, stages=stages))
    assert export_onnx(model, tmp_path / "m.onnx").largest < 1e-4
    assert export_onnx(model, tmp_path / "h.onnx", "int8").mean < 2 / 255
    assert export_torchscript(model, tmp_path / "m.pt").largest < 1e-4
    assert export_safetensors(model, tmp_path / "m.safetensors").largest == 0
    assert load_enlarger(tmp_path / "m.safetensors").network.factor == 4
    answer = run_script("export", "--model", tmp_path / "enlarging4.ckpt", "--format", "onnx", cwd=tmp_path)
    assert answer.code == 0 and (tmp_path / "exported" / "enlarging4.onnx").exists()


def test_the_papers_network_as_onnx(tmp_path):
    model = load_enlarger(made(tmp_path, "johnson2016_sr", factor=2))
    assert export_onnx(model, tmp_path / "m.onnx").largest < 1e-4


def test_the_demo_page_has_it(model, tmp_path):
    atelier = Atelier([str(model)], "cpu")
    painted = atelier.paint("enlarging2", picture(tmp_path / "a.png", mode="RGBA"), Controls(max_side=20))
    assert "40 x 30" in painted.text
    assert Image.open(painted.after).size == Image.open(painted.before).size == (40, 30)
    atelier.close()


def test_benchmark(model, photos, tmp_path):
    answer = run_script(
        "benchmark", "enlarge", "--device", "cpu", "--photos", photos, "--count", 2, "--models", model,
        "--sheet", "sheet.png", "--json", "f.json", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert [line.split()[:2] for line in answer.out.splitlines()[1:7]] == [
        [name, by] for name in ("photo0", "photo1", "mean") for by in ("bicubic", "enlarging2")
    ]  # fmt: skip
    assert read_image(tmp_path / "sheet.png").shape[2] > 1200
    rows = [
        {"by": by, "psnr": p, "ssim": 0.5, "distance": d, "pixels": 500_000}
        for by, p, d in (("bicubic", 20.0, 0.4), ("m", 22.0, 0.2), ("bicubic", 30.0, 0.2), ("m", 34.0, 0.1))
    ]
    mean = summary(rows, {"m": 0.5})[1]
    assert (mean["psnr"], mean["distance_ratio"], mean["megapixels_per_second"]) == (28.0, pytest.approx(0.5), 2.0)
    other = made(tmp_path, factor=4, width=4, residual_blocks=1)
    refused = run_script("benchmark", "enlarge", "--photos", photos, "--models", model, other, cwd=tmp_path)
    assert "--models enlarge by 2, 4: give those of one factor" in refused.error()
