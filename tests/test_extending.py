"""What docs/extending.md says, done: its script, its classes, its commands, and what no model file may do."""

import contextlib
import io
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import fastnst
from fastnst.benchmark.commands.objective import objective_of
from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.losses import PerceptualLoss, Term
from fastnst.losses.from_settings import with_own_terms
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import adapted
from fastnst.settings.own_classes import make
from fastnst.training.module import StyleTransferModule
from fastnst.training.steps.training_module import pictures_in, tabulate
from tests.conftest import PROJECT, Answer, events, load, run_script

PAGE = (PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.S))
COMMANDS = [shlex.split(line) for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
SMALL = [
    "style.size=64", "preview_size=32", "trainer=cpu", "trainer.max_steps=3", "trainer.log_every=1", "final_photos=0",
    "output_dir=run",
]  # fmt: skip


@pytest.fixture
def desk(tmp_path, photos, monkeypatch) -> Path:
    """A folder with the page's files, and pictures of the names in them."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "photos").symlink_to(photos)
    for number, name in enumerate(("painting.jpg", "photo.jpg")):
        Image.open(photos / f"photo{number}.png").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_file", raising=False)
    return tmp_path


def options_of(word: str, script: str = "train") -> list[str]:
    """Those of the page's command with this word in it, but for the style."""
    (found,) = [one for one in COMMANDS if any(word in argument for argument in one)]
    assert found[:3] == ["python", f"scripts/{script}.py", "style=mosaic"]
    return found[3:]


def command(word: str, photos: Path, cwd: Path, *more: str) -> Answer:
    """The page's command with this word in it, on few small photographs."""
    data = ["data=folder", f"data.root={photos}", "data.image_size=32", "data.workers=0"] * (word != "data=custom")
    network = ["network.arguments.width=4", "network.arguments.residual_blocks=1"] * (word != "network=custom")
    return run_script("train", *data, *network, *SMALL, *options_of(word), *more, cwd=cwd)


def test_the_page_is_read():
    assert set(FILES) == {"my_training.py", "my_file.py", "my_configs/network/mine.yaml"} and len(COMMANDS) == 7
    lines = [line for line in FILES["my_training.py"].splitlines() if line]
    assert len(lines) <= 22
    table = PAGE.split("| name | what it is |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)[(`]", table)) >= set(fastnst.__all__) - {"__version__"}


def test_somebody_elses_lightning_script(desk):
    """In 3 steps where the page has 500, on the same photographs; its loggers and its files are Lightning's own."""
    script = (
        FILES["my_training.py"]
        .replace("STEPS = 500", "STEPS = 3")
        .replace("val_check_interval=100", "accelerator='cpu', log_every_n_steps=1, val_check_interval=3")
    )
    (desk / "my_training.py").write_text(script.replace("width=16", "width=4").replace("=128", "=32"))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        runpy.run_path(str(desk / "my_training.py"), run_name="__main__")
    with Image.open("photo.jpg") as photo, Image.open("out.png") as stylized:
        assert stylized.size == photo.size and np.std(np.asarray(stylized)) > 1
    (folder,) = Path("lightning_logs").iterdir()
    assert len(events(folder).Scalars("train/total")) == 3 and len(events(folder).Scalars("held_out/total")) == 1
    checkpoint = load(next(folder.glob("checkpoints/*.ckpt")))
    saved = load_model("mine.ckpt")
    assert saved.card["style"] == {"name": "painting"}
    weights = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
    for name, value in saved.network.state_dict().items():  # kernels are kept in 16 bits
        torch.testing.assert_close(value, weights[name], rtol=1e-3, atol=1e-4)


