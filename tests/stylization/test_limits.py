"""Animations without end and icons that lie: refused by default, and by which flag they pass."""

import io
import struct
import zlib
from types import SimpleNamespace

import pytest
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.reading import open_image
from fastnst.stylization.controls import Controls
from fastnst.stylization.files import standard_streams
from fastnst.stylization.files.one_file import Handling, stylize_file
from fastnst.stylization.files.plan import default_extension
from fastnst.stylization.moving.animation import AnimationReader


@pytest.fixture
def animation(tmp_path):
    frames = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in range(7)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    return tmp_path / "a.gif"


def test_too_many_frames(animation):
    with pytest.raises(InputError, match=r"a\.gif has 7 frames; the limit is 6: make it shorter or raise max_frames"):
        AnimationReader(animation, max_frames=6)
    assert AnimationReader(animation, max_frames=7).count == 7
    with pytest.raises(InputError, match="max_frames"):
        stylize_file(
            animation, animation.with_name("out.gif"), SimpleNamespace(digest=str), Controls(), Handling(max_frames=6)
        )
    assert default_extension(animation) == ".gif"


def test_an_apng_that_claims_four_billion_frames(tmp_path):
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    content = (tmp_path / "a.png").read_bytes()
    place = content.index(b"acTL")

    claim = b"acTL" + struct.pack(">II", 2**31 - 1, 0)
    changed = content[:place] + claim + struct.pack(">I", zlib.crc32(claim)) + content[place + 16 :]
    (tmp_path / "b.png").write_bytes(changed)
    with pytest.raises(InputError, match="max_frames"):
        AnimationReader(tmp_path / "b.png")


def test_an_icon_with_a_larger_picture_inside(tmp_path):
    inside = io.BytesIO()
    Image.new("RGB", (300, 300)).save(inside, "PNG")
    content = inside.getvalue()
    head = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(content), 22)
    (tmp_path / "a.ico").write_bytes(head + content)
    with pytest.raises(InputError, match="300 x 300 pixels; the limit is 10,000"):
        open_image(tmp_path / "a.ico", max_pixels=10_000)


def test_standard_input_without_end(monkeypatch):
    monkeypatch.setattr(standard_streams, "MOST_BYTES", 5_000_000)
    endless = SimpleNamespace(buffer=SimpleNamespace(read=bytes))
    given = standard_streams.files_for_streams(standard_streams.STREAM, None, None, endless, None)
    with pytest.raises(InputError, match="more than 5,000,000 bytes"), given:
        pass
