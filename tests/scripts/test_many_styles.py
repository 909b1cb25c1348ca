"""One network for many paintings, as a user runs it: trained, resumed, extended, painted with; and wrong calls."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.models.model_file import load_model
from fastnst.models.styles import pick, style_names
from fastnst.stylization import Stylizer
from fastnst.training.style_pictures import thumbnail
from tests.conftest import events, load, same


@pytest.fixture(scope="module")
def paintings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paintings")
    for number, name in enumerate(("red", "green", "blue")):
        random = np.random.default_rng(number)
        colours = random.integers(0, 100, (9 + number, 8, 3), np.uint8)
        colours[..., number] += 120
        Image.fromarray(colours).resize((80, 72 + 8 * number), Image.Resampling.NEAREST).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def many(train, paintings, tmp_path):
    def run(*options):
        return train("style=many", f"style.images={paintings}", "output_dir=run", *options)

    return run


def test_a_run_and_its_pictures(many, stylize, photos, tmp_path):
    answer = many("trainer.max_steps=6", "preview_every=6", "validate_every=3", "final_photos=1", "final_size=64")
    assert answer.code == 0 and answer.err == "", answer.err
    assert all(f"{name} on held-out photographs: content kept" in answer.out for name in ("blue", "green", "red"))
    model = load_model(tmp_path / "run" / "model.ckpt")
    assert style_names(model) == ["blue", "green", "red"]
    assert model.card["style"] == {"name": "many", "size": 64}
    assert all(style["fidelity"]["style"] > 0 for style in model.card["styles"])
    assert {"styles/blue", "styles/green", "styles/red"} <= model.card["held_out"].keys()
    assert model.thumbnail.shape == (3, 3, 96, 96) and model.thumbnail.mean((2, 3)).argmax(1).tolist() == [2, 1, 0]
    shown = events(tmp_path / "run")
    for name in ("blue", "green", "red"):  # two pictures a step: each style in four of six steps
        assert [event.step for event in shown.Scalars(f"held_out/styles/{name}")] == [3, 6]
        assert f"train/styles/{name}" in shown.Tags()["scalars"]
    mean = np.mean([shown.Scalars(f"held_out/styles/{name}")[-1].value for name in ("blue", "green", "red")])
    assert shown.Scalars("held_out/total")[-1].value == pytest.approx(mean, rel=1e-5)
    with Image.open(tmp_path / "run" / "previews" / "latest.png") as sheet:
        assert sheet.height > 4 * 64  # content and three styles
    photo = photos / "photo0.png"
    assert "pick one of blue, green, red" in stylize("--model", "run/model.ckpt", "--input", str(photo)).error()
    for style in ("green", "blue=0.25,red=0.75"):
        assert (
            stylize(
                "--model", "run/model.ckpt", "--style", style, "--input", str(photo), "--output", f"{style}.png"
            ).code
            == 0
        )
    picture = torch.from_numpy(np.array(Image.open(photo).convert("RGB"))).permute(2, 0, 1) / 255
    expected = Stylizer(pick(model, {"blue": 0.25, "red": 0.75}), "cpu")(picture)
    painted = torch.from_numpy(np.array(Image.open(tmp_path / "blue=0.25,red=0.75.png"))).permute(2, 0, 1) / 255
    assert (painted - expected).abs().max() <= 0.51 / 255
    assert stylize("--model", "run/model.ckpt", "--style", "green", "--input", str(photo)).code == 0
    assert (tmp_path / "stylized" / "photo0_green.png").is_file()
    words = "no style 'nosuch' in this model: expected one of blue, green, red"
    assert words in stylize("--model", "run/model.ckpt", "--style", "nosuch", "--input", str(photo)).error()


def test_a_resumed_run_is_the_unbroken_one(many, tmp_path):
    assert many("trainer.max_steps=6", "output_dir=whole").code == 0
    assert many("trainer.max_steps=6", "save_every=3", "output_dir=broken").code == 0
    before = load(tmp_path / "broken" / "previous.ckpt")
    assert before["global_step"] == 3
    torch.save(before, tmp_path / "broken" / "last.ckpt")
    assert many("trainer.max_steps=6", "output_dir=broken", "ckpt_path=last").code == 0
    assert same(
        load(tmp_path / "whole" / "last.ckpt")["state_dict"], load(tmp_path / "broken" / "last.ckpt")["state_dict"]
    )


def test_one_and_many_begin_from_each_other(many, train, tmp_path):
    """With hardly a step: the rows of many are those of the one given; the one is the mean of many."""
    assert train("style=waves", "output_dir=one").code == 0
    assert many("initial=one/model.ckpt", "learning_rate=1e-9").code == 0
    one, rows = (load_model(tmp_path / run / "model.ckpt").network.state_dict() for run in ("one", "run"))
    for name, value in rows.items():
        torch.testing.assert_close(value, one[name].expand_as(value), atol=1e-4, rtol=0)
    answer = train("style=mosaic", "initial=run/model.ckpt", "learning_rate=1e-9", "output_dir=again")
    assert answer.code == 0, answer.err
    again = load_model(tmp_path / "again" / "model.ckpt").network.state_dict()
    for name, value in again.items():
        if not name.startswith("to_rgb"):
            torch.testing.assert_close(value, one[name], atol=1e-4, rtol=0)


def test_thumbnails_of_many_are_squares_from_the_middle():
    wide = torch.zeros(3, 50, 200)
    wide[..., 75:125] = 1
    assert thumbnail([wide]).shape == (3, 24, 96)
    squares = thumbnail([wide, wide.transpose(1, 2)])
    assert squares.shape == (2, 3, 96, 96) and squares.mean() > 0.95


def test_a_broken_picture_is_named_and_the_rest_trained(many, paintings, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("red", "green"):
        (folder / f"{name}.png").write_bytes((paintings / f"{name}.png").read_bytes())
    (folder / "torn.png").write_bytes((paintings / "blue.png").read_bytes()[:100])
    answer = many(f"style.images={folder}")
    assert answer.code == 0 and "warning: style torn is left out:" in answer.err
    assert style_names(load_model(tmp_path / "run" / "model.ckpt")) == ["green", "red"]


def test_wrong_calls(train, paintings, tmp_path):
    red = str(paintings / "red.png")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "red.jpg").write_bytes((paintings / "red.png").read_bytes())
    (tmp_path / "other" / "night: sea.jpg").write_bytes((paintings / "red.png").read_bytes())
    for options, words in (
        (("style.images=other",), "a picture called 'night: sea', which is no name for a style: rename it"),
        ((), "add style.images=[A.jpg,B.jpg], or a folder"),
        ((f"style.images=[{red}]",), "style.images has 1 pictures: expected 2 to 256"),
        (("style.images=nowhere",), "nowhere is not there"),
        ((f"style.images=[{red},other/red.jpg]",), "two pictures called 'red'"),
        (
            (f"style.images=[{red},gone.png]",),
            "at least 2 pictures that can be read; style gone is left out: gone.png is not there",
        ),
        (
            (f"style.images={paintings}", "teacher=mosaic"),
            "teacher=mosaic: a network of many styles learns without one",
        ),
    ):
        assert words in train("style=many", *options).error(), options
