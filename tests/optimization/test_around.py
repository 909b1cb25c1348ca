"""What surrounds the optimisation: sizes, starts, settings, inversion, the record of a run."""

import pytest
import torch
from random_pictures import noise, random_weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fastnst.errors import InputError
from fastnst.features import VGG, VGGWeights
from fastnst.features.activations import scale_activations
from fastnst.features.similarity import describe, nearest
from fastnst.images.reading import read_image
from fastnst.losses import Objective
from fastnst.losses.from_settings import build_objective
from fastnst.optimization.inversion import reconstruct_features, synthesise_texture, texture_layers
from fastnst.optimization.pyramid import optimize_coarse_to_fine
from fastnst.optimization.record import Record, contact_sheet, open_folder
from fastnst.optimization.starts import fitted_start, starting_picture

LOSS = {"content_layers": {"relu2_1": 1.0}, "style_layers": {"relu1_1": 1.0}, "style_weight": 5.0}


def test_coarse_to_fine(vgg, content):
    style, scales, seen = noise(2, 40, 40), [], []

    def loss_at(scale):
        scales.append(scale)
        return build_objective(vgg, style, LOSS, scale)

    result = optimize_coarse_to_fine(
        loss_at, content, content, [8, 12, 16], [3, 2, 4], callback=lambda *all: seen.append(all)
    )
    assert scales == [8 / 16, 12 / 16, 1.0]
    assert result.picture.shape == (3, 16, 19) and len(result.curve) == 3 + 2 + 4 + 3
    assert [iteration for iteration, _, _ in seen] == [0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9]
    assert [picture.shape[1] for _, _, picture in seen] == [8] * 4 + [12] * 3 + [16] * 5
    assert result.objective == min(result.curve[-5:])


def test_coarse_to_fine_ended_early_is_enlarged(vgg, content):
    def end(iteration, objective, picture):
        if iteration == 2:
            raise KeyboardInterrupt

    loss = build_objective(vgg, noise(2), LOSS)
    result = optimize_coarse_to_fine(lambda scale: loss, content, content, [8, 20], 9, callback=end)
    assert result.stopped == "interrupted" and result.picture.shape == content.shape and len(result.curve) == 3


@pytest.mark.parametrize("sizes, steps", [([], 1), ([16, 8], 1), ([8, 8], 1), ([8, 16], [1]), ([0], 1), ([8], "x")])
def test_wrong_sizes(vgg, content, sizes, steps):
    with pytest.raises(InputError):
        optimize_coarse_to_fine(lambda scale: None, content, content, sizes, steps)


def test_starts(content):
    style = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(3)) * 0.2 + 0.3
    style[0] += 0.2
    assert torch.equal(starting_picture("content", content, style), content)
    large = torch.zeros(3, 100, 100)
    grey = starting_picture("noise", large, style, deviation=0.1)
    assert grey.mean().item() == pytest.approx(0.5, abs=0.01) and grey.std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(grey, starting_picture("noise", large, style, deviation=0.1))
    assert not torch.equal(grey, starting_picture("noise", large, style, seed=1, deviation=0.1))
    statistics = starting_picture("style_statistics", large, style)
    assert torch.allclose(statistics.mean((1, 2)), style.mean((1, 2)), atol=0.01)
    assert torch.allclose(statistics.flatten(1).cov(), style.flatten(1).cov(), atol=3e-4)
    assert fitted_start(style, content).shape == content.shape
    with pytest.raises(InputError, match="content, noise, style_statistics, or the path of a picture"):
        starting_picture("nois", content, style)


