"""GIF, WebP and APNG keep frames, timing, loop and transparency; broken ones end with what could be read."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.stylization.moving.animation import AnimationReader, Frame, write_animation
from fastnst.stylization.moving.convert import stylize_moving

DURATIONS = [50, 120, 70, 200]


def clip(path, transparent=False, loop=3, count=4):
    """A square that wanders over a plain ground, no two frames alike."""
    frames = []
    for number in range(count):
        values = np.full((20, 31, 4), (30, 90, 160, 0 if transparent else 255), np.uint8)
        values[5:15, 3 + 6 * number : 9 + 6 * number] = (250, 40 * number, 10, 255)
        frames.append(Image.fromarray(values) if transparent else Image.fromarray(values[..., :3].copy()))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=DURATIONS[:count], loop=loop, disposal=2)
    return path


@pytest.mark.parametrize("extension", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("transparent", [False, True])
def test_everything_but_the_colours_is_kept(tmp_path, extension, transparent):
    source = clip(tmp_path / f"in{extension}", transparent)
    output = tmp_path / f"out{extension}"
    outcome = stylize_moving(source, output, lambda picture: 1 - picture)
    assert outcome.frames == 4 and outcome.problem is None
    before, after = AnimationReader(source), AnimationReader(output)
    assert (after.count, after.loop, after.size) == (4, 3, (31, 20))
    for old, new, duration in zip(before, after, DURATIONS, strict=True):
        assert old.duration == new.duration == duration
        assert (old.alpha is None) == (new.alpha is None) == (not transparent)
        if old.alpha is not None:
            assert torch.equal(old.alpha, new.alpha)
        shown = torch.ones(20, 31, dtype=torch.bool) if old.alpha is None else old.alpha[0] > 0.5
        assert (1 - old.picture - new.picture).abs()[:, shown].mean() < 4 / 255


def test_a_gif_that_does_not_loop(tmp_path):
    source = clip(tmp_path / "in.gif", loop=None)
    stylize_moving(source, tmp_path / "out.gif", lambda picture: picture)
    with Image.open(tmp_path / "out.gif") as after:
        assert "loop" not in after.info


def test_from_one_format_to_another(tmp_path):
    source = clip(tmp_path / "in.gif")
    for name in ("out.webp", "out.png", "deep/er/out.gif"):
        assert stylize_moving(source, tmp_path / name, lambda picture: picture).frames == 4
        assert [frame.duration for frame in AnimationReader(tmp_path / name)] == DURATIONS


def test_a_cut_animation(tmp_path):
    source = clip(tmp_path / "in.gif")
    content = source.read_bytes()
    for length in range(100, len(content) - 20, 150):
        (tmp_path / "cut.gif").write_bytes(content[:length])
        try:
            outcome = stylize_moving(tmp_path / "cut.gif", tmp_path / "out.gif", lambda x: x, overwrite=True)
        except InputError as error:
            assert "cut.gif" in str(error)
            continue
        assert outcome.frames <= 4
        if outcome.frames < 4 and outcome.problem is not None:
            assert "breaks off after frame" in outcome.problem


def test_refusals(tmp_path):
    source = clip(tmp_path / "in.gif")
    with pytest.raises(InputError, match=r"4 frames of 31 x 20 pixels; the limit is .* raise max_pixels"):
        AnimationReader(source, max_pixels=600)
    with pytest.raises(InputError, match="saved as one of"):
        write_animation(tmp_path / "x.jpg", [], 0)
    with pytest.raises(InputError, match="no frames"):
        write_animation(tmp_path / "x.gif", [], 0)
    (tmp_path / "there.gif").write_bytes(b"precious")
    with pytest.raises(InputError, match="exists already"):
        write_animation(tmp_path / "there.gif", [Frame(torch.zeros(3, 4, 4), None, 10)], 0)
    with pytest.raises(InputError, match="videos only"):
        stylize_moving(source, tmp_path / "out.gif", lambda x: x, start=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.gif", "there.gif"]
