"""Every shipped config: composed, and trained with for two steps through scripts/train.py."""

import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import fastnst.commands.hydra_command  # noqa: F401  # by which Hydra finds configs/
from fastnst.benchmark.commands.objective import objective_of
from fastnst.commands.settings_help import FOLDERS as COMMANDS
from fastnst.commands.typed_settings import known_settings
from fastnst.features.loss_network import default_layers, default_weights
from fastnst.losses import PerceptualLoss
from fastnst.models.model_file import load_model
from fastnst.settings import OptimizeSettings, PreviewSettings, TrainSettings
from fastnst.styles import NAMES
from tests.conftest import events, run_script

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FOLDERS = {"experiment": "train/experiment"}  # those of scripts/optimize.py are tested with it


ENLARGING = {"network": ["enlarging", "johnson2016_sr"], "loss": ["reconstruction"], "experiment": ["super_resolution"]}
"""Those of experiment=super_resolution; trained with in tests/training/steps."""


def choices(group: str) -> list[str]:
    """The files of a group, without those of enlarging."""
    found = sorted(path.stem for path in (CONFIGS / FOLDERS.get(group, group)).glob("*.yaml"))
    assert set(ENLARGING.get(group, [])) <= set(found)
    return [name for name in found if name not in ENLARGING.get(group, [])]


def test_how_many_there_are():
    counts = {group: choices(group) for group in ("style", "network", "loss", "data", "trainer", "experiment")}
    assert counts["style"] == sorted([*NAMES, "custom", "many"]) and len(counts["style"]) == 12
    assert counts["network"] == ["custom", "johnson", "johnson2016", "slim", "tiny"]
    assert counts["loss"] == ["johnson2016", "motifs", "normalized"]
    assert counts["data"] == ["coco", "custom", "folder", "samples", "webdataset"]
    assert counts["trainer"] == ["auto", "cpu", "ddp", "free_gpu", "gpu"]
    assert counts["experiment"] == ["full", "hours", "johnson2016", "minute", "quick", "steady"]


def test_only_one_sets_the_mode_that_tests_do_not_compose_for():
    """See `_composed_once` in conftest.py."""
    setting = [path for path in CONFIGS.rglob("*.yaml") if re.search(r"^ *mode:", path.read_text(), re.MULTILINE)]
    assert setting == [CONFIGS / "optimize/experiment/sweep.yaml"]


@pytest.fixture
def composed(monkeypatch):
    def build(*overrides: str):
        with initialize_config_dir(str(CONFIGS / "train"), version_base="1.3"):
            return compose("train", overrides=list(overrides))

    resolvers = {
        "stem": lambda path: Path(path).stem,
        "shipped_style": lambda name: name,
        "default_layers": lambda network, term: OmegaConf.create(default_layers(network)[term == "style"]),
        "default_weights": default_weights,
    }
    for name, resolve in resolvers.items():
        OmegaConf.register_new_resolver(name, resolve, replace=True)
    return build


def plain(config) -> dict:
    return OmegaConf.to_container(config, resolve=True)


def test_defaults_are_the_papers(composed):
    config = plain(composed())
    assert config["data"] | {"source": "coco", "image_size": 256, "batch_size": 4} == config["data"]
    assert config["trainer"]["max_steps"] == 40000 and config["learning_rate"] == 1e-3
    assert config["schedule"] == "constant" and config["seed"] == 0
    assert config["loss_network"] == "vgg16" and config["weights"] == "imagenet_caffe"
    assert config["loss"]["content_layers"] == {"relu3_3": 1.0}  # the paper's is loss=johnson2016
    assert list(config["loss"]["style_layers"].items()) == [
        ("relu1_2", 1.0), ("relu2_2", 1.0), ("relu3_3", 1.0), ("relu4_3", 1.0),
    ]  # fmt: skip


