"""scripts/benchmark.py, and what it computes: iterations a network is worth, times, peers, plots."""

import json
import math
import os
import shutil
from types import SimpleNamespace

import onnx
import pytest
import torch

from fastnst.benchmark.commands.objective import Comparison, equal_iterations, objective_of, square_photo, summary
from fastnst.benchmark.instruments import peers
from fastnst.benchmark.report.plots import HEIGHT, WIDTH, Line, plot
from fastnst.errors import InputError
from fastnst.images.reading import read_image
from fastnst.losses.functional import gram_matrix
from fastnst.models.model_file import load_model, save_model
from fastnst.models.onnx_graph import network_to_onnx
from fastnst.networks import TransformerNetwork
from tests.conftest import run_script


@pytest.fixture
def benchmark(tmp_path, trained):
    return lambda command, *arguments: run_script(
        "benchmark", command, "--model", trained / "model.ckpt", "--device", "cpu", *arguments, cwd=tmp_path
    )


def test_equal_iterations_by_hand():
    curve = [100.0, 50.0, 60.0, 40.0, 10.0]
    assert equal_iterations(curve, 120) == 0 and equal_iterations(curve, 100) == 0
    assert equal_iterations(curve, 75) == pytest.approx(0.5)
    assert equal_iterations(curve, 50) == 1
    assert equal_iterations(curve, 45) == pytest.approx(2.5)  # from 50, which was kept, to 40
    assert equal_iterations(curve, 10) == 4 and equal_iterations(curve, 9) == math.inf


def test_summary_by_hand():
    runs = [
        Comparison("m", "a", 64, "noise", 3.0, [9, 2], 5.0),
        Comparison("m", "b", 64, "noise", 4.0, [9, 1], math.inf),
    ]
    runs += [Comparison("m", "c", 64, "noise", 5.0, [9, 5], 1.0), Comparison("m", "a", 32, "noise", 1.0, [1, 1], 0.0)]
    first, second = summary(runs)
    assert first["size"] == 32 and second["photographs"] == 3
    assert (second["iterations_lowest"], second["iterations_median"], second["iterations_highest"]) == (1, 5, math.inf)
    assert second["ratio_median"] == 1.5 and second["objective_lbfgs"] == 2


def test_objective(benchmark, photos, tmp_path):
    answer = benchmark("objective", "--photos", photos, "--count", 2, "--sizes", 32, "--iterations", 4,
                       "--json", "figures.json", "--plot", "plot.png")  # fmt: skip
    assert answer.code == 0, answer.err
    assert "equals" in answer.out and "Johnson et al. 2016" in answer.out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["runs"]) == 4 and [row["start"] for row in figures["summary"]] == ["content", "noise"]
    for run in figures["runs"]:
        assert len(run["curve"]) == 5 and run["curve"] == sorted(run["curve"], reverse=True)
    assert read_image(tmp_path / "plot.png").shape == (3, HEIGHT, WIDTH)
    assert "exists: add --overwrite" in benchmark("objective", "--json", "figures.json").error()


def test_curves_are_kept_and_serve_several_models(trained, photos, tmp_path):
    models = [tmp_path / "one.ckpt", tmp_path / "two.ckpt"]
    for path in models:
        shutil.copyfile(trained / "model.ckpt", path)

    def measure(*arguments):
        common = ["--photos", photos, "--count", 1, "--sizes", 32, "--keep", "kept/curves.json", "--device", "cpu"]
        return run_script("benchmark", "objective", *common, *arguments, cwd=tmp_path)

    answer = measure("--model", models[0], "--iterations", 4, "--json", "first.json", "--starts", "content")
    assert answer.code == 0, answer.err
    kept = json.loads((tmp_path / "kept/curves.json").read_text())["curves"]
    assert len(kept) == 1
    mark = {key: [value + 1000 for value in curve] for key, curve in kept.items()}  # shows whether they are read
    (tmp_path / "kept/curves.json").write_text(json.dumps({"curves": mark}))
    answer = measure("--model", *models, "--iterations", 3, "--json", "second.json", "--starts", "content", "noise")
    assert answer.code == 0, answer.err
    runs = json.loads((tmp_path / "second.json").read_text())["runs"]
    assert [(run["start"], run["model"]) for run in runs] == [
        (start, name) for start in ("content", "noise") for name in ("one", "two")
    ]
    assert min(runs[0]["curve"]) > 1000 > max(runs[2]["curve"]) and len(runs[0]["curve"]) == 4
    assert len(json.loads((tmp_path / "kept/curves.json").read_text())["curves"]) == 2
    (tmp_path / "kept/curves.json").write_text("[]")
    assert "holds no curves" in measure("--model", models[0]).error()


