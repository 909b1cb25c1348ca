"""An interrupted film goes on where it stopped, and is the same as one that was not interrupted."""

import av
import pytest
import torch

from fastnst.errors import InputError
from fastnst.stylization.moving import parts, video_writer
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.moving.painter import Painter
from fastnst.stylization.moving.steady.steadiness import Steady
from tests.stylization.moving.test_video import make

LENGTH = 5


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    for module in (parts, video_writer):
        monkeypatch.setattr(module, "LENGTH", LENGTH)


class Counted:
    """Stands in for a stylizer: noise that depends on the frame's number alone, which only blending can steady."""

    def __init__(self, stop: int | None = None, first: int = 0) -> None:
        self.stop, self.first, self.painted = stop, first, 0

    def __call__(self, picture, controls):
        number = self.first + self.painted
        if number == self.stop:
            raise KeyboardInterrupt
        self.painted += 1
        noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(number))
        return (picture + 0.1 * noise).clamp(0, 1)


def packets(path) -> list[tuple]:
    with av.open(str(path)) as container:
        return [
            (p.stream.index, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p)) for p in container.demux() if p.size
        ]


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".webm"])
def test_a_resumed_film_is_the_same(tmp_path, extension):
    output, whole = (tmp_path / f"{name}{extension}" for name in ("out", "whole"))
    source = make(tmp_path / "in.mp4", count=23, sound=True)
    stylize_moving(source, whole, Painter(Counted(), steady=Steady()))
    with pytest.raises(KeyboardInterrupt, match=r"the first 13 frames; --resume goes on after 10 of them"):
        stylize_moving(source, output, Painter(Counted(stop=13), steady=Steady()))
    assert len([one for one in packets(output) if one[0] == 0]) == 13 and (tmp_path / f"{output.name}.parts").is_dir()
    rest = Counted(first=10)
    outcome = stylize_moving(source, output, Painter(rest, steady=Steady()), resume=True)
    assert outcome.frames == 23 and rest.painted == 13
    assert packets(output) == packets(whole)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted({source.name, output.name, whole.name})


def test_a_killed_run_is_resumed_from_its_parts(tmp_path):
    """Nothing but the parts is there, the last one broken off."""
    source = make(tmp_path / "in.mp4", count=12)
    stylize_moving(source, tmp_path / "whole.mp4", lambda picture: picture)
    with pytest.raises(KeyboardInterrupt):
        stylize_moving(source, tmp_path / "out.mp4", Painter(Counted(stop=11)))
    (tmp_path / "out.mp4").unlink()
    folder = tmp_path / "out.mp4.parts"
    (folder / "unfinished.nut").write_bytes(b"half of")
    assert sorted(path.name for path in folder.iterdir()) == [
        "000000.nut", "000001.nut", "000001.shown.png", "settings.json", "unfinished.nut",
    ]  # fmt: skip
    rest = Counted(first=10)
    stylize_moving(source, tmp_path / "out.mp4", Painter(rest), resume=True)
    assert rest.painted == 2 and len(packets(tmp_path / "out.mp4")) == 12 and not folder.exists()
    resumed_without_parts = stylize_moving(source, tmp_path / "new.mp4", Painter(Counted()), resume=True)
    assert resumed_without_parts.frames == 12


def test_what_cannot_be_resumed_is_said(tmp_path):
    source, output = make(tmp_path / "in.mp4", count=12), tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        stylize_moving(source, output, Painter(Counted(stop=7)), settings={"model": "one"})
    with pytest.raises(InputError, match=r"begun with other settings \(model, quality\)"):
        stylize_moving(source, output, Painter(Counted()), resume=True, quality=50, settings={"model": "two"})
    output.unlink()
    with pytest.raises(InputError, match=r"out\.mp4\.parts holds the finished part .* --resume to go on, or --over"):
        stylize_moving(source, output, Painter(Counted()))
    assert stylize_moving(source, output, Painter(Counted()), overwrite=True).frames == 12
    with pytest.raises(InputError, match="exists already"):
        stylize_moving(source, output, Painter(Counted()), resume=True)
    with pytest.raises(InputError, match="--resume is for videos"):
        stylize_moving(source, tmp_path / "out.gif", Painter(Counted()), resume=True)
