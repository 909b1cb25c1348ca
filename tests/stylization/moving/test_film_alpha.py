"""Transparent films: what is transparent in ProRes 4444 and VP9 stays so, and elsewhere there is a word."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from fastnst.stylization.moving import video_writer
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.moving.video_reader import VideoReader
from tests.stylization.moving.test_video import read, scene

KINDS = {".mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}), ".webm": ("libvpx-vp9", "yuva420p", {})}

RATE = Fraction(60000, 1001)


def opacity(number: int) -> np.ndarray:
    """A ramp downwards that moves, with a hole on the right."""
    alpha = np.repeat((np.arange(48, dtype=np.uint8) * 3 + 60 + number)[:, None], 64, axis=1)
    alpha[:, 48:] = 0
    return alpha


@pytest.fixture(params=KINDS)
def film(request, tmp_path):
    """Seven frames by libavcodec alone."""
    codec, pix_fmt, options = KINDS[request.param]
    path = tmp_path / f"in{request.param}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options={"auto-alt-ref": "0", "crf": "4", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.metadata["alpha_mode"] = "1"
        for number in range(7):
            rgba = np.dstack((scene(number, 48, 64), opacity(number)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        container.mux(stream.encode())
    return path


def decoded(path) -> list[np.ndarray]:
    """(48, 64, 4) of each frame, by the decoder that knows alpha."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        vp9 = stream.codec_context.name == "vp9"
        decoder = av.CodecContext.create("libvpx-vp9", "r") if vp9 else stream.codec_context
        for packet in container.demux(stream):
            frames += [frame.reformat(format="rgba").to_ndarray() for frame in decoder.decode(packet)]
    return frames


@pytest.mark.parametrize("ending", KINDS)
def test_alpha_is_kept_in_each_part(film, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(video_writer, "LENGTH", 3)  # three parts
    outcome = stylize_moving(film, tmp_path / f"out{ending}", lambda picture: 1 - picture)
    assert (outcome.frames, outcome.notes, outcome.problem) == (7, [], None)
    frames = decoded(tmp_path / f"out{ending}")
    assert len(frames) == 7
    before, after = ([frame.time for frame in read(path)] for path in (film, tmp_path / f"out{ending}"))
    rounding = Fraction(1, 2000) if ending == ".webm" else 0  # WebM has whole milliseconds
    assert len(after) == 7 and all(abs(a - b) <= rounding for a, b in zip(before, after, strict=True))
    for number, frame in enumerate(frames):
        assert np.abs(frame[..., 3].astype(int) - opacity(number)).mean() < 2
        difference = np.abs(255 - scene(number, 48, 64).astype(int) - frame[..., :3])
        assert difference[:, :44].mean() < 6


def test_alpha_becomes_as_large_as_the_picture(film, tmp_path):
    stylize_moving(film, tmp_path / "small.mov", lambda picture: picture[:, ::2, ::2])
    alpha = decoded(tmp_path / "small.mov")[0][..., 3].astype(int)
    assert alpha.shape == (24, 32)
    assert np.abs(alpha - opacity(0).reshape(24, 2, 32, 2).mean(axis=(1, 3))).mean() < 3


def test_h264_has_none_and_it_is_said(film, tmp_path):
    outcome = stylize_moving(film, tmp_path / "out.mp4", lambda picture: picture)
    assert outcome.notes == ["transparency does not go into .mp4 (it is kept in .mov and .webm)"]


def test_numbered_pictures_keep_it(film, tmp_path):
    stylize_moving(film, tmp_path / "out" / "%d.png", lambda picture: picture)
    with Image.open(tmp_path / "out" / "3.png") as picture:
        assert picture.mode == "RGBA"
        assert np.abs(np.asarray(picture)[..., 3].astype(int) - opacity(2)).mean() < 2


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_59_94_frames_a_second_stay_that(tmp_path, ending):
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(90):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number, 48, 64), format="rgb24")))
        container.mux(stream.encode())
    stylize_moving(tmp_path / "in.mp4", tmp_path / "out.mp4", lambda picture: picture)
    films = []
    for name in ("in.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.video[0]
            times = [frame.pts * stream.time_base for frame in container.decode(stream)]
            films.append((stream.average_rate, stream.time_base, stream.duration, times))
    assert films[0] == films[1]
    assert films[1][0] == RATE and films[1][2] * films[1][1] == 90 / RATE
    assert films[1][3] == [number / RATE for number in range(90)]
    assert VideoReader(tmp_path / "out.mp4").rate == RATE