def test_unit_means():
    """Every layer's mean activation is 1, and it is the same layer but for one factor."""
    photos = [noise(1), noise(2, 30, 18)]
    layers = ["relu1_1", "relu1_2", "relu2_1", "relu2_2"]
    released = VGG(layers, random_weights())
    unit = VGG(layers, scale_activations(random_weights(), "unit_mean", photos, "vgg16"))
    for layer in layers:
        before, after = ([net(photo[None])[layer] for photo in photos] for net in (released, unit))
        assert sum(one.mean().item() for one in after) / 2 == pytest.approx(1, rel=1e-3)
        factor = (after[0].sum() / before[0].sum()).item()
        assert torch.allclose(after[0], factor * before[0], rtol=1e-3, atol=1e-4)


def test_unit_input():
    caffe = VGGWeights(random_weights().state, (0.4, 0.4, 0.4), (1 / 255,) * 3)
    released, unit = (
        VGG(["relu2_2"], scale_activations(caffe, scale, [], "vgg16")) for scale in ("released", "unit_input")
    )
    before, after = (net(noise(1)[None])["relu2_2"] for net in (released, unit))
    torch.testing.assert_close(after * (255 * 0.229), before, rtol=0, atol=1e-5 * before.max().item())
    with pytest.raises(InputError, match="released, unit_input, unit_mean"):
        scale_activations(caffe, "unit", [], "vgg16")


def test_inversion(vgg):
    picture = noise(1, 16, 16)
    rebuilt = reconstruct_features(vgg, picture, "relu1_1", 40).picture
    assert (rebuilt - picture).abs().mean() < 0.5 * (noise(0, 16, 16) - picture).abs().mean()
    texture = synthesise_texture(vgg, picture, "relu2_1", 15)
    assert texture.objective < 0.3 * texture.curve[0]
    assert texture_layers("relu3_3", "vgg16") == ["relu1_1", "relu2_1", "relu3_1", "relu3_3"]
    assert texture_layers("conv2_1", "vgg16") == ["conv1_1", "conv2_1"]


def test_similarity(vgg):
    pictures = [noise(1), torch.zeros(3, 20, 20), noise(1).flip(2) * 0.97, torch.ones(3, 20, 20)]
    descriptions = [describe(vgg, picture, "relu2_1") for picture in pictures]
    assert all(one.norm().item() == pytest.approx(1) for one in descriptions)
    found = nearest(descriptions[0], descriptions, 2)
    assert [position for position, _ in found] == [0, 2] and found[0][1] == pytest.approx(1)


def test_record(tmp_path):
    folder = tmp_path / "run"
    open_folder(folder)
    record = Record(folder, steps=4, pictures=3)
    for iteration in range(5):
        terms = {name: torch.tensor(float(iteration)) for name in ("content", "style", "total_variation")}
        record(iteration, Objective(torch.tensor(3.0 * iteration), terms, terms, {}), noise(iteration))
    record.finish(noise(0), 4, style=noise(2))
    assert torch.allclose(read_image(folder / "result.png"), noise(0), atol=0.003)
    assert read_image(folder / "strip.png").shape[2] == 4 * (64 + 4) + 4  # 0, 1, the best, the style
    (events,) = folder.glob("events*")
    log = EventAccumulator(str(events)).Reload()
    assert [point.value for point in log.Scalars("total")] == [0, 3, 6, 9, 12]
    assert {"weighted/content", "weighted/style", "weighted/total_variation"} <= set(log.Tags()["scalars"])
    assert set(log.Tags()["images"]) == {"picture", "result"}
    with pytest.raises(InputError, match=r"already holds result\.png"):
        open_folder(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        open_folder(tmp_path / "file" / "run")


def test_contact_sheet(tmp_path):
    runs = [({"loss.style_weight": w, "style.size": s, "size": "8"}, noise(1)) for w in "125" for s in ("64", "96")]
    sheet = read_image(contact_sheet(tmp_path, runs[:5], cell=32))
    assert sheet.shape[1] > 3 * 32 and sheet.shape[2] > 2 * 36
    (events,) = tmp_path.glob("events*")
    assert EventAccumulator(str(events)).Reload().Tags()["images"] == ["contact_sheet"]
    contact_sheet(tmp_path, runs[:1])  # one run, ended early
