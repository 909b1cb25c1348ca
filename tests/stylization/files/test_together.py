"""Pictures of one size in one pass: the results of one after the other, also where memory runs out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.errors import InputError
from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls, Stylizer
from fastnst.stylization.files import together as module
from fastnst.stylization.files.one_file import Handling, stylize_file
from fastnst.stylization.files.together import portions, stylize_together

ROUNDING = 1.01 / 255


@pytest.fixture
def model() -> Model:
    torch.manual_seed(1)
    return Model(TransformerNetwork(width=4, residual_blocks=1).eval(), {}, None)


@pytest.fixture
def stylizer(model) -> Stylizer:
    """As on a GPU: the network as it is written, which takes many pictures."""
    return Stylizer(model, "cpu", engine="plain")


@pytest.fixture
def passes(model) -> list[tuple[int, ...]]:
    """The shapes that go through the network."""
    shapes: list[tuple[int, ...]] = []
    model.network.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    return shapes


def pictures(count: int, height: int = 20, width: int = 24) -> list[torch.Tensor]:
    return list(torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(2)))


@pytest.fixture
def work(tmp_path) -> list[tuple[Path, Path]]:
    """Pictures of three sizes, of which two meet at 16 pixels; one transparent, one moving, one broken."""
    values = np.random.default_rng(0).integers(0, 256, (8, 40, 48, 4), np.uint8)
    (tmp_path / "in").mkdir()
    for number, (height, width) in enumerate([(40, 48), (20, 24), (40, 48), (24, 20), (20, 24)]):
        Image.fromarray(values[number, :height, :width, : 4 if number == 2 else 3]).save(tmp_path / f"in/{number}.png")
    frames = [Image.fromarray(frame[..., :3]) for frame in values[5:]]
    frames[0].save(tmp_path / "in/5.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "in/6.png").write_bytes(b"broken")
    return [(path, tmp_path / "out" / path.name) for path in sorted((tmp_path / "in").iterdir())]


def test_the_files_are_those_of_one_after_the_other(work, stylizer, model, passes, tmp_path):
    controls = Controls(max_side=16, strength=0.8, stroke_scale=0.5, colors="match")
    results = dict(result for group in stylize_together(work, stylizer, controls, Handling()) for result in group)
    assert sorted(results) == list(range(7)) and isinstance(results[6], InputError)
    assert sorted(shape for shape in passes if shape[0] > 1) == [(4, 3, 26, 32)]
    assert results[0].still[1].shape == (3, 13, 16)
    for source, output in work[:6]:
        alone = tmp_path / "alone" / output.name
        stylize_file(source, alone, Stylizer(model, "cpu", engine="plain"), controls, Handling())
        ours, expected = Image.open(output), Image.open(alone)
        assert (ours.mode, ours.size) == (expected.mode, expected.size)
        assert np.abs(np.asarray(ours, np.int16) - np.asarray(expected, np.int16)).max() <= 1
    assert Image.open(work[2][1]).mode == "RGBA" and Image.open(work[5][1]).n_frames == 3


def test_models_are_mixed(model):
    torch.manual_seed(3)
    other = Model(TransformerNetwork(width=4, residual_blocks=1).eval(), {}, None)
    stylizer = Stylizer([model, other], "cpu", mix=[0.3, 0.7], engine="plain")
    for ours, picture in zip(stylizer.together(pictures(3)), pictures(3), strict=True):
        first, second = (one.network(picture[None])[0].clamp(0, 1) for one in (model, other))
        assert (ours - (0.3 * first + 0.7 * second)).abs().max() < ROUNDING


@pytest.mark.parametrize(
    ("room", "expected"), [(8, [7]), (2, [7, 3, 1, 2, 4, 2, 2]), (0, [7, 3, 1, 2, 1, 1, 4, 2, 1, 1, 2, 1, 1])]
)
def test_memory_that_runs_out(stylizer, model, passes, room, expected):
    """Halves of halves, and at last tiles, whose result is known not to differ."""

    def refuse(_, given):
        if len(given[0]) > room:
            raise RuntimeError("CUDA out of memory. Tried to allocate more")

    whole = [Stylizer(model, "cpu", engine="plain")(picture) for picture in pictures(7)]
    passes.clear()
    model.network.register_forward_pre_hook(refuse)
    found = stylizer.together(pictures(7))
    assert [shape[0] for shape in passes] == expected
    for one, other in zip(found, whole, strict=True):
        assert (one - other).abs().max() < (ROUNDING if room else 0.02)  # tiles keep maps in 16 bits


def test_what_will_not_fit_is_halved_unasked(stylizer, model, passes, monkeypatch):
    monkeypatch.setattr("fastnst.stylization.memory_estimate.free_bytes", lambda device: free)
    free = 4.5 * 8 * 4 * 4 * 20 * 24  # 0.7 of it: three pictures' 8 maps of 4 channels, 4 bytes each
    found = stylizer.together(pictures(5))
    assert [shape[0] for shape in passes] == [2, 3] and len(found) == 5


def test_the_engine_takes_one_at_a_time(model, passes):
    fast = Stylizer(model, "cpu")
    assert fast.engines[0] is not None
    for one, other in zip(fast.together(pictures(3)), map(fast, pictures(3)), strict=True):
        assert torch.equal(one, other)
    assert passes == []


def test_other_faults_are_not_taken_for_memory(stylizer, model):
    model.network.register_forward_pre_hook(lambda _, given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stylizer.together(pictures(2))


def test_what_is_held_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AHEAD_PIXELS", 100)
    for number, side in enumerate([5, 8, 5, 20, 1, 1]):
        Image.new("RGB", (side, side)).save(tmp_path / f"{number}.png")
    (tmp_path / "6.png").write_bytes(b"broken")
    assert list(portions(sorted(tmp_path.iterdir()))) == [[0, 1], [2], [3], [4, 5, 6]]
    assert list(portions([])) == []