def test_a_network_an_optimiser_a_schedule_and_a_callback_of_ones_own(desk, photos):
    """All in one run, for a run takes seconds; then resumed."""
    others = [part for word in ("optimizer=", "callbacks") for part in options_of(word)]
    answer = command("network=custom", photos, desk, *others)
    assert answer.code == 0 and answer.err == "", answer.err
    lines = [line.split() for line in Path("diary.txt").read_text().splitlines()]
    shown = [event.value for event in events(desk / "run").Scalars("train/total")]
    assert [line[0] for line in lines] == ["1", "2", "3"]
    assert [float(line[1]) for line in lines] == pytest.approx(shown, abs=1e-3)
    (group,) = load("run/last.ckpt")["optimizer_states"][0]["param_groups"]
    assert group["weight_decay"] == 0.01
    assert "fastnst.load_model('run/model.ckpt', network=...)" in answer.out
    import my_file

    with pytest.raises(InputError, match=r"class of somebody's own, 'my_file.MyNetwork'.*load_model\(path, network="):
        load_model("run/model.ckpt")
    refused = run_script("stylize", "--device", "cpu", "--model", "run/model.ckpt", cwd=desk).error()
    assert "class of somebody's own" in refused
    network = my_file.MyNetwork(channels=8)
    model = load_model("run/model.ckpt", network=network)
    assert model.card["settings"]["network"] == {
        "name": "custom", "_target_": "my_file.MyNetwork", "arguments": {"channels": 8},
    }  # fmt: skip
    picture = torch.rand(3, 21, 34)
    with torch.no_grad():
        expected = network(picture[None])[0]
    torch.testing.assert_close(fastnst.Stylizer(model, "cpu")(picture), expected)
    kept = load("run/last.ckpt")["state_dict"]["network.body.first.weight"]
    torch.testing.assert_close(network.first.weight, kept, rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="in tiles: only fastnst's own networks"):
        fastnst.Stylizer(model, "cpu", tile=16)(picture)
    with pytest.raises(InputError, match=r"model\.ckpt: .*size mismatch|does not hold the weights"):
        load_model("run/model.ckpt", network=my_file.MyNetwork(channels=9))
    again = command("network=custom", photos, desk, *others, "ckpt_path=last", "trainer.max_steps=5")
    assert again.code == 0 and "Resuming from step 3" in again.out, again.err
    rates = [event.value for event in events(desk / "run").Scalars("lr-AdamW")]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])
    options = ["data=folder", f"data.root={photos}", "data.image_size=32", "data.workers=0", *SMALL, "output_dir=mine"]
    answer = run_script("train", "--config-dir", "my_configs", "network=mine", *options, "initial=run/model.ckpt",
                        "learning_rate=1e-9", "trainer.max_steps=1", cwd=desk)  # fmt: skip
    assert answer.code == 0, answer.err
    begun = load_model("run/model.ckpt", my_file.MyNetwork(8)).network.state_dict()
    for name, value in load_model("mine/model.ckpt", my_file.MyNetwork(8)).network.state_dict().items():
        torch.testing.assert_close(value, begun[name])


def test_a_term_of_ones_own(desk, photos):
    assert command("loss.terms", photos, desk).code == 0
    losses = load_model("run/model.ckpt").card["losses"]
    assert losses["weighted/bright"] == pytest.approx(2 * losses["bright"]) and losses["bright"] > 0
    from my_file import Brightness

    settings = {"_target_": "my_file.Brightness", "weight": 2.0, "power": 2}
    loss = with_own_terms({"content_layers": {}, "style_layers": {}, "terms": {"bright": settings}})
    vgg = VGG(["relu1_1"], load_vgg_weights())
    stylized, content, first, second = (torch.rand(2 if n < 2 else 1, 3, 20, 24) ** (n + 1) for n in range(4))
    objective = PerceptualLoss(vgg, [first, second], **loss, tv_weight=0)
    assert settings["weight"] == 2.0 and isinstance(objective.terms["bright"], Brightness)
    for number, style in enumerate((first, second)):
        features = vgg(stylized)["relu1_1"].mean() - vgg(content)["relu1_1"].mean()
        expected = (stylized.mean() - style.mean()) ** 2 + 0.01 * features.abs()
        torch.testing.assert_close(objective(stylized, content, number).terms["bright"], expected)
        torch.testing.assert_close(objective(stylized, objective.content_features(content), number).total, 2 * expected)
    one, other = objective.each(stylized, content, [1, 0])
    torch.testing.assert_close(one.total, objective(stylized[:1], content[:1], 1).total)
    torch.testing.assert_close(other.total, objective(stylized[1:], content[1:], 0).total)
    for terms, message in (
        ({"style": Term(1.0, Brightness())}, "loss.terms.style: the objective has a term of this name"),
        ({"bright": Term(-1.0, Brightness())}, r"loss\.terms\.bright\.weight=-1\.0"),
        (
            {"bright": Term(1.0, lambda *_: torch.ones(2))},
            r"loss\.terms\.bright gives torch.Size\(\[2\]\): expected a scalar",
        ),
    ):
        with pytest.raises(InputError, match=message):
            PerceptualLoss(vgg, first, {"relu1_1": 1.0}, {}, terms=terms)(stylized, content)


