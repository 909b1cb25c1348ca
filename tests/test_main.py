"""The one command: `fastnst`, `python -m fastnst`, and the names by which it and its hints call each other."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import fastnst
from fastnst.__main__ import COMMANDS, main
from fastnst.command_line import called
from fastnst.models.model_file import load_model
from tests.conftest import PROJECT


def call(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """``python -m fastnst``, far from the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "fastnst", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
    )  # fmt: skip


def test_train_and_stylize_from_another_folder(small, tmp_path):
    trained = call("train", *small, "style=ink", "+mine=there", "--config-dir", "own", cwd=make_own_config(tmp_path))
    assert trained.returncode == 0, trained.stderr
    (model,) = (tmp_path / "outputs" / "ink").glob("*/model.ckpt")
    assert trained.stdout.endswith(f"Stylize with:  python -m fastnst stylize --model {model.relative_to(tmp_path)}\n")
    card = load_model(model).card
    assert card["command"].startswith("fastnst train data=folder ") and card["settings"]["seed"] == 7
    stylized = call("stylize", "--model", model, "--device", "cpu", cwd=tmp_path)
    assert stylized.returncode == 0, stylized.stderr
    assert (tmp_path / "stylized" / "chelsea_ink.png").is_file()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_consoles_that_have_not_all_letters(small, tmp_path, encoding):
    """The painting's name is printed, and so is that of a photograph that cannot be read."""
    photos = shutil.copytree(small[1].removeprefix("data.root="), tmp_path / "фотографии")
    (photos / "улица.jpg").write_bytes(b"none")
    painting = shutil.copy(photos / "photo0.png", tmp_path / "Крик.png")
    options = [*small, f"data.root={photos}", "style=custom", f"style.image={painting}"]
    train = call("train", *options, cwd=tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert train.returncode == 0 and "Error" not in train.stderr, train.stderr
    assert r"Training \u041a\u0440\u0438\u043a on " in train.stdout
    assert len([*tmp_path.glob("outputs/Крик/*/model.ckpt")]) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_can_be_shown_on_any_console(command):
    """In the oldest alphabets: whatever is printed of our own has no other letters."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    with mock.patch("sys.stdout", out), mock.patch("sys.argv", ["fastnst", command, "--help"]):
        with contextlib.suppress(SystemExit):
            main([command, "--help"])
        out.flush()
    shown = out.buffer.getvalue().decode("ascii")
    assert "usage" in shown.lower() or "fastnst" in shown
    assert "\\u" not in shown


def make_own_config(folder: Path) -> Path:
    """A group of a user's own, for --config-dir."""
    (folder / "own" / "mine").mkdir(parents=True)
    (folder / "own" / "mine" / "there.yaml").write_text("# @package _global_\nseed: 7\n")
    return folder


def test_help_version_and_wrong_names(capsys):
    assert main([]) == main(["--help"]) == main(["--version"]) == 0
    text = capsys.readouterr().out
    assert [len(re.findall(rf"^  {command} +\w", text, re.M)) for command in COMMANDS] == [2] * len(COMMANDS)
    assert (
        text.endswith(f"fastnst {fastnst.__version__}\n")
        and text.count("fastnst stylize photo.jpg --model mosaic") == 2
    )
    for name, answer in (("styliz", "did you mean stylize?"), ("x", "one of stylize, enlarge,")):
        with pytest.raises(SystemExit, match="2"):
            main([name])
        assert answer in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main(["edit-styles", "--help"])
    assert capsys.readouterr().out.startswith("usage: fastnst edit_styles ")


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/usr/bin/fastnst", "fastnst stylize --info"),
        (f"{PROJECT}/fastnst/__main__.py", "python -m fastnst stylize --info"),
        (f"{PROJECT}/scripts/train.py", f"python {PROJECT}/scripts/stylize.py --info"),
        ("scripts/train.py", "python scripts/stylize.py --info"),
        ("train.py", "fastnst stylize --info"),  # somebody else's
    ],
)
def test_called(program, expected, monkeypatch):
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(sys, "argv", [program])
    assert called("stylize --info") == expected


def test_completion(capsys, monkeypatch):
    """As Hydra's function for bash asks, which calls the program by the first word of the line alone."""
    answers = {}
    for line in ("fastnst sty", "fastnst train style=mo", "fastnst stylize --mo"):
        monkeypatch.setenv("COMP_LINE", line)
        main(["-sc", "query=bash"])
        answers[line] = capsys.readouterr().out.split()
    assert list(answers.values()) == [COMMANDS, ["style=mosaic"], []]