def test_johnson2016_is_exactly_the_paper(composed):
    config = plain(composed("experiment=johnson2016"))
    assert config["network"]["arguments"] == {
        "width": 32, "residual_blocks": 5, "upsampling": "transposed", "grain": 0.0,
        "trunk": None, "kernel": 9, "separable": False,
    }  # fmt: skip
    loss = config["loss"]
    assert (
        loss["content_distance"] == loss["style_distance"] == "squared"
        and loss["tv_form"] == "squared"
        and loss["tv_range"] == 255
    )
    assert (loss["content_weight"], loss["style_weight"], loss["tv_weight"]) == (1.0, 5.0, 1e-6)
    for layer, channels in (("relu1_2", 64), ("relu2_2", 128), ("relu3_3", 256), ("relu4_3", 512)):
        assert loss["style_layers"][layer] == pytest.approx(1 / channels**2)
    assert (config["data"]["source"], config["data"]["image_size"], config["data"]["batch_size"]) == ("coco", 256, 4)
    assert (config["trainer"]["max_steps"], config["learning_rate"], config["schedule"]) == (40000, 1e-3, "constant")
    assert config["range_weight"] == 0


def test_whole_layer_sets_replace_the_defaults(composed):
    for name in choices("loss"):
        config = plain(composed(f"loss={name}", "loss.style_layers={relu3_1:2.0}", "loss.content_layers={conv4_2:1}"))
        assert config["loss"]["style_layers"] == {"relu3_1": 2.0}
        assert config["loss"]["content_layers"] == {"conv4_2": 1}


def test_loss_options_are_the_constructors(composed):
    import inspect

    taken = {name: one.default for name, one in inspect.signature(PerceptualLoss).parameters.items()}
    defaults = {name: value for name, value in taken.items() if name not in ("vgg", "style")}
    for name in choices("loss"):
        assert set(plain(composed(f"loss={name}"))["loss"]) == set(defaults)
    assert plain(composed())["loss"] == defaults  # benchmarks compute with the constructor's


def steps(folder: Path) -> int:
    return torch.load(folder / "last.ckpt", weights_only=True)["global_step"]


@pytest.mark.parametrize("style", NAMES)
def test_train_every_style(train, tmp_path, style):
    assert train(f"style={style}", "output_dir=run").code == 0
    assert steps(tmp_path / "run") == 2
    assert load_model(tmp_path / "run" / "model.ckpt").card["style"] == {"name": style, "size": 64}


def test_train_a_style_of_ones_own(train, photos, tmp_path):
    (tmp_path / "My painting.png").write_bytes((photos / "photo0.png").read_bytes())
    answer = train("style=custom", "style.image='My painting.png'")
    assert answer.code == 0, answer.err
    (run,) = (tmp_path / "outputs" / "My painting").iterdir()
    assert load_model(run / "model.ckpt").card["style"]["name"] == "My painting"


def test_train_from_another_models_weights(train, tmp_path):
    assert train("style=waves", "output_dir=first").code == 0
    first = load_model(tmp_path / "first" / "model.ckpt")
    answer = train("style=mosaic", "initial=first/model.ckpt", "learning_rate=1e-9", "output_dir=second")
    assert answer.code == 0, answer.err
    second = load_model(tmp_path / "second" / "model.ckpt")
    assert second.card["style"]["name"] == "mosaic" and second.card["settings"]["initial"] == "first/model.ckpt"
    for name, value in first.network.state_dict().items():
        if not name.startswith("to_rgb"):  # adapted to the other style: tests/training/test_start.py
            torch.testing.assert_close(second.network.state_dict()[name], value, atol=1e-7, rtol=0)
    answer = train("initial=first/model.ckpt", "network.arguments.kernel=5", "output_dir=third")
    assert answer.code == 2 and "give a model of the same network" in answer.err
    assert "nothing.ckpt" in train("initial=nothing.ckpt").err


