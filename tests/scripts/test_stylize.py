"""Stylizing as a user does it: files, folders, broken ones among them, and wrong calls."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.images.reading import read_image
from fastnst.images.tensors import to_pil
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Stylizer


@pytest.fixture
def model(trained, tmp_path):
    path = tmp_path / "tiny.ckpt"
    shutil.copy(trained / "model.ckpt", path)
    return path


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = len(mode)
    values = np.random.default_rng(width).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(values[..., 0] if channels == 1 else values, mode)


def size(path) -> tuple[int, int]:
    with Image.open(path) as opened:
        opened.load()
        return opened.size


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (17, 33), (16, 16), (15, 40), (101, 64)])
def test_sizes_are_kept(stylize, model, tmp_path, shape):
    picture(*shape).save(tmp_path / "in.png")
    answer = stylize("--model", model, "--input", "in.png", "--output", "out.png")
    assert answer.code == 0 and answer.err == "", answer.err
    assert size(tmp_path / "out.png") == shape


def test_the_input_may_stand_alone(stylize, model, tmp_path):
    picture(20, 24).save(tmp_path / "in.png")
    for call in (["in.png", "--model", model], ["--model", model, "in.png"]):
        answer = stylize(*call, "--overwrite")
        assert answer.code == 0 and "stylized/in_tiny.png" in answer.out, answer
    assert size(tmp_path / "stylized" / "in_tiny.png") == (20, 24)
    assert "not allowed with argument" in stylize("--model", model, "in.png", "--input", "in.png").error()
    assert "unrecognized arguments: b.png" in stylize("--model", model, "in.png", "b.png").error()


def test_the_picture_is_the_networks(stylize, model, tmp_path):
    picture(40, 32).save(tmp_path / "in.png")
    assert stylize("--model", model, "--input", "in.png", "--output", "out.png").code == 0
    network = load_model(model).network
    with torch.no_grad():
        expected = to_pil(network(read_image(tmp_path / "in.png")[None])[0].clamp(0, 1))
    difference = np.abs(np.asarray(expected).astype(int) - np.asarray(Image.open(tmp_path / "out.png")).astype(int))
    assert difference.max() <= 1


def test_default_output_and_model_of_a_run(stylize, trained, tmp_path):
    picture(20, 20).save(tmp_path / "cat.jpg")
    answer = stylize("--model", trained / "model.ckpt", "--input", "cat.jpg")
    assert answer.code == 0 and answer.out == "[1/1] cat.jpg (20x20) -> stylized/cat_mosaic.png\n"
    assert size(tmp_path / "stylized" / "cat_mosaic.png") == (20, 20)


@pytest.mark.parametrize("card", [{}, {"style": None}])
def test_a_card_without_a_style(stylize, tmp_path, card):
    save_model(tmp_path / "model.ckpt", TransformerNetwork(width=2, residual_blocks=1), card)
    picture(20, 20).save(tmp_path / "cat.jpg")
    answer = stylize("--model", "model.ckpt", "--input", "cat.jpg")
    assert answer.code == 0, answer.err
    assert size(tmp_path / "stylized" / "cat_model.png") == (20, 20)


def test_without_input_a_sample_photograph(stylize, model, tmp_path):
    answer = stylize("--model", model)
    assert answer.code == 0, answer.err
    assert size(tmp_path / "stylized" / "chelsea_tiny.png") == (451, 300)


def test_into_a_folder_and_other_formats(stylize, model, tmp_path):
    picture(20, 24).save(tmp_path / "in.png")
    (tmp_path / "there").mkdir()
    for output, expected in (("there", "there/in_tiny.png"), ("new", "new/in_tiny.png"), ("deep/er/x.jpg",) * 2):
        assert stylize("--model", model, "--input", "in.png", "--output", output).code == 0
        assert size(tmp_path / expected) == (20, 24)


def test_alpha_is_kept(stylize, model, tmp_path):
    picture(24, 20, "RGBA").save(tmp_path / "in.png")
    assert stylize("--model", model, "--input", "in.png", "--output", "out.png").code == 0
    before, after = Image.open(tmp_path / "in.png"), Image.open(tmp_path / "out.png")
    assert after.mode == "RGBA"
    assert np.array_equal(np.asarray(before.getchannel("A")), np.asarray(after.getchannel("A")))
    assert stylize("--model", model, "--input", "in.png", "--output", "out.jpg").code == 0
    assert Image.open(tmp_path / "out.jpg").mode == "RGB"


def test_exif_turns_the_picture_once(stylize, model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture(40, 24).save(tmp_path / "in.jpg", exif=exif)
    assert stylize("--model", model, "--input", "in.jpg", "--output", "out.jpg").code == 0
    assert size(tmp_path / "out.jpg") == (24, 40)
    assert Image.open(tmp_path / "out.jpg").getexif().get(0x0112, 1) == 1


def test_grey_and_palette(stylize, model, tmp_path):
    picture(24, 20, "L").save(tmp_path / "grey.png")
    picture(24, 20).convert("P").save(tmp_path / "palette.gif")
    for name in ("grey.png", "palette.gif"):
        assert stylize("--model", model, "--input", name).code == 0


@pytest.fixture
def folder(tmp_path):
    """Pictures of several sizes in sub-folders, things that are no pictures, and one that is broken."""
    photos = tmp_path / "photos"
    (photos / "sub" / "deeper").mkdir(parents=True)
    picture(20, 30).save(photos / "a.png")
    picture(33, 17).save(photos / "sub" / "b.jpg")
    picture(18, 18).save(photos / "sub" / "deeper" / "c.bmp")
    (photos / "notes.txt").write_text("not a picture")
    (photos / "sub" / "table.csv").write_text("1,2")
    return photos


def results(path) -> list[str]:
    return sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())


def test_a_folder(stylize, model, folder, tmp_path):
    answer = stylize("--model", model, "--input", "photos", "--output", "out")
    assert answer.code == 0 and answer.err == ""
    assert results(tmp_path / "out") == ["a.png", "sub/b.png", "sub/deeper/c.png"]
    assert size(tmp_path / "out" / "sub" / "b.png") == (33, 17)
    assert [line.split()[0] for line in answer.out.splitlines()] == ["[1/3]", "[2/3]", "[3/3]"]
    assert stylize("--model", model, "--input", "photos").code == 0  # default: beside, named after folder and model
    assert results(tmp_path / "stylized" / "photos_tiny") == results(tmp_path / "out")


def test_a_broken_picture_in_a_folder(stylize, model, folder, tmp_path):
    whole = (folder / "a.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    answer = stylize("--model", model, "--input", "photos", "--output", "out")
    assert answer.code == 1
    assert results(tmp_path / "out") == ["a.png", "sub/b.png", "sub/deeper/c.png"]
    lines = answer.err.splitlines()
    assert len(lines) == 2 and "broken.png FAILED" in lines[0] and lines[1] == "1 of 4 failed, the others are done."


def test_results_inside_the_input_folder_are_not_stylized_again(stylize, model, folder, tmp_path):
    for _ in range(2):
        answer = stylize("--model", model, "--input", "photos", "--output", "photos/out", "--overwrite")
        assert answer.code == 0
    assert results(folder / "out") == ["a.png", "sub/b.png", "sub/deeper/c.png"]


def test_pictures_that_differ_only_in_their_ending(stylize, model, tmp_path):
    (tmp_path / "photos").mkdir()
    picture(16, 20).save(tmp_path / "photos" / "a.png")
    picture(20, 16).save(tmp_path / "photos" / "a.jpg")
    assert stylize("--model", model, "--input", "photos", "--output", "out").code == 0
    assert results(tmp_path / "out") == ["a.jpg.png", "a.png.png"]


def test_nothing_is_overwritten_unasked(stylize, model, folder, tmp_path):
    (tmp_path / "out.png").write_bytes(b"precious")
    call = ("--model", model, "--input", "photos/a.png", "--output", "out.png")
    assert "out.png exists (1 in all): add --overwrite" in stylize(*call).error()
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    assert stylize(*call, "--overwrite").code == 0
    assert size(tmp_path / "out.png") == (20, 30)
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "sub" / "b.png").write_bytes(b"precious")
    assert "b.png exists" in stylize("--model", model, "--input", "photos", "--output", "out").error()
    assert results(tmp_path / "out") == ["sub/b.png"]


def test_compare(stylize, model, tmp_path):
    picture(20, 30).save(tmp_path / "in.png")
    assert stylize("--model", model, "--input", "in.png", "--output", "out.png", "--compare").code == 0
    after = np.asarray(Image.open(tmp_path / "out.png"))
    assert after.shape == (30, 44, 3)  # a gap of 4 between
    assert np.array_equal(after[:, :20], np.asarray(Image.open(tmp_path / "in.png")))


def test_sheet(stylize, model, folder, tmp_path):
    answer = stylize("--model", model, "--input", "photos", "--output", "out", "--sheet", "sheet.png")
    assert answer.code == 0 and answer.out.endswith("Before and after: sheet.png\n")
    assert size(tmp_path / "sheet.png")[0] > 3 * 64
    assert "sheet.png exists" in stylize("--model", model, "--input", "photos", "--sheet", "sheet.png").error()


def test_info(stylize, model):
    answer = stylize("--model", model, "--info")
    assert answer.code == 0
    assert json.loads(answer.out) == load_model(model).card


def test_a_name_is_looked_up_in_checkpoints(stylize, model, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(model, tmp_path / "checkpoints" / "mine.ckpt")
    for name in ("mine", "mine.ckpt", "checkpoints/mine.ckpt", tmp_path / "checkpoints" / "mine.ckpt"):
        assert stylize("--model", name, "--info").code == 0
    assert " mine," in stylize("--model", "nope").error()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("", "--model"),
        ("--model tiny.ckpt --size 3", "unrecognized arguments: --size; see --help."),
        ("--model nope", "no model 'nope': expected the path of a model file or one of"),
        ("--model text.ckpt", "text.ckpt is damaged or not a model file"),
        ("--model empty.ckpt", "empty.ckpt is damaged or not a model file"),
        ("--model truncated.ckpt", "truncated.ckpt is damaged or not a model file"),
        ("--model other.ckpt", "other.ckpt is not a fastnst model file"),
        ("--model code.ckpt", "code.ckpt is damaged or not a model file"),
        ("--model last.ckpt", "last.ckpt is a file to resume training from: stylize with the model.ckpt beside it"),
        ("--model newer.ckpt", "newer.ckpt has model format 2, this fastnst"),
        ("--model foreign.ckpt", "foreign.ckpt does not hold the weights of the network its card names"),
        ("--model unknown.ckpt", "unknown network 'nope'"),
        ("--model tiny.ckpt --input missing.png", "--input missing.png: there is no such file or folder"),
        ("--model tiny.ckpt --input text.ckpt", "text.ckpt is not a picture"),
        ("--model tiny.ckpt --input broken.png", "broken.png cannot be read"),
        ("--model tiny.ckpt --input empty", "--input empty: no pictures in this folder"),
        ("--model tiny.ckpt --input in.png --output out.xyz", "--output out.xyz: expected one of .png"),
        ("--model tiny.ckpt --input in.png --output in.png/out.png", "in.png/out.png cannot be written"),
        ("--model tiny.ckpt --input full --output in.png", "in.png is a file and --input full a folder"),
        ("--model tiny.ckpt --input samples --output one.png", "one.png is one file for 5 pictures"),
        ("--model tiny.ckpt --input in.png --sheet sheet.txt", "--sheet sheet.txt: expected one of .png"),
        ("--model tiny.ckpt --input in.png --device abacus", "--device abacus"),
    ],
)
def test_wrong_calls(stylize, model, trained, tmp_path, call, message):
    content = torch.load(model, weights_only=True)
    card = content["card"]
    other_network = {**card, "network": {**card["network"], "arguments": {"width": 5}}}
    for name, value in {
        "other": {"a": 1},
        "newer": {**content, "version": 2},
        "foreign": {**content, "card": other_network},
        "unknown": {**content, "card": {**card, "network": {"name": "nope", "arguments": {}}}},
    }.items():
        torch.save(value, tmp_path / f"{name}.ckpt")
    torch.save(load_model(model).network, tmp_path / "code.ckpt")  # a pickled module
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "empty.ckpt").touch()
    (tmp_path / "truncated.ckpt").write_bytes(model.read_bytes()[:20000])
    shutil.copy(trained / "last.ckpt", tmp_path / "last.ckpt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    picture(20, 20).save(tmp_path / "in.png")
    picture(20, 20).save(tmp_path / "full" / "a.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "in.png").read_bytes()[:200])
    assert message in stylize(*call.split()).error()


HEAVY = (
    "pytorch_lightning", "lightning", "lightning_fabric", "torchmetrics", "hydra", "omegaconf", "tensorboard",
    "torchvision", "webdataset", "av", "cv2", "onnx", "onnxruntime", "onnxscript", "openvino", "skimage", "scipy",
    "matplotlib", "pandas", "safetensors.numpy", "torch._dynamo", "torch._inductor", "torch.onnx",
    "fastnst.data.photos", "fastnst.features", "fastnst.losses", "fastnst.training", "fastnst.optimization",
    "fastnst.export", "fastnst.benchmark", "fastnst.demo", "fastnst.styles", "fastnst.images.grids",
)  # fmt: skip
"""What a plain picture has no use for; each would be seconds or tenths of them before anything happens."""


def test_a_plain_picture_imports_nothing_heavy(model, project, tmp_path):
    code = (
        "import json, runpy, sys\n"
        f"sys.argv = ['stylize.py', '--device', 'cpu', '--model', {str(model)!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(project / 'scripts' / 'stylize.py')!r}, run_name='__main__')\n"
        "finally:\n"
        "    print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"torch", "PIL.Image", "fastnst.stylization.cpu.engine"} <= imported
    assert not imported & set(HEAVY)
    assert (tmp_path / "stylized" / "chelsea_tiny.png").is_file()


def test_stylizer_takes_names_paths_and_models(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = torch.rand(3, 20, 21)
    by_path = Stylizer(model, "cpu")(x)
    torch.testing.assert_close(Stylizer("tiny", "cpu")(x), by_path)
    torch.testing.assert_close(Stylizer(load_model(model), "cpu")(x), by_path)
