"""scripts/visualize_features.py as a user calls it."""

import pytest

from fastnst.images.reading import read_image
from tests.conftest import run_script


@pytest.fixture
def visualize(tmp_path):
    return lambda *arguments: run_script("visualize_features", *arguments, cwd=tmp_path)


def test_strongest_channels(visualize, tmp_path):
    answer = visualize("--layer", "relu2_1", "--top", 2, "--patches", 2, "--size", 32, "--output", "sheet.png")
    assert answer.code == 0, answer.err
    assert read_image(tmp_path / "sheet.png").shape[1] > 2 * 112
    assert "exists: add --overwrite" in visualize("--output", "sheet.png").error()


def test_one_channel_whole(visualize, tmp_path):
    answer = visualize("--layer", "conv2_2", "--channel", 5, "--keep", "channel", "--size", 32)
    assert answer.code == 0, answer.err
    assert (tmp_path / "outputs" / "features" / "chelsea_channels_conv2_2.png").is_file()


@pytest.mark.parametrize("mode", ["--reconstruct", "--texture"])
def test_inversion(visualize, tmp_path, mode):
    answer = visualize(mode, "--layer", "relu1_1", "relu2_1", "--size", 24, "--steps", 3, "--output", "sheet.png")
    assert answer.code == 0, answer.err
    assert read_image(tmp_path / "sheet.png").shape[2] > 3 * 224


def test_similar(visualize, photos, tmp_path):
    answer = visualize("--image", photos / "photo3.png", "--similar", photos, "--layer", "relu2_1", "--size", 24,
                       "--count", 3, "--output", "sheet.png")  # fmt: skip
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()[:3]
    assert all(line.endswith(".png") and "photo3" not in line for line in lines)
    cosines = [float(line.split()[0]) for line in lines]
    assert cosines == sorted(cosines, reverse=True)
    (tmp_path / "empty").mkdir()
    assert "no other pictures" in visualize("--similar", "empty", "--layer", "relu1_1", "--size", 24).error()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--layer", "relu9_9"), "no layer 'relu9_9'"),
        (("--layer", "relu1_1", "relu2_1"), "one layer, or several with --reconstruct"),
        (("--image", "gone.png"), "no such picture file"),
        (("--channel", 64, "--layer", "relu1_1"), "channels 0 to 63"),
        (("--size", 2, "--layer", "relu4_1"), "at least 8 pixels"),
        (("--top", 0), "--top=0"),
        (("--output", "sheet.xyz"), ".png"),
        (("--loss-network", "vgg19", "--weights", "gone.pth"), "gone.pth"),
        (("--similar", "gone", "--layer", "relu1_1"), "gone is not there"),
        (("--nosuch",), "--help"),
    ],
)
def test_wrong_calls(visualize, arguments, said):
    assert said in visualize(*arguments).error()
