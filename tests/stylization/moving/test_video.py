"""Videos keep count, times, size, turn, sound and tags, and end well whatever happens; flicker is halved."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from fastnst.errors import InputError
from fastnst.stylization.moving import video_reader
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.moving.pipeline import stylize_video
from fastnst.stylization.moving.steady.optical_flow import Flow
from fastnst.stylization.moving.video_reader import VideoFrame, VideoReader
from fastnst.stylization.moving.video_writer import VideoWriter

RATE = Fraction(30000, 1001)


def scene(number: int, height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    bright = 120 + 60 * np.sin((columns + 2 * number) / 7) + 50 * np.cos(rows / 9)
    return np.stack([bright, bright * 0.8, 200 - bright * 0.5], axis=-1).clip(0, 255).astype(np.uint8)


def make(path, count=12, height=48, width=64, times=None, sound=False, rotation=None, tags=None):
    """A clip of a moving pattern."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.options = width, height, {"crf": "10", "preset": "ultrafast"}
        stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
        stream.codec_context.time_base = Fraction(1, 30000)
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=8000) if sound else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(scene(number, height, width), format="rgb24")
            frame.pts, frame.time_base = (times[number] if times else 1001 * number), Fraction(1, 30000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            samples = (8000 * np.sin(np.arange(4096) / 5)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def read(path) -> list[VideoFrame]:
    reader = VideoReader(path)
    frames = [item for item in reader if isinstance(item, VideoFrame)]
    assert reader.problem is None
    reader.close()
    return frames


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (47, 63)])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_frames_times_and_size(tmp_path, size, extension):
    source = make(tmp_path / f"in{extension}", height=size[0], width=size[1])
    outcome = stylize_moving(source, tmp_path / f"out{extension}", lambda picture: 1 - picture)
    before, after = read(source), read(tmp_path / f"out{extension}")
    assert outcome.frames == len(before) == len(after) == 12
    assert [frame.time for frame in before] == [frame.time for frame in after]
    assert after[0].picture.shape == (*size, 3)
    for old, new in zip(before, after, strict=True):
        assert np.abs(255 - old.picture.astype(int) - new.picture).mean() < 4
    assert VideoReader(tmp_path / f"out{extension}").rate == VideoReader(source).rate


