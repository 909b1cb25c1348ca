"""Cuts, interlaced lines, ten bits, high dynamic range, damage in the middle, chapters and several sound tracks."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from fastnst.images.resizing import resize
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.moving.steady.optical_flow import Flow
from fastnst.stylization.moving.steady.steadiness import Steady
from fastnst.stylization.moving.tone_mapping import HLG, PQ, hlg_light, pq_light, to_standard_range
from tests.stylization.moving.test_video import make, packets, read, scene


def moving_scene(seed: int, frames: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    large = sum(resize(torch.rand(3, side, side, generator=random), 160, 160) / 3 for side in (8, 24, 60))
    return [large[:, number : number + 96, 2 * number : 2 * number + 120] for number in range(frames)]


def blended(frames: list[torch.Tensor]) -> list[float]:
    """How much of each frame comes from before it, where every stylized frame has a grey of its own."""
    flow, steady, shares = Flow(), Steady(0.8), []
    for number, frame in enumerate(frames):
        own = torch.full_like(frame, number / len(frames))
        shown = steady(own, flow(frame))
        shares.append((shown - own).abs().mean().item())
    return shares


def test_nothing_is_blended_across_a_hard_cut():
    shares = blended(moving_scene(0, 5) + moving_scene(1, 5))
    assert shares[5] == 0 and min(shares[1:5] + shares[6:]) > 0.02


def test_nothing_is_blended_across_a_flash():
    frames = moving_scene(0, 8)
    frames[4] = (frames[4] + 0.7).clamp(0, 1)
    shares = blended(frames)
    assert shares[4] < 0.003 and shares[5] < 0.003 and min(shares[1:4] + shares[6:]) > 0.02


def test_through_a_fade_each_scene_stays_steady_and_the_black_between_parts_them():
    one, other = moving_scene(0, 12), moving_scene(1, 12)
    down = [frame * (1 - number / 11) for number, frame in enumerate(one)]
    up = [frame * (number / 11) for number, frame in enumerate(other)]
    flow, steady = Flow(), Steady(0.8)
    shown = [steady(torch.full_like(frame, float(number >= 12)), flow(frame)) for number, frame in enumerate(down + up)]
    assert min((picture < 0.01).float().mean() for picture in shown[:12]) == 1
    assert shown[13].mean() > 0.99  # the first scene is gone with the black


def encode(path, frames, pix_fmt, tags=None, options=None, source="rgb24"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = pix_fmt, {"crf": "4", "preset": "ultrafast", **(options or {})}
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format=source)
            container.mux(stream.encode(frame.reformat(format=pix_fmt, dst_color_range=1)))
        container.mux(stream.encode())
    return path


def test_interlaced_lines_are_filled_in(tmp_path):
    """A bright bar that moves by 6 columns between the two halves of a frame: a comb, unless they are parted."""
    halves = np.zeros((20, 64, 96, 3), np.uint8)
    for number, picture in enumerate(halves):
        picture[:, 6 * number % 80 : 6 * number % 80 + 12] = 220
    woven = halves[::2].copy()
    woven[:, 1::2] = halves[1::2, 1::2]
    source = encode(tmp_path / "in.mkv", list(woven), "yuv420p", options={"x264-params": "tff=1"})
    outcome = stylize_moving(source, tmp_path / "out.mkv", lambda picture: picture)
    assert outcome.notes == ["interlaced: the lines between were filled in (bwdif)"] and outcome.frames == 10
    comb = [np.abs(np.diff(frame.picture.astype(int), axis=0)).mean() for frame in read(tmp_path / "out.mkv")]
    assert np.abs(np.diff(woven.astype(int), axis=1)).mean() > 20 and max(comb) < 4


def test_ten_bits(tmp_path):
    pictures = [scene(number, 48, 64) for number in range(3)]
    stylize_moving(encode(tmp_path / "in.mkv", pictures, "yuv420p10le"), tmp_path / "out.mp4", lambda picture: picture)
    for before, after in zip(pictures, read(tmp_path / "out.mp4"), strict=True):
        assert np.abs(before.astype(int) - after.picture).mean() < 4


def test_light_of_diffuse_white_by_the_standards_own_figures():
    """BT.2408, table 1: 203 candelas are 58 % in PQ and 75 % in HLG, on a display of 1000."""
    assert pq_light(np.array([0.0, 0.58, 1.0])) == pytest.approx([0, 203, 10_000], rel=0.01, abs=1e-6)
    assert 1000 * hlg_light(np.array([0.0, 0.75, 1.0])) ** 1.2 == pytest.approx([0, 203, 1000], rel=0.01, abs=1e-6)


@pytest.mark.parametrize(("transfer", "white", "name"), [(PQ, 0.58, "PQ"), (HLG, 0.75, "HLG")])
def test_high_dynamic_range_is_tone_mapped_with_a_word(tmp_path, transfer, white, name):
    picture = np.full((48, 64, 3), round(white * 65535), np.uint16)
    most = 1000 / 203
    expected = 255 * (1.055 * ((1 + 1 / most**2) / 2) ** (1 / 2.4) - 0.055)
    assert to_standard_range(picture, transfer)[0, 0] == pytest.approx([expected] * 3, abs=2)
    tags = {"color_primaries": 9, "color_trc": transfer, "colorspace": 9, "color_range": 1}
    source = encode(tmp_path / "in.mkv", [picture] * 2, "yuv420p10le", tags, source="rgb48le")
    outcome = stylize_moving(source, tmp_path / "out.mkv", lambda picture: picture)
    assert outcome.notes == [f"{name} was tone-mapped to the standard range"]
    assert read(tmp_path / "out.mkv")[1].picture[20, 20] == pytest.approx([expected] * 3, abs=4)
    with av.open(str(tmp_path / "out.mkv")) as container:
        context = container.streams.video[0].codec_context
        assert [int(getattr(context, tag)) for tag in tags] == [1, 1, 1, 1]


def test_colours_of_high_dynamic_range_keep_their_hue():
    """BT.709's red, as BT.2020 has it (BT.2087, table 2 inverted), is red again; black is black."""
    red = np.linalg.inv([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])[:, 0]
    signal = np.interp(100 * red, pq_light(np.linspace(0, 1, 65536)), np.arange(65536))
    mapped = to_standard_range(np.stack([signal, 0 * signal])[None].round().astype(np.uint16), PQ)[0]
    assert mapped[0, 0] > 120 and (mapped[0, 1:] < 16).all() and (mapped[1] == 0).all()


