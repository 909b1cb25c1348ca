"""Standard input and output, and which format becomes which."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastnst.errors import InputError
from fastnst.stylization.files.plan import endings_without_dots, pairs, plan
from fastnst.stylization.files.standard_streams import STREAM, files_for_streams, sniffed_extension


def text(content: bytes = b"") -> io.TextIOWrapper:
    """As standard input and output are: text, with bytes below."""
    return io.TextIOWrapper(io.BytesIO(content))


def content(kind: str, frames: int = 1) -> bytes:
    pictures = [Image.fromarray(np.full((8, 9, 3), 50 * number, np.uint8)) for number in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, kind, **({"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}))
    return file.getvalue()


@pytest.mark.parametrize(
    ("given", "kind", "ends"),
    [
        (content("JPEG"), None, (".png",)),
        (content("JPEG"), "jpg", (".jpg",)),
        (content("PNG"), None, (".png",)),
        (content("GIF", 3), None, (".gif",)),
        (content("GIF", 3), "webp", (".webp",)),
        (content("WEBP", 2), None, (".webp",)),
        (b"nonsense", None, (".png",)),
    ],
)
def test_what_comes_in_goes_out_in_the_asked_format(given, kind, ends):
    taken = text()
    with files_for_streams(STREAM, STREAM, kind, text(given), taken) as (source, output):
        assert source.read_bytes() == given and output.suffix in ends
        output.write_bytes(b"painted")
    assert taken.buffer.getvalue() == b"painted" and not source.parent.exists()


def test_streams_on_one_side_only(tmp_path):
    (tmp_path / "in.gif").write_bytes(content("GIF", 2))
    with files_for_streams(tmp_path / "in.gif", STREAM, None, text(), text()) as (source, output):
        assert source == tmp_path / "in.gif" and output.suffix == ".gif"
    with files_for_streams(STREAM, Path("x.jpg"), None, text(b"a"), text()) as (source, output):
        assert output == Path("x.jpg") and source.read_bytes() == b"a"
    with files_for_streams(Path("a"), Path("b"), None, text(), text()) as both:
        assert both == (Path("a"), Path("b"))
    folder = pytest.raises(InputError, match="--output - holds one picture")
    with folder, files_for_streams(tmp_path, STREAM, None, text(), text()):
        pass


def test_videos_are_recognised_by_their_content(tmp_path):
    import av

    for container, expected in (("mp4", ".mp4"), ("matroska", ".mkv"), ("avi", ".mkv")):
        with av.open(str(tmp_path / "stream"), "w", format=container) as file:
            stream = file.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 16
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
            file.mux(stream.encode())
        assert sniffed_extension(tmp_path / "stream") == expected
    for nothing in (b"", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", content("PNG")[:60]):
        (tmp_path / "stream").write_bytes(nothing)
        assert sniffed_extension(tmp_path / "stream") in ("", ".png")


def test_format_of_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name, kind, frames in (("a.png", "PNG", 1), ("b.jpg", "JPEG", 1), ("c.gif", "GIF", 2)):
        (tmp_path / "in" / name).write_bytes(content(kind, frames))
    (tmp_path / "in" / "d.mp4").write_bytes(b"video")

    def outputs(kind):
        return [path.name for _, path in pairs(tmp_path / "in", tmp_path / "out", "m", kind)]

    assert outputs(None) == ["a.png", "b.png", "c.gif", "d.mp4"]
    assert outputs("jpg") == ["a.jpg", "b.jpg", "c.gif", "d.mp4"]
    assert outputs("mp4") == ["a.png", "b.png", "c.mp4", "d.mp4.mp4"] or outputs("mp4")[:3] == [
        "a.png",
        "b.png",
        "c.mp4",
    ]
    assert outputs("webp") == ["a.webp", "b.webp", "c.webp", "d.webp"]
    assert {"png", "jpg", "gif", "mp4", "webm"} <= set(endings_without_dots())


def test_formats_that_do_not_go_together(tmp_path):
    (tmp_path / "a.png").write_bytes(content("PNG"))
    for output, kind, message in (
        (None, "mp4", r"a_m.mp4: expected one of .png"),
        (None, "docx", "--format docx: expected one of png, "),
        (tmp_path / "b.png", "jpg", "name two formats"),
    ):
        with pytest.raises(InputError, match=message):
            plan([tmp_path / "a.png"], output, "m", kind=kind)
    [(_, output)] = plan([tmp_path / "a.png"], tmp_path / "b.jpg", "m", kind="jpg")
    assert output == tmp_path / "b.jpg"