def test_data_of_ones_own(desk, photos):
    answer = command("data=custom", photos, desk, "+data.batch_size=2", "initial=null")
    assert answer.code == 0 and answer.err == "", answer.err
    assert "Training mosaic on photographs (my_file.Checkerboards)." in answer.out
    assert load_model("run/model.ckpt").card["data"] == {"source": "my_file.Checkerboards", "photographs": 0}
    assert Path("run/previews/latest.png").is_file()


def test_another_loss_network(desk):
    """The page's longer command, with random weights in the place of a file that the tests have not."""
    options = [one if "weights=" not in one else "weights=random" for one in options_of("weights=", "preview")]
    answer = run_script("preview", "content=photo.jpg", "size=32", "steps=1", "style.size=64", *options, cwd=desk)
    assert answer.code == 0 and "style" in answer.out, answer.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["network=custom"], "network=custom needs a class: add network._target_=my_file.MyNetwork"),
        (["network=custom", "network._target_=my_file.MyNetwork", "+network.chanels=3"], "keyword argument 'chanels'"),
        (
            ["+callbacks.x._target_=no.such.Class"],
            "callbacks.x._target_=no.such.Class cannot be imported (No mod",
        ),
        (["+loss.terms.x=1"], "loss.terms.x=1: expected settings with a _target_"),
    ],
)
def test_mistakes_on_the_command_line(desk, small, options, message):
    rest = [one for one in small if "network=custom" not in options or not one.startswith("network.")]
    assert message in run_script("train", *rest, *options, cwd=desk).error()


def test_mistakes_in_settings(desk):
    made = make("x", {"_target_": "my_file.Diary", "path": {"_target_": "pathlib.PurePath", "_args_": ["a", "b"]}})
    assert made.path == Path("a/b")  # nested ones are made, too
    bound = make("x", {"_target_": "my_file.Brightness", "_partial_": True, "power": 3})
    assert bound().power == 3
    (desk / "broken.py").write_text("raise OSError('the file is broken')")
    for settings, message in (
        ({"_target_": "my_file.MyNet"}, r"x\._target_=my_file\.MyNet cannot be imported \(.*MyNet"),
        ({"_target_": "my_fil.MyNetwork"}, "cannot be imported .*No module named 'my_fil'"),
        ({"_target_": "broken.Thing"}, "cannot be imported .*the file is broken"),
        ({"_target_": "my_file.MyNetwork", "chanels": 3}, "does not take these arguments .*'chanels'"),
        ({"_target_": "my_file.Diary"}, "does not take these arguments .*'path'"),
        ({"y": 1}, r"x=\{'y': 1\}: expected settings with a _target_"),
    ):
        with pytest.raises(InputError, match=message) as refused:
            make("x", settings)
        assert "\n" not in str(refused.value)
    with pytest.raises(TypeError):  # inside the class: its author wants to see where
        make("x", {"_target_": "my_file.Diary", "path": 3})


