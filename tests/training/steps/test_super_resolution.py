"""Training a network to enlarge, through the command: what it learns, writes and shows, and how it goes on."""

import pytest
import torch

from fastnst.images.low_resolution.degrading import reduce, whole_multiple
from fastnst.images.low_resolution.quality import quality
from fastnst.images.reading import read_image
from fastnst.models.model_file import load_enlarger
from tests.conftest import events, run_script, same, weights


@pytest.fixture
def enlarging(photos, tmp_path):
    """``train experiment=super_resolution``, small, in a folder of its own; options given later win."""
    options = [
        "experiment=super_resolution", "trainer=cpu", f"data.root={photos}", "data.image_size=32", "data.batch_size=2",
        "network.arguments.width=8", "network.arguments.residual_blocks=1", "trainer.max_steps=4",
        "trainer.log_every=1", "trainer.precision=32-true", "preview_size=48", "preview_every=2", "validate_every=2",
    ]  # fmt: skip
    return lambda *more: run_script(
        "train", *(one for one in more if one == "-m"), *options, *(one for one in more if one != "-m"), cwd=tmp_path
    )


def test_it_beats_bicubic_on_photographs_it_has_not_seen(enlarging, tmp_path):
    answer = enlarging(
        "data=samples", "data.root=null", "trainer.max_steps=15", "data.image_size=64", "output_dir=run",
        "validate_every=15", "data.validation_photos=1", "preview_every=0",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    held_out = load_enlarger(tmp_path / "run" / "model.ckpt").card["held_out"]
    assert held_out["psnr"] > held_out["bicubic_psnr"] + 0.05
    assert (
        f"PSNR {held_out['psnr']:.2f} dB, SSIM {held_out['ssim']:.4f} (bicubic: {held_out['bicubic_psnr']:.2f} dB"
        in (answer.out)
    )
    assert "enlarge.py --model run/model.ckpt" in answer.out


def test_what_a_run_leaves(enlarging, tmp_path, photos):
    answer = enlarging("output_dir=run", "factor=2", "degradation=camera", "loss.feature_weight=0.5")
    assert answer.code == 0, answer.err
    run = tmp_path / "run"
    model = load_enlarger(run / "model.ckpt")
    assert model.network.factor == 2 == model.card["settings"]["factor"] and "style" not in model.card
    shown = events(run)
    curves = {"train/pixel", "train/layers/feature/relu2_2", "train/weighted/feature", "held_out/psnr", "held_out/ssim"}
    assert curves <= set(shown.Tags()["scalars"])
    assert [event.step for event in shown.Scalars("held_out/psnr")] == [2, 4]
    assert [event.step for event in shown.Images("previews")] == [2, 4]
    grid = read_image(run / "previews" / "latest.png")
    assert grid.shape[2] > 4 * 64 > grid.shape[1]  # four columns, one photograph of 7 is held out
    first, second = (event.value for event in shown.Scalars("held_out/bicubic_psnr"))
    assert first == second  # what the camera did to held-out photographs does not change


def test_a_run_goes_on_exactly(enlarging, tmp_path):
    for options in (["output_dir=whole"], ["output_dir=parts", "trainer.max_steps=2"]):
        assert enlarging("degradation=camera", "schedule=constant", *options).code == 0
    assert enlarging("degradation=camera", "schedule=constant", "output_dir=parts", "ckpt_path=last").code == 0
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert "enlarge4" in enlarging("output_dir=parts", "ckpt_path=last", "factor=2").error()


def test_it_begins_from_a_model_of_another_factor(enlarging, tmp_path):
    assert enlarging("output_dir=four").code == 0
    assert enlarging("output_dir=two", "factor=2", "initial=four/model.ckpt", "learning_rate=1e-9").code == 0
    four, two = (load_enlarger(tmp_path / name / "model.ckpt").network.state_dict() for name in ("four", "two"))
    for name, value in four.items():
        if not name.startswith("tail"):
            torch.testing.assert_close(two[name], value, atol=1e-3, rtol=0)
    assert not two["tail.weight"].abs().max() > 1e-6
    refused = enlarging("output_dir=other", "initial=four/model.ckpt", "network.arguments.width=9").error()
    assert "give a model of the same network" in refused
    assert "fastnst stylize" in enlarging("output_dir=other", "initial=mosaic").error()


def test_the_papers_network_and_degradation(photos, tmp_path):
    answer = run_script(
        "train", "experiment=super_resolution", "trainer=cpu", f"data.root={photos}", "trainer.max_steps=1",
        "network=johnson2016_sr", "degradation=gaussian", "data.image_size=32",
        "trainer.precision=32-true", "data.batch_size=1", "factor=8", "output_dir=run", "data.validation_photos=0",
        "preview_every=0", "loss.feature_weight=1", "loss.pixel_weight=0", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert load_enlarger(tmp_path / "run" / "model.ckpt").card["network"] == {
        "name": "johnson2016_sr", "arguments": {"factor": 8},
    }  # fmt: skip


def test_a_sweep_shows_their_figures(enlarging, tmp_path):
    answer = enlarging("-m", "seed=0,1", "trainer.max_steps=2")
    assert answer.code == 0, answer.err
    (page,) = (tmp_path / "outputs" / "multirun").glob("*/index.html")
    text = page.read_text()
    assert text.count("psnr") == 2 and text.count("enlarge.py --model") == 2


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("factor=5", "factor=5: expected one of 2, 3, 4, 8"),
        ("degradation=fog", "degradation='fog': expected one of bicubic, gaussian, camera"),
        ("network=johnson", "this network stylizes: give network=enlarging"),
        ("loss.pixel_weight=0", "loss.pixel_weight and loss.feature_weight are both zero"),
        ("data.cache=true", "data.cache=true keeps photographs small"),
        ("teacher=mosaic", "teacher"),
    ],
)
def test_refuses(enlarging, option, message):
    assert message in enlarging(option, "output_dir=run").error()


def test_quality_is_of_the_network_in_evaluation(enlarging, tmp_path, photos):
    """The figure of the card, by the model file and the photograph that was held out."""
    assert enlarging("output_dir=run", f"data.validation_root={photos}", "data.validation_photos=1").code == 0
    model = load_enlarger(tmp_path / "run" / "model.ckpt")
    figures = []
    for path in sorted(photos.iterdir()):
        original = whole_multiple(read_image(path)[None], 4)
        figures.append(quality(model.network(reduce(original, 4)), original, 4)["psnr"])
    assert min(abs(one - model.card["held_out"]["psnr"]) for one in figures) < 0.02  # half precision in the file
