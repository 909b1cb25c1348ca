"""Every command in the README, many_styles.md and minute.md, run: as it stands where that is quick, else smaller."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest
import torch

from fastnst.models.model_file import find_model, load_model, save_model
from fastnst.models.style_file import save_style
from fastnst.models.styles import pick, style_names
from tests.conftest import PROJECT, Answer, run_script, start_script
from tests.models.test_styles import write

README = (PROJECT / "README.md").read_text(encoding="utf-8")
MANY_STYLES = (PROJECT / "docs" / "many_styles.md").read_text(encoding="utf-8")
MINUTE = (PROJECT / "docs" / "minute.md").read_text(encoding="utf-8")
PAGES = README + MANY_STYLES + MINUTE
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGES, re.S)
FENCED = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
INLINE = re.findall(r"`((?:python scripts/|make |tensorboard )[^`]*)`", PAGES)
COMMANDS = sorted({command for command in FENCED + INLINE if command})

FEWER_STEPS = {
    "data.image_size": 32, "data.batch_size": 2, "data.workers": 0, "style.size": 64, "preview_size": 32,
    "network.arguments.width": 4, "network.arguments.residual_blocks": 1, "trainer.max_steps": 2,
    "data.grow_to": "null", "final_photos": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory, photos) -> Path:
    """A folder with the files that the README's commands name."""
    folder = tmp_path_factory.mktemp("desk")
    pictures = sorted(photos.iterdir())
    from PIL import Image

    Image.open(pictures[0]).save(folder / "photo.jpg")
    Image.open(pictures[1]).save(folder / "painting.jpg")
    shutil.copytree(photos, folder / "holiday" / "beach")
    shutil.copytree(photos, folder / "DIR")
    (folder / "paintings").mkdir()
    for picture in pictures[2:4]:
        shutil.copy(picture, folder / "paintings")
    shutil.copytree(photos, folder / "PHOTOS")
    for name in ("candy", "ink"):
        shutil.copy(folder / "painting.jpg", folder / f"{name}.jpg")
    frames = [Image.open(picture) for picture in pictures[:3]]
    frames[0].save(folder / "cat.gif", save_all=True, append_images=frames[1:])
    many = load_model(write(folder / "mine.ckpt"))
    save_model(folder / "other.ckpt", *pick(many, {"candy": 0.5, "ink": 0.5}))
    base = load_model(find_model("base"))
    base = pick(base, {style_names(base)[0]: 1.0}) if style_names(base) else base
    for name in ("painting", "other"):
        save_style(folder / f"{name}.style", base, "base")
    return folder


def test_every_command_is_found():
    assert len(COMMANDS) >= 35, COMMANDS
    assert {"make train", "make test"} <= set(COMMANDS)
    scripts = {path.name for path in (PROJECT / "scripts").glob("*.py")}
    assert set(re.findall(r"scripts/(\w+\.py)", README)) == scripts


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, desk, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("call")
    shutil.copytree(desk, cwd, dirs_exist_ok=True)
    program, *arguments = shlex.split(command)
    if program == "make":  # the real thing would install and train: here, that its recipe is whole
        assert subprocess.run(["make", "-n", *arguments], cwd=PROJECT, capture_output=True).returncode == 0
    elif program == "tensorboard":
        assert run_script("train", *(f"{key}={value}" for key, value in FEWER_STEPS.items()), cwd=cwd).code == 0
        tensorboard = [sys.executable, "-m", "tensorboard.main", "--inspect", *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}  # its own affair
        inspected = subprocess.run(tensorboard, cwd=cwd, env=environment, capture_output=True, text=True).stdout
        assert "train/content" in inspected and "previews" in inspected
    elif "scripts/demo.py" in arguments:
        port = free_port()
        process = start_script("demo", "--port", port, "--model", "mosaic", cwd=cwd)
        try:
            assert "fastnst" in page(f"http://127.0.0.1:{port}/", process)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    elif command == "fastnst --help":
        assert (
            subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=cwd, capture_output=True).returncode == 0
        )
    else:  # `fastnst NAME` is scripts/NAME.py: tests/test_main.py
        assert program in ("python", "fastnst"), command
        answer = run(Path(arguments[0]).stem, arguments[1:], cwd)
        assert "Traceback" not in answer.err
        expected = 0
        if {"trainer=gpu", "experiment=full"} & set(arguments) and not torch.cuda.is_available():
            expected = 2
        if "download_coco.py" in arguments[0]:
            expected = 1 if answer.code == 1 else 2  # nobody answers at that address
        assert answer.code == expected, (answer.out, answer.err)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def page(address: str, process: subprocess.Popen) -> str:
    """What a server answers once it is up."""
    for _ in range(240):
        assert process.poll() is None, process.communicate()
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nobody answers at {address}")


def run(script: str, arguments: list[str], cwd: Path) -> Answer:
    if script == "train":
        given = {argument.split("=")[0] for argument in arguments}
        smaller = {key: value for key, value in FEWER_STEPS.items() if key not in given}
        if {"initial=mosaic", "style_file=true"} & set(arguments):  # whose network is as large as it is
            smaller = {key: value for key, value in smaller.items() if not key.startswith("network.")}
        arguments = [*arguments, *(f"{key}={value}" for key, value in smaller.items())]
        if "trainer=ddp" in arguments:  # starts its second process from this one's command line
            process = start_script(script, *arguments, cwd=cwd)
            out, err = process.communicate(timeout=120)
            return Answer(process.returncode, out, err)
    sweep = "experiment=sweep" in arguments
    small = FEWER_STEPS.keys() - {"style.size"}
    more = {
        "download_coco": ["--url", "http://127.0.0.1:9", "--yes"],
        "paint_styles": ["--size", "64", *(["--random", "2"] if "--random" in arguments else [])],
        "preview": ["size=32", "steps=2", "style.size=64"],
        "optimize": ["size=32", "steps=2", "style.size=64", *(["loss.content_weight=1,10"] if sweep else [])],
        "visualize_features": ["--size", "32", "--top", "2"],
        "check_device": ["--size", "32", "--parts", "picture", "steps"],
        "benchmark": {
            "data": ["--size", "32", "--count", "4", "--repeats", "1", "--workers", "0", "--files", "1", "20"],
            "objective": ["--sizes", "32", "--iterations", "3", "--count", "1"],
            "paintings": ["--size", "32", "--count", "1"],
            "speed": ["--sizes", "32", "--iterations", "3"],
            "learning": ["--peer-minutes", "0.01", *(f"--override={key}={FEWER_STEPS[key]}" for key in small)],
        }.get(next(iter(arguments), None), []),
    }  # fmt: skip
    fewer = {
        "fastnst.data.coco.time.sleep": mock.Mock(),  # a download waits minutes between its tries
        "fastnst.benchmark.commands.paintings.NAMES": ("mosaic", "oil"),
        "fastnst.benchmark.commands.learning.HELD_OUT": 2,
        "fastnst.benchmark.commands.learning.STYLE_SIZE": 64,
        "fastnst.benchmark.commands.learning.PEER_SIZE": 64,
    }  # fmt: skip
    with ExitStack() as patches:
        for name, value in fewer.items():
            patches.enter_context(mock.patch(name, value))
        return run_script(script, *arguments, *more.get(script, []), cwd=cwd)