def test_train_with_a_teacher(train, tmp_path):
    answer = train("teacher=mosaic", "teacher_steps=1", "output_dir=run")
    assert answer.code == 0, answer.err
    shown = events(tmp_path / "run")
    first, second = shown.Scalars("train/imitation")
    assert first.value > 0 and second.value == 0
    assert [event.step for event in shown.Scalars("train/content")] == [2]
    assert "imitation=" in answer.out
    for refused in (["teacher=nothing.ckpt"], ["teacher=mosaic", "teacher_steps=0"]):
        assert refused[-1] in train(*refused).error()


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_train_with_every_optimizer(train, tmp_path, optimizer):
    answer = train(f"optimizer={optimizer}", "output_dir=run")
    assert answer.code == 0, answer.err
    assert load_model(tmp_path / "run" / "model.ckpt").card["settings"]["optimizer"] == optimizer


@pytest.mark.parametrize("network", sorted(set(choices("network")) - {"custom"}))  # tests/test_extending.py
def test_train_every_network(train, tmp_path, network):
    answer = train(f"network={network}", "network.arguments.width=32", "output_dir=run")
    assert answer.code == 0, answer.err
    arguments = load_model(tmp_path / "run" / "model.ckpt").card["network"]["arguments"]
    assert arguments["width"] == 32


def test_which_trainings_learn_large_motifs(composed):
    weights = {
        choice: composed(*choice.split()).loss.motifs_weight
        for choice in ("experiment=minute", "experiment=quick", "experiment=hours data.root=x",
                       "experiment=hours data.root=x loss=johnson2016", "experiment=steady data.root=x")
    }  # fmt: skip
    assert list(weights.values()) == [0, 0, 2, 0, 0]


@pytest.mark.parametrize("loss", choices("loss"))
def test_train_every_loss(train, tmp_path, loss):
    assert train(f"loss={loss}", "output_dir=run").code == 0
    assert load_model(tmp_path / "run" / "model.ckpt").card["losses"]["total"] > 0


def test_train_other_layers_and_pooling(train, tmp_path):
    answer = train("loss.style_layers={relu3_1:1.0,conv1_1:0.5}", "loss.content_layers={relu3_2:1}", "pooling=average",
                   "loss.tv_weight=0.1", "loss.tv_form=l1", "output_dir=run")  # fmt: skip
    assert answer.code == 0, answer.err
    losses = load_model(tmp_path / "run" / "model.ckpt").card["losses"]
    assert {name for name in losses if name.startswith("layers/")} == {
        "layers/content/relu3_2",
        *(f"layers/{term}/{layer}" for term in ("style", "moments") for layer in ("relu3_1", "conv1_1")),
    }  # fmt: skip
    assert losses["weighted/total_variation"] == pytest.approx(0.1 * losses["total_variation"])


def test_train_with_another_loss_network(train, tmp_path):
    answer = train("loss_network=squeezenet1_1", "weights=random", "output_dir=run")
    assert answer.code == 0, answer.err
    card = load_model(tmp_path / "run" / "model.ckpt").card
    assert {name for name in card["losses"] if name.startswith("layers/style")} == {
        f"layers/style/features.{number}" for number in (1, 4, 7, 10)
    }
    assert card["settings"]["loss"]["content_layers"] == {"features.7": 1.0}  # a benchmark knows what was descended on
    objective = objective_of(card, None, torch.device("cpu"))
    assert objective.vgg.architecture == "squeezenet1_1" and objective.weights["style"] == 3.0
    refused = train("loss_network=squeezenet1_1", "weights=random", "loss.style_layers={features.4.sqeeze:1}").error()
    assert "squeezenet1_1 has no layer 'features.4.sqeeze'; near are features.4.squeeze" in refused


@pytest.mark.parametrize("data", sorted(set(choices("data")) - {"custom"}))
def test_train_every_data_source(train, photos, tmp_path, monkeypatch, data):
    root = []
    if data == "coco":
        (tmp_path / "coco" / "train2017").mkdir(parents=True)
        for path in photos.iterdir():
            (tmp_path / "coco" / "train2017" / path.name).write_bytes(path.read_bytes())
        monkeypatch.setenv("COCO_ROOT", str(tmp_path / "coco"))
    if data == "webdataset":
        from fastnst.data.sharding import write_shards

        write_shards(sorted(photos.iterdir()), photos, tmp_path / "shards")
        root = ["data.root=shards"]
    elif data != "folder":
        root = ["data.root=null"]
    answer = train(f"data={data}", *root, "output_dir=run")
    assert answer.code == 0 and answer.err == "", answer.err
    assert load_model(tmp_path / "run" / "model.ckpt").card["data"] == {
        "source": data, "photographs": 4 if data == "samples" else 7,
    }  # fmt: skip


