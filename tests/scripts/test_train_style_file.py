"""Training with style_file=true as a user runs it: what it leaves of the given network, what it writes and refuses."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fastnst.models.model_file import load_model
from fastnst.training.tasks.stylizing_task import ROWS_ALONE
from tests.conftest import events, load, same
from tests.models.test_style_file import is_norm
from tests.models.test_styles import write


@pytest.fixture(params=["one", "many"])
def base(request, train, tmp_path):
    """A model of one style or of many, as one that users have."""
    path = tmp_path / "base.ckpt"
    if request.param == "many":
        write(path)
        return path, ["network.arguments.grain=0.0"]
    assert train("style=waves", "output_dir=waves").code == 0
    (tmp_path / "waves" / "model.ckpt").rename(path)
    return path, []


@pytest.fixture
def learn(train, photos, base):
    """``scripts/train.py`` of a painting from the base, as a style file."""
    painting = photos / "photo1.png"
    return lambda *options: train(
        "style=custom", f"style.image={painting}", "style.name=painting", "initial=base.ckpt", "style_file=true",
        "output_dir=run", *base[1], *options,
    )  # fmt: skip


def test_only_the_rows_are_learnt_and_the_file_paints_them(learn, base, stylize, photos, tmp_path):
    answer = learn("final_photos=1", "final_size=64")
    assert answer.code == 0 and answer.err == "", answer.err
    file = "run/painting.style"
    assert answer.out.splitlines()[-1].endswith(f"stylize.py --model base.ckpt --style {file}")
    given = load_model(base[0]).network
    given = given.of_style(torch.full((3,), 1 / 3)) if given.arguments["styles"] else given
    before, after = given.state_dict(), load_model(tmp_path / "run" / "model.ckpt").network.state_dict()
    held = load_file(tmp_path / file)
    for name, value in after.items():
        assert torch.equal(value, before[name]) is not is_norm(name), name
        assert not is_norm(name) or torch.equal(held[name], value)
    photo = photos / "photo0.png"
    for name, options in {
        "whole": ["--model", "run/model.ckpt"],
        "file": ["--model", base[0], "--style", file],
    }.items():
        assert stylize(*options, "--input", photo, "--output", f"{name}.png").code == 0
    pictures = [np.array(Image.open(tmp_path / f"{name}.png")) for name in ("whole", "file")]
    assert np.array_equal(*pictures)
    rate = events(tmp_path / "run").Scalars("lr-Adam")[0].value
    assert rate == pytest.approx(1e-3 * ROWS_ALONE)


def test_a_resumed_run_is_the_unbroken_one(learn, tmp_path):
    options = ("optimizer=muon", "trainer.max_steps=6")
    assert learn(*options, "output_dir=whole").code == 0
    assert learn(*options, "save_every=3", "output_dir=broken").code == 0
    before = load(tmp_path / "broken" / "previous.ckpt")
    assert before["global_step"] == 3
    torch.save(before, tmp_path / "broken" / "last.ckpt")
    (tmp_path / "broken" / "painting.style").unlink()
    answer = learn(*options, "output_dir=broken", "ckpt_path=last")
    assert answer.code == 0, answer.err
    assert same(*(load_file(tmp_path / run / "painting.style") for run in ("whole", "broken")))
    error = learn(*options, "output_dir=broken", "ckpt_path=last", "style_file=false").error()
    assert "cannot be resumed from (its optimiser" in error


def test_wrong_calls(train, photos, tmp_path):
    write(tmp_path / "many.ckpt")
    painting = f"style.image={photos / 'photo1.png'}"
    for options, words in (
        (("style=custom", painting), "style_file=true needs the model that the style will be for: add initial=base"),
        (("style=custom", painting, "initial=many.ckpt"), "initial=many.ckpt: its network is"),  # has no grain
        (("style=custom", painting, "initial=base"), "initial=base: its network is"),
        (("style=custom", painting, "initial=gone.ckpt"), "gone.ckpt"),
        (("style=many", f"style.images={photos}", "initial=many.ckpt"), "style_file=true is for one style"),
        (("style=custom", painting, "initial=many.ckpt", "style_file=3"), "style_file=3: expected true or false"),
    ):
        assert words in train("style_file=true", *options).error(), options