def test_models_of_different_objectives_are_not_compared(trained, tmp_path):
    model = load_model(trained / "model.ckpt")
    settings = {**model.card["settings"], "loss": {**model.card["settings"]["loss"], "style_weight": 99.0}}
    save_model(tmp_path / "other.ckpt", model.network, {**model.card, "settings": settings})
    answer = run_script(
        "benchmark", "objective", "--model", trained / "model.ckpt", tmp_path / "other.ckpt", cwd=tmp_path
    )
    assert "other objectives (loss differ)" in answer.error()


def test_speed(benchmark, tmp_path):
    answer = benchmark("speed", "--sizes", 32, 48, "--repeats", 1, "--json", "figures.json", "--plot", "plot.png")
    assert answer.code == 0, answer.err
    assert "pytorch/examples" in answer.out and "500 iterations" in answer.out
    for row in json.loads((tmp_path / "figures.json").read_text())["rows"]:
        assert row["seconds_500"] == pytest.approx(500 * row["iteration_seconds"])
        assert row["ratio_100"] == pytest.approx(100 * row["iteration_seconds"] / row["network_seconds"])


def test_frontier(trained, photos, tmp_path):
    model = load_model(trained / "model.ckpt")
    slim = TransformerNetwork(width=2, trunk=6, kernel=5, separable=True, residual_blocks=1)
    save_model(tmp_path / "slim.ckpt", slim, {key: value for key, value in model.card.items() if key != "network"})
    onnx.save(network_to_onnx(slim), tmp_path / "peer.onnx")
    arguments = ["--photos", photos, "--count", 1, "--size", 32, "--repeats", 2, "--device", "cpu"]
    models = ["--model", trained / "model.ckpt", tmp_path / "slim.ckpt"]
    answer = run_script("benchmark", "frontier", *models, *arguments, "--against", tmp_path / "peer.onnx",
                        "--json", "f.json", "--plot", "f.png", cwd=tmp_path)  # fmt: skip
    assert answer.code == 0, answer.err
    figures = json.loads((tmp_path / "f.json").read_text())
    first, second = figures["rows"]
    assert first["objective_ratio"] == 1 and second["objective_ratio"] == second["objective"] / first["objective"]
    assert second["parameters"] == sum(one.numel() for one in slim.parameters()) and second["network"]["trunk"] == 6
    assert second["kilobytes"] == (tmp_path / "slim.ckpt").stat().st_size / 1000 and figures["against"]["seconds"] > 0
    loss = objective_of(model.card, None, torch.device("cpu"))
    content = square_photo(sorted(photos.iterdir())[0], 256)[None]
    with torch.no_grad():
        expected = loss(load_model(tmp_path / "slim.ckpt").network(content).clamp(0, 1), content).total.item()
    assert second["objective"] == pytest.approx(expected, rel=1e-3)
    broken = run_script("benchmark", "frontier", *models, "--against", trained / "model.ckpt", cwd=tmp_path)
    assert "is no ONNX model" in broken.error()


def test_the_card_gives_the_objective(trained):
    model = load_model(trained / "model.ckpt")
    loss = objective_of(model.card, None, torch.device("cpu"))
    settings = model.card["settings"]["loss"]
    assert loss.weights["style"] == settings["style_weight"] and loss.style_layers == settings["style_layers"]
    card = {**model.card, "settings": {**model.card["settings"], "style": {"name": "x", "size": 64, "image": "gone"}}}
    with pytest.raises(InputError, match="give --style PATH"):
        objective_of(card, None, torch.device("cpu"))
    with pytest.raises(InputError, match="does not say how it was trained"):
        objective_of({}, None, torch.device("cpu"))


@pytest.mark.parametrize("option", ["--json", "--plot", "--keep"])
def test_a_file_that_cannot_be_written_is_said_before_the_work(benchmark, monkeypatch, tmp_path, option):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    monkeypatch.setattr("fastnst.benchmark.commands.objective.run", lambda *arguments: pytest.fail("hours later"))
    for path in ("file/figures.png", "folder.png"):
        line = benchmark("objective", option, path, "--overwrite").error()
        assert f"{path} cannot be written" in line
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.png"}


def test_figures_are_written_whole_or_not_at_all(benchmark, monkeypatch, tmp_path):
    (tmp_path / "figures.json").write_text("old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastnst.benchmark.commands.objective.run", lambda *arguments: ({}, torch.zeros(3, 8, 8)))
    monkeypatch.setattr(os, "fsync", full)
    line = benchmark("objective", "--json", "figures.json", "--overwrite").error()
    assert "figures.json cannot be written (No space left on device)" in line
    assert (tmp_path / "figures.json").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_square_photo(photos):
    assert square_photo(photos / "photo2.png", 20).shape == (3, 20, 20)