def test_without_coco_the_samples_are_taken_and_it_is_said(train, tmp_path, monkeypatch):
    monkeypatch.delenv("COCO_ROOT", raising=False)
    answer = train("data=coco", "data.root=null", "output_dir=run")
    assert answer.code == 0
    assert "NO COCO HERE" in answer.err and "scripts/download_coco.py" in answer.err
    assert load_model(tmp_path / "run" / "model.ckpt").card["data"]["source"] == "samples"


def test_train_auto(train, tmp_path):
    assert train("trainer=auto", "output_dir=run").code == 0
    assert steps(tmp_path / "run") == 2


def test_train_on_a_free_gpu_or_where_there_is_none_on_the_cpu(train, tmp_path):
    assert train("trainer=free_gpu", "output_dir=run").code == 0
    assert steps(tmp_path / "run") == 2


def test_train_gpu(train, composed, tmp_path):
    config = plain(composed("trainer=gpu"))["trainer"]
    assert (config["precision"], config["channels_last"], config["compile"]) == ("bf16-mixed", True, True)
    if torch.cuda.is_available():
        assert train("trainer=gpu", "output_dir=run").code == 0
    else:
        refused = train("trainer=gpu", "output_dir=run").error()
        assert "torch finds no GPU; use trainer=auto or trainer=cpu" in refused


def test_ddp_is_trained_with_in_the_tests_of_several_processes(composed):
    """tests/training/test_processes.py: each such run takes the seconds of three starts."""
    config = plain(composed("trainer=ddp"))["trainer"]
    assert (config["strategy"], config["num_nodes"]) == ("ddp", 1)


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_train_every_experiment(train, photos, tmp_path, experiment):
    fits_base = ["network.arguments.width=32", "network.arguments.residual_blocks=5"]
    size = fits_base if experiment in ("hours", "quick", "minute") else []
    answer = train(f"experiment={experiment}", "data=folder", f"data.root={photos}", "output_dir=run", *size)
    assert answer.code == 0, answer.err
    assert steps(tmp_path / "run") == 2


def test_experiments_keep_what_is_given_beside_them(train, tmp_path):
    assert train("experiment=quick", "learning_rate=5e-4", "output_dir=run").code == 0
    assert load_model(tmp_path / "run" / "model.ckpt").card["settings"]["learning_rate"] == 5e-4


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_choice_and_setting(command, tmp_path):
    answer = run_script(command, "--help", cwd=tmp_path)
    assert answer.code == 0 and answer.err == "" and max(map(len, answer.out.splitlines())) <= 120
    assert answer.out.startswith(f"usage: python {CONFIGS.parent}/scripts/{command}.py [FLAGS]")
    words = " ".join(answer.out.split())
    assert words.count(f"scripts/{command}.py ") == 1 + 3  # examples
    presets = sorted(path.stem for path in (CONFIGS / COMMANDS[command] / "experiment").glob("*.yaml"))
    section = answer.out.partition("\nexperiment=")[2].partition("\n\n")[0]
    assert re.findall(r"^  (\w+) +\S.{9}", section, re.M) == presets and len(presets) >= 3
    explained = set(re.findall(r"^  ([\w.]+) {1,30}\S.{9}", answer.out, re.M))
    kinds = {"train": TrainSettings, "preview": PreviewSettings, "optimize": OptimizeSettings}
    known = {name for name, kind in known_settings(kinds[command]).items() if not is_dataclass(kind)}
    if command == "preview":  # the objective's alone
        known = {name for name in known if name.startswith(("style.", "loss."))} | {
            "content",
            "size",
            "steps",
            "output",
        }
    known -= {"style.images", "network.arguments"}  # explained with style=many; one by one
    assert known <= explained, known - explained
