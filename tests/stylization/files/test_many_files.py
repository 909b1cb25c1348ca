"""Many files: the next is read and the last saved while one is painted, and nothing else about it differs."""

import gc
import threading
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls, Stylizer
from fastnst.stylization.files import many_files
from fastnst.stylization.files.many_files import stylize_files
from fastnst.stylization.files.one_file import Done, Handling, stylize_file

PATIENCE = 60  # seconds, for threads that are expected to answer at once


@contextmanager
def nobody_looks():
    yield lambda done, total: None


@pytest.fixture
def work(tmp_path):
    """Five pictures: plain, with camera data, transparent, grey, an animation; and where they go."""
    values = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0110] = "Camera 1"
    (tmp_path / "in").mkdir()
    Image.fromarray(values[0, ..., :3]).save(tmp_path / "in" / "a.png")
    Image.fromarray(values[1, ..., :3]).save(tmp_path / "in" / "b.jpg", exif=exif)
    Image.fromarray(values[2]).save(tmp_path / "in" / "c.png")
    Image.fromarray(values[3, ..., 0]).save(tmp_path / "in" / "d.png")
    frames = [Image.fromarray(frame[..., :3]) for frame in values]
    frames[0].save(tmp_path / "in" / "e.gif", save_all=True, append_images=frames[1:], duration=50)
    endings = {".gif": ".gif", ".jpg": ".jpg", ".png": ".png"}
    sources = sorted((tmp_path / "in").iterdir())
    return [(path, tmp_path / "out" / f"{path.stem}{endings[path.suffix]}") for path in sources]


def run(work, stylizer, controls=None, handling=None, progress=nobody_looks):
    return stylize_files(work, stylizer, controls or Controls(), handling or Handling(), progress)


def invert(picture, controls, progress):
    return 1 - picture


def written(work) -> list[str]:
    return sorted(path.name for path in work[0][1].parent.iterdir())


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_the_files_are_those_of_one_after_the_other(work, tmp_path, order):
    work = work[order]
    torch.manual_seed(0)
    network = TransformerNetwork(width=2, residual_blocks=1).eval()
    stylizer = Stylizer(Model(network, {}, None), "cpu")
    told = []

    @contextmanager
    def progress():
        told.append(len(told))
        yield lambda done, total: None

    results = list(run(work, stylizer, Controls(max_side=16), Handling(quality=90), progress))
    assert len(told) == len(results) == 5
    for (source, output), result in zip(work, results, strict=True):
        alone = tmp_path / "alone" / output.name
        expected = stylize_file(source, alone, stylizer, Controls(max_side=16), Handling(quality=90))
        assert result.line == expected.line.replace(str(alone), str(output))
        assert output.read_bytes() == alone.read_bytes()
        if expected.still is None:
            assert result.still is None
        else:
            assert all(torch.equal(a, b) for a, b in zip(result.still, expected.still, strict=True))


def no_memory_left():
    """What torch raises on the CPU: a RuntimeError like any other."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    return caught.value


@pytest.mark.parametrize("lack", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), no_memory_left()])
def test_errors_are_those_of_their_file(work, tmp_path, lack):
    work = work[:4]
    work[0][0].write_bytes(work[0][0].read_bytes()[:100])  # a: cut off
    work[2][1].parent.mkdir()
    work[2][1].write_bytes(b"precious")  # c: its place is taken

    def short_of_memory_for_grey(picture, controls, progress):
        if torch.equal(picture[0], picture[1]):
            raise lack
        return picture

    a, b, c, d = run(work, short_of_memory_for_grey)
    assert isinstance(a, InputError) and "a.png" in str(a)
    assert isinstance(b, Done) and "b.jpg" in b.line
    assert isinstance(c, InputError) and "c.png exists already" in str(c)
    assert isinstance(d, InputError) and "does not fit into memory" in str(d)
    assert written(work) == ["b.jpg", "c.png"] and work[2][1].read_bytes() == b"precious"


def test_a_mistake_of_ours_stops_the_folder(work):
    with pytest.raises(RuntimeError, match="size"):
        list(run(work, lambda *_: torch.zeros(2) @ torch.zeros(3)))


def test_one_is_read_ahead_and_one_saved_behind(work, monkeypatch):
    """Each painting waits for the reading of the next, each saving for the painting of the next: it ends only if they
    really happen at the same time. Never more than three pictures are held."""
    work = [(work[0][0], output.with_name(f"{number}.png")) for number, (_, output) in enumerate(work)]
    painting = [threading.Event() for _ in range(6)]
    reading = [threading.Event() for _ in range(6)]
    pictures, most, read_still, finish_still = [], [], many_files.read_still, many_files.finish_still
    painted = []

    def read(*arguments):
        still = read_still(*arguments)
        pictures.append(weakref.ref(still.content))
        reading[len(pictures) - 1].set()
        assert len(pictures) <= len(painted) + 2
        return still

    def paint(picture, controls, progress):
        number = len(painted)
        painting[number].set()
        assert number == 4 or reading[number + 1].wait(PATIENCE)
        gc.collect()
        most.append(sum(each() is not None for each in pictures))
        painted.append(number)
        return 1 - picture

    def save(source, output, *arguments):
        number = int(output.stem)
        assert number == 4 or painting[number + 1].wait(PATIENCE)
        return finish_still(source, output, *arguments)

    monkeypatch.setattr(many_files, "read_still", read)
    monkeypatch.setattr(many_files, "finish_still", save)
    lines = []
    for result in run(work, paint):
        lines.append(result.line)
        del result
    assert [line.rsplit("/", 1)[1] for line in lines] == [f"{number}.png" for number in range(5)]
    assert len(most) == 5 and max(most) <= 3


def test_large_pictures_are_done_one_at_a_time(work, monkeypatch):
    work, log = work[:3], []
    monkeypatch.setattr(many_files, "AHEAD_PIXELS", 20 * 24 - 1)
    monkeypatch.setattr(many_files, "read_still", None)  # is not called

    def paint(picture, controls, progress):
        log.append(written(work) if work[0][1].parent.exists() else [])
        return picture

    assert all(isinstance(result, Done) for result in run(work, paint))
    assert log == [[], ["a.png"], ["a.png", "b.jpg"]]


def test_ctrl_c_ends_between_whole_files(work):
    calls, results = [], []

    def paint(picture, controls, progress):
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return picture

    with pytest.raises(KeyboardInterrupt):
        for result in run(work, paint):
            results.append(result)
    assert [isinstance(result, Done) for result in results] == [True, True]
    assert written(work) == ["a.png", "b.jpg"]
    assert np.array_equal(np.asarray(Image.open(work[0][0])), np.asarray(Image.open(work[0][1])))


def test_ctrl_c_on_the_command_line(work, stylize, tmp_path, monkeypatch):
    from fastnst.models.model_file import save_model

    save_model(tmp_path / "tiny.ckpt", TransformerNetwork(width=2, residual_blocks=1), {"style": {"name": "tiny"}})
    calls = []

    def paint(self, picture, controls, progress):
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return picture

    monkeypatch.setattr(Stylizer, "__call__", paint)
    answer = stylize("--model", "tiny.ckpt", "--input", "in", "--output", "out")
    assert answer.code == 130 and answer.err == "Stopped; 2 of 5 done.\n"
    assert [line.split()[:2] for line in answer.out.splitlines()] == [["[1/5]", "in/a.png"], ["[2/5]", "in/b.jpg"]]
    assert written(work) == ["a.png", "b.png"]