def test_a_damaged_packet_in_the_middle(tmp_path):
    """The frame is named by its time, and what comes after it is painted."""
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", {"g": "1"}
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(scene(number, 48, 64), format="rgb24")
            for packet in stream.encode(frame):
                if number in (7, 12):
                    packet = damaged(packet, stream)
                container.mux(packet)
        container.mux(stream.encode())
    outcome = stylize_moving(tmp_path / "in.mkv", tmp_path / "out.mkv", lambda picture: picture)
    assert outcome.problem == f"{tmp_path / 'in.mkv'} is damaged: 2 frames lost, at 0.28, 0.48 s"
    times = [frame.time for frame in read(tmp_path / "out.mkv")]
    there = [round(float(time) * 25) for time in times]
    assert outcome.frames == 18 and there == [number for number in range(20) if number not in (7, 12)]


def damaged(packet, stream):
    broken = av.Packet(b"\xff" * 20)
    broken.pts, broken.dts, broken.time_base, broken.stream = packet.pts, packet.dts, packet.time_base, stream
    return broken


def test_chapters_and_every_sound_track_are_kept(tmp_path):
    source = tmp_path / "in.mkv"
    first, other = make(tmp_path / "a.mp4", count=60, sound=True), make(tmp_path / "b.mp4", sound=True)
    titled = {"time_base": Fraction(1, 1000), "metadata": {"title": "begins"}}
    marks = [
        {"id": 1, "start": 0, "end": 1000, **titled},
        {"id": 2, "start": 1000, "end": 2000, **titled, "metadata": {"title": "ends"}},
    ]
    with av.open(str(first)) as film, av.open(str(other)) as second, av.open(str(source), "w") as container:
        streams = [film.streams.video[0], film.streams.audio[0], second.streams.audio[0]]
        copies = [container.add_stream_from_template(stream) for stream in streams]
        container.set_chapters(marks)
        both = [*film.demux(), *second.demux(audio=0)]
        for packet in sorted((one for one in both if one.dts is not None), key=lambda one: one.dts * one.time_base):
            packet.stream = copies[streams.index(packet.stream)]
            container.mux(packet)

    def chapters(path):
        with av.open(str(path)) as container:
            return [
                (float(one["start"] * one["time_base"]), float(one["end"] * one["time_base"]), one["metadata"]["title"])
                for one in container.chapters()
            ]

    for extension in (".mkv", ".mp4"):
        whole, part = tmp_path / f"whole{extension}", tmp_path / f"part{extension}"
        assert stylize_moving(source, whole, lambda picture: picture).notes == []
        assert chapters(whole) == [(0, 1, "begins"), (1, 2, "ends")]
        with av.open(str(whole)) as container:
            assert len(container.streams.audio) == 2
        assert packets(whole) == packets(source) != []
        stylize_moving(source, part, lambda picture: picture, start=0.5, end=1.5)
        assert chapters(part) == [(0, 0.5, "begins"), (0.5, 1, "ends")]
