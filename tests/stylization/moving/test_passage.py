"""From one style to another: the first frame is the one's, the last the other's, the middle half and half."""

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.models.model_file import load_model, save_model
from fastnst.models.styles import pick
from fastnst.stylization import Stylizer
from fastnst.stylization.moving.animation import AnimationReader
from fastnst.stylization.moving.passage import Passage, count_frames
from fastnst.stylization.moving.video_reader import VideoFrame, VideoReader
from fastnst.stylization.moving.video_writer import VideoWriter
from fastnst.stylization.probe import probe
from tests.models.test_styles import write
from tests.stylization.moving.test_animation import clip
from tests.stylization.moving.test_video import RATE, make


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "all.ckpt")


def test_shares_move_evenly():
    passage = Passage({"candy": 1.0}, {"ink": 0.5, "sea": 0.5}, 5)
    assert passage.shares(0) == {"candy": 1.0, "ink": 0.0, "sea": 0.0}
    assert passage.shares(1) == {"candy": 0.75, "ink": 0.125, "sea": 0.125}
    assert passage.shares(4) == passage.shares(7) == {"candy": 0.0, "ink": 0.5, "sea": 0.5}
    assert Passage({"ink": 1.0}, {"ink": 1.0}, 3).shares(1) == {"ink": 1.0}
    assert Passage({"ink": 1.0}, {"sea": 1.0}, 1).shares(0) == {"ink": 1.0, "sea": 0.0}


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_a_stylizer_changes_its_style_in_place(model, engine):
    picture = torch.rand(3, 24, 31)
    many = load_model(model)
    stylizer = Stylizer(many, "cpu", shares={"candy": 1.0}, engine=engine)
    engines, kernel = stylizer.engines, stylizer.network.to_rgb.weight.clone()
    for shares in ({"ink": 1.0}, {"candy": 0.25, "sea": 0.75}, {"candy": 1.0}):
        stylizer.set_shares(shares)
        expected = Stylizer(pick(many, shares), "cpu", engine=engine)
        assert torch.equal(stylizer(picture), expected(picture))
        assert stylizer.model.card == expected.model.card
    assert stylizer.engines is engines and torch.equal(stylizer.network.to_rgb.weight, kernel)


@pytest.mark.parametrize("extra", [[], ["--tile", 16]], ids=["whole", "tiles"])
def test_an_animation(stylize, model, tmp_path, extra):
    clip(tmp_path / "in.png", count=3)  # kept without loss
    answer = stylize("--model", model, "--style-from", "candy", "--style-to", "ink", "--input", "in.png", *extra)
    assert answer.code == 0, answer.err
    frames = list(AnimationReader(tmp_path / "stylized" / "in_candy_to_ink.png"))
    assert len(frames) == 3
    for number, style in enumerate(("candy", "candy=0.5,ink=0.5", "ink")):
        options = ["--style", style, "--input", "in.png", "--output", f"{number}.png", *extra]
        assert stylize("--model", model, *options).code == 0
        expected = list(AnimationReader(tmp_path / f"{number}.png"))
        assert torch.equal(frames[number].picture, expected[number].picture)
        assert not torch.equal(frames[number].picture, expected[number - 1].picture)


def test_a_video_with_steadying(stylize, model, tmp_path, monkeypatch):
    make(tmp_path / "in.mkv", count=9)
    painted = []  # before it is encoded, which loses some
    write_frame = VideoWriter.write

    def write(self, item):
        painted.append(item.picture)
        write_frame(self, item)

    monkeypatch.setattr(VideoWriter, "write", write)
    options = ["--model", model, "--input", "in.mkv", "--temporal", "0", "--stats"]
    answer = stylize(*options, "--style-from", "candy", "--style-to", "sea=0.5,ink=0.5")
    assert answer.code == 0 and "9 frames" in answer.out, answer.err
    assert (tmp_path / "stylized" / "in_candy_to_sea+ink.mkv").is_file()
    for style in ("candy", "candy=0.5,sea=0.25,ink=0.25", "sea=0.5,ink=0.5"):
        assert stylize(*options, "--style", style).code == 0
    passage, *steady = (np.stack(painted[start : start + 9]) for start in range(0, 36, 9))
    for number, own in zip((0, 4, 8), steady, strict=True):
        assert [n for n in range(9) if np.array_equal(passage[n], own[n])] == [number]


@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
@pytest.mark.parametrize(("start", "end"), [(0, None), (0.0, 0.2), (0.1, 0.21), (0.07, 0.3), (0.1, None), (0.05, 9)])
def test_frames_are_counted_beforehand(tmp_path, extension, start, end):
    source = make(tmp_path / f"in{extension}", count=12)
    reader = VideoReader(source, start, end)
    there = sum(isinstance(item, VideoFrame) for item in reader)
    reader.close()
    assert count_frames(probe(source), start, end) == there
    assert there == sum(start <= number / RATE < (end or math.inf) for number in range(12))
    assert count_frames(probe(clip(tmp_path / "in.gif"))) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--style-from", "candy"], "--style-from and --style-to go together, and without --style"),
        (["--style-to", "candy"], "--style-from and --style-to go together"),
        (["--style-from", "candy", "--style-to", "ink", "--style", "sea"], "and without --style"),
        (["--style-from", "candy", "--style-to", "nosuch"], "no style 'nosuch' in this model"),
        (["--style-from", "candy", "--style-to", "ink=0.5"], "sums to 0.5"),
        (["--style-from", "candy", "--style-to", "ink", "--model", "one.ckpt"], "--style picks from one --model"),
        (["--style-from", "candy", "--style-to", "ink", "--input", "still.jpg"], "still.jpg .* does not move"),
        (["--style-from", "candy", "--style-to", "ink", "--output", "first.jpg"], "first.jpg does not move"),
        (["--style-from", "candy", "--style-to", "ink", "--input", "mute.ts"], "mute.ts does not say how long it is"),
    ],
)
def test_wrong_calls_get_one_line(stylize, model, tmp_path, arguments, words, monkeypatch):
    one = pick(load_model(model), {"ink": 1.0})
    save_model(tmp_path / "one.ckpt", one.network, one.card)
    clip(tmp_path / "in.gif")
    Image.new("RGB", (20, 20)).save(tmp_path / "still.jpg")
    make(tmp_path / "mute.ts")
    if "mute.ts" in arguments:
        monkeypatch.setattr(VideoReader, "_duration", lambda self: None)
    answer = stylize("--model", model, "--input", "in.gif", *arguments)
    assert re.search(words, answer.error()), answer.err
    assert not (tmp_path / "stylized").exists()


def test_a_model_of_one_style(stylize, model, tmp_path):
    one = pick(load_model(model), {"ink": 1.0})
    save_model(tmp_path / "one.ckpt", one.network, one.card)
    clip(tmp_path / "in.gif")
    answer = stylize("--model", "one.ckpt", "--input", "in.gif", "--style-from", "candy", "--style-to", "ink")
    assert "this model has only one" in answer.error()