def test_no_card_names_a_class_to_import(desk):
    """Neither the network's nor a term's: the file would be run."""
    (desk / "harm.py").write_text("raise SystemExit('the file was run')")
    settings = {
        "loss": {"content_layers": {"relu1_1": 1.0}, "style_layers": {}, "terms": {"x": {"_target_": "harm.Term"}}},
        "loss_network": "vgg16", "weights": "imagenet_caffe", "pooling": "max", "style": {"name": "mosaic", "size": 64},
        "network": {"_target_": "harm.Network"}, "optimizer": {"_target_": "harm.Optimizer"},
    }  # fmt: skip
    card = {"style": {"name": "mosaic"}, "settings": settings, "_target_": "harm.Card"}
    save_model("model.ckpt", fastnst.TransformerNetwork(width=2, residual_blocks=1), card)
    model = load_model("model.ckpt")
    fastnst.Stylizer(model, "cpu")(torch.rand(3, 16, 16))
    with pytest.raises(InputError, match="a term of somebody's own, x: it is made of the settings of a command only"):
        objective_of(model.card, None, torch.device("cpu"))
    content = torch.load("model.ckpt", weights_only=True)
    content["card"]["network"] = {"name": "custom", "arguments": {"class": "harm.Network", "_target_": "harm.Network"}}
    torch.save(content, "model.ckpt")
    with pytest.raises(InputError, match=r"class of somebody's own, 'harm\.Network'"):
        load_model("model.ckpt")
    assert "harm" not in sys.modules


def test_networks_of_ones_own_by_hand():
    class Bounded(nn.Conv2d):
        def preactivation(self, x):
            return super().forward(x)

        def to_unit_range(self, z):
            return z.sigmoid()

        def forward(self, x):
            return self.to_unit_range(self.preactivation(x))

    network, content = Bounded(3, 3, 1), torch.rand(2, 3, 20, 24)
    with torch.no_grad():
        network.bias.fill_(2.0)
    module = StyleTransferModule(network, nn.MSELoss(), 3, range_weight=0.5)
    module.log_dict = lambda values, **_: None
    z = network.preactivation(content)
    loss = (z.sigmoid() - content).square().mean()
    expected = loss + 0.5 * loss.detach() * (z.abs() - 1.2).clamp(min=0).square().mean()
    for batch in (content, (content, "labels"), [content], {"images": content}):
        torch.testing.assert_close(module.training_step(batch, 0), expected)
        module.validation_step(batch, 0)
    assert adapted(module.network) is module.network  # once is enough
    ours = fastnst.TransformerNetwork(width=2, residual_blocks=1)
    assert StyleTransferModule(ours, nn.MSELoss(), 3).network is ours
    for wrong, message in (
        (nn.Conv2d(3, 4, 1), r"makes \(2, 4, 20, 24\) of \(2, 3, 20, 24\): expected the same shape"),
        (nn.MaxPool2d(2), "the network has nothing to train"),
        (nn.Conv2d(3, 3, 1).requires_grad_(False), "the network has nothing to train"),
    ):
        with pytest.raises(InputError, match=message):
            StyleTransferModule(wrong, nn.MSELoss(), 3).training_step(content, 0)
    with pytest.raises(InputError, match=r"the loss gives a tensor \(2, 3, 20, 24\): expected a scalar"):
        StyleTransferModule(network, nn.MSELoss(reduction="none"), 3).training_step(content, 0)
    for batch in (None, {"pictures": content}, content[0], (content * 255).byte(), ["a.jpg"]):
        with pytest.raises(InputError, match="expected photographs"):
            pictures_in(batch)


def test_schedules_are_tabulated():
    made = torch.optim.lr_scheduler
    halves = tabulate(lambda optimizer: made.StepLR(optimizer, 2, 0.5), 0.3, 6)
    assert halves == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.25, 0.125])
    cosine = tabulate(lambda optimizer: made.CosineAnnealingLR(optimizer, 10), 0.01, 10)
    assert cosine == pytest.approx([0.5 + 0.5 * np.cos(np.pi * step / 10) for step in range(11)], abs=1e-9)
    module = StyleTransferModule(nn.Conv2d(3, 3, 1), nn.MSELoss(), 4, schedule=lambda one: made.ExponentialLR(one, 0.5))
    module.learning_rate_scale = 0.5  # as after steps that were not finite
    schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    assert [schedule.lr_lambdas[0](step) for step in (0, 1, 4, 9)] == pytest.approx([0.5, 0.25, 0.5**5, 0.5**5])
    for wrong in (made.ReduceLROnPlateau, lambda optimizer: 0.5):
        with pytest.raises(InputError, match=r"expected one of torch\.optim\.lr_scheduler"):
            tabulate(wrong, 0.1, 3)