def test_variable_frame_rate(tmp_path):
    times = [0, 1000, 1500, 4000, 9000, 9300, 15000, 15001, 20000, 30000, 31000, 40000]
    source = make(tmp_path / "in.mp4", times=times)
    stylize_moving(source, tmp_path / "out.mp4", lambda picture: picture)
    assert [frame.time for frame in read(tmp_path / "out.mp4")] == [Fraction(time, 30000) for time in times]


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_rotation(tmp_path, degrees):
    source = make(tmp_path / "in.mp4", count=2, rotation=degrees)
    upright = read(source)[0].picture
    expected = np.rot90(scene(0, 48, 64), degrees // 90)
    assert upright.shape == expected.shape and np.abs(upright.astype(int) - expected).mean() < 6
    stylize_moving(source, tmp_path / "out.mp4", lambda picture: picture)
    after = read(tmp_path / "out.mp4")[0].picture
    assert after.shape == expected.shape and np.abs(after.astype(int) - expected).mean() < 8


def test_sound_is_copied(tmp_path):
    source = make(tmp_path / "in.mp4", sound=True)
    outcome = stylize_moving(source, tmp_path / "out.mp4", lambda picture: picture)
    assert outcome.notes == [] and packets(tmp_path / "out.mp4") == packets(source) != []
    outcome = stylize_moving(source, tmp_path / "out.webm", lambda picture: picture)
    assert outcome.frames == 12 and outcome.notes == ["audio stream 1 (aac) does not go into .webm"]


def test_subtitles_are_copied(tmp_path):
    """Text, times and language; into MP4, which holds none of that kind, they do not go, and it is said."""
    (tmp_path / "words.srt").write_text(
        "1\n00:00:00,050 --> 00:00:00,150\nfirst words\n\n2\n00:00:00,200 --> 00:00:00,350\nlast words\n"
    )
    source = tmp_path / "in.mkv"
    with av.open(str(make(tmp_path / "silent.mkv", sound=True))) as film, av.open(str(tmp_path / "words.srt")) as words:
        streams = [film.streams.video[0], film.streams.audio[0], words.streams.subtitles[0]]
        with av.open(str(source), "w") as container:
            copies = [container.add_stream_from_template(stream) for stream in streams]
            copies[2].metadata["language"] = "nld"
            packets_ = [*film.demux(), *words.demux()]
            for packet in sorted((each for each in packets_ if each.dts is not None), key=lambda each: each.dts):
                packet.stream = copies[streams.index(packet.stream)]
                container.mux(packet)

    def subtitles(path):
        with av.open(str(path)) as container:
            stream = container.streams.subtitles[0]
            found = [packet for packet in container.demux(stream) if packet.size]
            return stream.metadata.get("language"), [(bytes(p), p.pts * p.time_base, p.duration) for p in found]

    outcome = stylize_moving(source, tmp_path / "out.mkv", lambda picture: picture)
    assert outcome.problem is None  # although the sound goes on after the last picture
    assert outcome.notes == [] and subtitles(tmp_path / "out.mkv") == subtitles(source)
    language, words = subtitles(source)
    assert language == "nld" and [text for text, _, _ in words] == [b"first words", b"last words"]
    assert packets(tmp_path / "out.mkv") == packets(source) != []
    outcome = stylize_moving(source, tmp_path / "out.mp4", lambda picture: picture)
    assert outcome.frames == 12 and outcome.notes == ["subtitle stream 2 (srt) does not go into .mp4"]
    assert packets(tmp_path / "out.mp4") == packets(source)


@pytest.mark.parametrize("space", [1, 5])
def test_colour_tags(tmp_path, space):
    tags = {"colorspace": space, "color_primaries": 1, "color_trc": 1, "color_range": 1}
    source = make(tmp_path / "in.mp4", tags=tags)
    stylize_moving(source, tmp_path / "out.mp4", lambda picture: picture)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert {name: int(getattr(context, name)) for name in tags} == tags
    assert np.abs(read(source)[0].picture.astype(int) - read(tmp_path / "out.mp4")[0].picture).mean() < 3


def test_start_and_end(tmp_path):
    source = make(tmp_path / "in.mp4", count=40, sound=True)
    whole = read(source)
    stylize_moving(source, tmp_path / "out.mp4", lambda picture: picture, start=0.5, end=1.0)
    kept = [frame for frame in whole if 0.5 <= frame.time < 1]
    after = read(tmp_path / "out.mp4")
    assert len(after) == len(kept) == 15
    for old, new in zip(kept, after, strict=True):
        assert abs(old.time - Fraction(1, 2) - new.time) < Fraction(1, 1000)
        assert np.abs(old.picture.astype(int) - new.picture).mean() < 4
    with pytest.raises(InputError, match="nothing from 5 s on"):
        VideoReader(source, 5)
    with pytest.raises(InputError, match="the end after the start"):
        VideoReader(source, 1, 1)


@pytest.mark.parametrize("tenths", [(1, 4), (2, 6), (3, 7), (7, 11)])
def test_start_and_end_are_decimal_numbers(tmp_path, tenths):
    """The float 0.1 is more than a tenth, 0.7 less: the frame at the start is in, that at the end is not."""
    source = make(tmp_path / "in.mp4", times=[3000 * number for number in range(12)])
    start, end = tenths
    reader = VideoReader(source, start / 10, end / 10)
    assert reader.frames is not None
    times = [item.time for item in reader if isinstance(item, VideoFrame)]
    reader.close()
    assert times == [Fraction(number, 10) for number in range(end - start)]


@pytest.mark.parametrize(("start", "end"), [(float("nan"), None), (float("inf"), None), (0, float("nan"))])
def test_start_and_end_are_finite(tmp_path, start, end):
    with pytest.raises(InputError, match="expected seconds"):
        VideoReader(make(tmp_path / "in.mp4"), start, end)


def test_video_to_gif_and_back(tmp_path):
    source = make(tmp_path / "in.mp4")
    assert stylize_moving(source, tmp_path / "out.gif", lambda picture: picture).frames == 12
    assert stylize_moving(tmp_path / "out.gif", tmp_path / "back.mp4", lambda picture: picture).frames == 12
    times = [frame.time for frame in read(tmp_path / "back.mp4")]
    assert max(abs(time - number / RATE) for number, time in enumerate(times)) <= Fraction(1, 100)


def test_interruption_leaves_a_playable_file(tmp_path):
    seen = []

    def interrupted(picture):
        seen.append(picture)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return picture

    with pytest.raises(KeyboardInterrupt, match=r"in .*out\.mp4 the first 5 frames"):
        stylize_moving(make(tmp_path / "in.mp4", count=30), tmp_path / "out.mp4", interrupted)
    assert len(read(tmp_path / "out.mp4")) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_cut_video(tmp_path):
    source = make(tmp_path / "in.mkv", count=60, height=128, width=160)
    content = source.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    outcome = stylize_moving(tmp_path / "cut.mkv", tmp_path / "out.mkv", lambda picture: picture)
    assert outcome.problem is not None and "cut.mkv" in outcome.problem
    assert 5 < outcome.frames < 60 and len(read(tmp_path / "out.mkv")) == outcome.frames


@pytest.mark.parametrize("extension", [".mp4", ".gif"])
def test_a_frame_that_cannot_be_converted_ends_the_video_as_damage_does(tmp_path, monkeypatch, extension):
    upright, asked = VideoReader._upright, []

    def broken(self, frame):
        asked.append(frame)
        if len(asked) == 6:
            raise ValueError("Conversion to rgb24 with format `bayer` is not supported")
        return upright(self, frame)

    monkeypatch.setattr(VideoReader, "_upright", broken)
    source = make(tmp_path / "in.mp4", count=30, sound=True)
    outcome = stylize_moving(source, tmp_path / f"out{extension}", lambda picture: picture)
    assert outcome.frames == 5
    assert "in.mp4 is damaged after 0.17 s (Conversion to rgb24" in outcome.problem


@pytest.mark.parametrize("error", [InputError("in.mp4 is odd."), MemoryError()])
def test_a_failure_of_the_reader_is_passed_on(tmp_path, monkeypatch, error):
    """It is not taken for a full disk, and what was read before is kept."""

    def broken(self):
        yield from itertools.islice(items(self), 5)
        raise error

    items = VideoReader.__iter__
    with monkeypatch.context() as patch:
        patch.setattr(VideoReader, "__iter__", broken)
        with pytest.raises(type(error)) as caught:
            stylize_moving(make(tmp_path / "in.mp4", count=30), tmp_path / "out.mp4", lambda picture: picture)
    assert caught.value is error
    assert len(read(tmp_path / "out.mp4")) == 5


def test_a_full_disk_is_the_writers_failure(tmp_path, monkeypatch):
    def full(self, item):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(VideoWriter, "write", full)
    with pytest.raises(InputError, match=r"out\.mp4 could not be finished \(No space left on device\); check disk"):
        stylize_moving(make(tmp_path / "in.mp4"), tmp_path / "out.mp4", lambda picture: picture)


@pytest.mark.parametrize("extension", [".mkv", ".mp4", ".ts", ".avi", ".webm"])
def test_sound_that_outlasts_the_pictures_is_no_damage(tmp_path, extension):
    with av.open(str(tmp_path / f"in{extension}"), "w") as container:
        stream = container.add_stream("libvpx-vp9" if extension == ".webm" else "mpeg4", rate=25)
        stream.width = stream.height = 32
        audio = container.add_stream("libopus" if extension == ".webm" else "mp2", rate=48000)
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(scene(number, 32, 32), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for number in range(30):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1920), np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 1920 * number, Fraction(1, 48000)
            container.mux(audio.encode(frame))
        container.mux(audio.encode())
    reader = VideoReader(tmp_path / f"in{extension}")
    assert sum(isinstance(item, VideoFrame) for item in reader) == 5 and reader.problem is None
    reader.close()


def test_only_a_few_frames_wait(tmp_path, monkeypatch):
    """The network is never more than a queue behind the decoder, whatever the length."""
    decoded = 0
    upright = VideoReader._upright

    def counted(self, frame):
        nonlocal decoded
        decoded += 1
        return upright(self, frame)

    monkeypatch.setattr(VideoReader, "_upright", counted)
    reader = VideoReader(make(tmp_path / "in.mp4", count=80))
    ahead = []
    painted = []

    def stylize(picture):
        painted.append(None)
        ahead.append(decoded - len(painted))
        return picture

    stylize_video(reader, VideoWriter(tmp_path / "out.mp4", reader), stylize)
    assert len(painted) == 80 and max(ahead) <= 10


def test_ffmpeg_has_nobody_to_tell():
    """Python's log would need the interpreter's lock in a decoder's thread, and freeing the decoder, which waits for
    that thread, holds it: a video that is left early would hang now and then."""
    av.logging.set_level(av.logging.PANIC)
    video_reader.import_av()
    assert av.logging.get_level() is None


def test_refusals(tmp_path, monkeypatch):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello " * 100)
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for name, message in {
        "empty.mp4": "is empty", "text.mp4": "cannot be read as a video", "sound.mkv": "holds no video",
        "missing.mp4": "is not there", ".": "not a file",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=message):
            VideoReader(tmp_path / name)
    reader = VideoReader(make(tmp_path / "in.mp4"))
    with pytest.raises(InputError, match="saved as one of"):
        VideoWriter(tmp_path / "x.avi", reader)
    with pytest.raises(InputError, match="exists already"):
        VideoWriter(tmp_path / "in.mp4", reader)
    monkeypatch.setitem(video_reader.__dict__, "import_av", video_reader.import_av)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(InputError, match=r"pip install 'fastnst\[video\]'"):
        VideoReader(tmp_path / "in.mp4")
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'fastnst\[video\]'"):
        Flow()
