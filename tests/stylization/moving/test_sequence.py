"""Numbered pictures in and out; a hole, another size and a broken picture are said."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.images.numbered import is_numbered, numbers_of
from fastnst.images.reading import read_image
from fastnst.stylization.files.plan import plan
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.probe import ANIMATION, probe
from tests.stylization.moving.test_video import make, read, scene


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(8, 14):  # from one digit to two
        Image.fromarray(scene(number, 48, 64)).save(folder / f"shot.{number:04}.png")
    (folder / "shot.8.png").write_text("of another number of digits")
    return folder / "shot.%04d.png"


def test_which_names_are_numbered(frames):
    assert all(is_numbered(frames.with_name(name)) for name in ("%d.png", "a%05d.exr"))
    assert not any(is_numbered(frames.with_name(name)) for name in ("a.png", "100%.png", "%d_%d.png"))
    assert numbers_of(frames) == [8, 9, 10, 11, 12, 13]
    found = probe(frames)
    assert (found.kind, found.size, found.frames) == (ANIMATION, (64, 48), 6)


def test_pictures_to_a_film_and_back(frames, tmp_path):
    assert stylize_moving(frames, tmp_path / "film.mp4", lambda picture: 1 - picture).frames == 6
    film = read(tmp_path / "film.mp4")
    assert [round(float(frame.time) * 25) for frame in film] == list(range(6))
    assert np.abs(255 - scene(8, 48, 64).astype(int) - film[0].picture).mean() < 4
    outcome = stylize_moving(make(tmp_path / "in.mp4", count=3), tmp_path / "out" / "%d.png", lambda picture: picture)
    assert outcome.frames == 3 and sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "1.png",
        "2.png",
        "3.png",
    ]


def test_pictures_to_pictures_keep_numbers_and_transparency(frames, tmp_path):
    clear = Image.fromarray(scene(10, 48, 64)).convert("RGBA")
    clear.putalpha(77)
    clear.save(frames.with_name("shot.0010.png"))
    stylize_moving(frames, tmp_path / "out" / "%04d.png", lambda picture: picture)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{number:04}.png" for number in range(8, 14)]
    assert torch.equal(read_image(tmp_path / "out" / "0013.png"), read_image(frames.with_name("shot.0013.png")))
    with Image.open(tmp_path / "out" / "0010.png") as picture:
        assert set(picture.getchannel("A").tobytes()) == {77}
    with pytest.raises(InputError, match=r"0008\.png exists"):
        stylize_moving(frames, tmp_path / "out" / "%04d.png", lambda picture: picture)


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_openexr_is_linear_light(tmp_path, alpha):
    levels = np.linspace(0, 255, 64 * 48, dtype=np.float32).reshape(48, 64)
    light = np.stack([((levels / 255 + 0.055) / 1.055) ** 2.4] * 3, -1)  # of sRGB, but for the darkest levels
    light[0, :, 0], kind = 3, "gbrpf32le"  # brighter than white
    if alpha is not None:
        light, kind = np.dstack((light * alpha, np.full_like(levels, alpha))), "gbrapf32le"
    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, kind, Fraction(1, 25)
    (packet,) = [*encoder.encode(av.VideoFrame.from_ndarray(light.astype(np.float32), format=kind)), *encoder.encode()]
    (tmp_path / "7.exr").write_bytes(bytes(packet))
    stylize_moving(tmp_path / "%d.exr", tmp_path / "out" / "%d.png", lambda picture: picture)
    with Image.open(tmp_path / "out" / "7.png") as picture:
        assert picture.mode == ("RGB" if alpha is None else "RGBA")
        pixels = np.asarray(picture).astype(int)
    assert (pixels[0, :, 0] == 255).all()
    bright = levels > 20
    assert np.abs(pixels[..., 1] - levels)[bright].max() <= 1
    assert alpha is None or np.abs(pixels[..., 3] - 255 * alpha).max() <= 1
    with pytest.raises(InputError, match=r"7\.exr cannot be read as a picture \(64 x 48 pixels, 100 at most"):
        stylize_moving(tmp_path / "%d.exr", tmp_path / "more" / "%d.png", lambda picture: picture, max_pixels=100)


def test_where_pictures_go(frames, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(output) for _, output in plan([frames], None, "ink")] == ["stylized/frames_ink/shot.%04d.png"]
    assert plan([frames], tmp_path / "film.mp4", "ink")[0][1] == tmp_path / "film.mp4"
    with pytest.raises(InputError, match="is the input itself"):
        plan([frames], frames, "ink")
    with pytest.raises(InputError, match="expected one of"):
        plan([frames], tmp_path / "%d.exr", "ink")
    with pytest.raises(InputError, match="--preview is for videos"):
        plan([frames], None, "ink", preview=True)
    film = make(tmp_path / "in.mp4", count=2)
    assert plan([film], tmp_path / "out.mp4", "ink", preview=True)[0][1] == tmp_path / "out.preview.mp4"


def test_what_is_wrong_with_them_is_said(frames, tmp_path):
    with pytest.raises(InputError, match=r"no picture has a name like 00001\.png"):
        probe(tmp_path / "frames" / "%05d.png")
    Image.fromarray(scene(0, 20, 20)).save(frames.with_name("shot.0012.png"))
    with pytest.raises(InputError, match=r"0012\.png has 20 x 20 pixels: expected 64 x 48"):
        stylize_moving(frames, tmp_path / "out.mp4", lambda picture: picture)
    assert len(read(tmp_path / "out.mp4")) == 4  # what could be painted is kept
    frames.with_name("shot.0012.png").write_text("broken")
    with pytest.raises(InputError, match=r"0012\.png cannot be read"):
        stylize_moving(frames, tmp_path / "again.mp4", lambda picture: picture)
    frames.with_name("shot.0012.png").unlink()
    with pytest.raises(InputError, match=r"shot\.0012\.png is missing \(1 in all\)"):
        probe(frames)