def test_examples_network_is_johnsons():
    network = peers.ExamplesNetwork().eval()
    assert sum(one.numel() for one in network.parameters()) == 1_679_235  # 1.679 M, published
    ours = TransformerNetwork()
    assert sum(one.numel() for one in ours.parameters()) == 1_679_235
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 32, 40)).shape == (1, 3, 32, 40)


def test_pastiches_weights_in_our_formula():
    """Its style term, 10/C^2 times the mean squared difference of F F^T / (H W), from ours."""
    a, b = torch.rand(1, 64, 5, 6), torch.rand(1, 64, 5, 6)
    theirs = [one[0].flatten(1) @ one[0].flatten(1).T / 30 for one in (a, b)]
    expected = 10 / 64**2 * (theirs[0] - theirs[1]).square().mean()
    ours = peers.PASTICHE_STYLE["relu1_1"] * (gram_matrix(a) - gram_matrix(b)).square().sum()
    assert ours.item() == pytest.approx(expected.item(), rel=1e-4)


def test_plot_has_every_line():
    lines = [Line("falls", [1, 10, 100], [9.0, 3.0, 1.0]), Line("level", [], [2.0])]
    for log_x in (False, True):
        picture = plot("title", "x", lines, log_x)
        assert picture.shape == (3, HEIGHT, WIDTH)
        for red, green, blue in ((31, 119, 180), (255, 127, 14)):
            colour = torch.tensor([red, green, blue])[:, None, None] / 255
            assert ((picture - colour).abs().amax(0) < 0.01).sum() > 100
    plot("one point", "x", [Line("a", [5], [1.0])])


@pytest.mark.parametrize(
    "command, arguments, said",
    [
        ("objective", ("--model", "nosuch"), "no model 'nosuch'"),
        ("objective", ("--photos", "gone"), "gone is not there"),
        ("objective", ("--sizes", 4), "--sizes=4"),
        ("objective", ("--count", 0), "--count=0"),
        ("speed", ("--plot", "plot.xyz"), ".png"),
        ("speed", ("--device", "nosuch"), "device=nosuch"),
        ("speed", ("--nosuch",), "--help"),
    ],
)
def test_wrong_calls(benchmark, command, arguments, said):
    assert said in benchmark(command, *arguments).error()


def test_a_card_that_says_nothing(benchmark, tmp_path):
    save_model(tmp_path / "bare.ckpt", TransformerNetwork(4, 0), {})
    assert "how it was trained" in benchmark("objective", "--model", tmp_path / "bare.ckpt").error()


def test_pastiche_missing(benchmark, monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert "pip install pastiche" in benchmark("speed", "--against", "pastiche").error()


def test_against_pastiche(monkeypatch, tmp_path, photos):
    """A stand-in with pastiche's interface: both are asked for the same, and our objective measures what it made."""
    import sys

    import fastnst.losses.from_settings as objective
    from fastnst.features import VGGWeights
    from fastnst.features.architecture import CHANNELS_PER_BLOCK, convolution_indices
    from fastnst.images.saving import save_image

    class Artist:
        def __init__(self, content, styles, **options):
            mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
            self.pastiche = 255 * read_image(content)[None].flip(1) - mean
            assert options["size"] == options["style_size"] == 32

        def draw(self):
            pass

    def weights(source, architecture):
        inner, state = 3, {}
        for name, index in convolution_indices(architecture).items():
            outer = CHANNELS_PER_BLOCK[int(name[4]) - 1]
            state[f"features.{index}.weight"] = torch.randn(outer, inner, 3, 3) * (2 / (9 * inner)) ** 0.5
            state[f"features.{index}.bias"] = torch.zeros(outer)
            inner = outer
        return VGGWeights(state, (0.48, 0.45, 0.4), (1 / 255,) * 3)

    module = SimpleNamespace(VGG_MEAN=[103.939, 116.779, 123.68], PasticheArtist=Artist)
    monkeypatch.setitem(sys.modules, "pastiche", SimpleNamespace(pastiche=module))
    monkeypatch.setitem(sys.modules, "pastiche.pastiche", module)
    monkeypatch.setattr(peers, "find_spec", lambda name: name)
    monkeypatch.setattr(peers, "load_vgg_weights", weights)
    assert objective  # imported first: it loads weights of its own
    for number in (1, 2):
        save_image(square_photo(photos / f"photo{number}.png", 32), tmp_path / f"{number}.png")
    row = peers.compare_with_pastiche(tmp_path / "1.png", tmp_path / "2.png", 32, 4)
    assert row["pastiche_objective"] == pytest.approx(row["objective_start"], rel=1e-3)  # the stand-in drew nothing
    assert row["fastnst_objective"] < row["objective_start"] and row["fastnst_seconds"] > 0
