"""Files made to do harm: each refused in one line, in bounded memory, with nothing run and nothing written."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fastnst.errors import LONGEST_LINE, InputError, one_line
from fastnst.export import export_safetensors
from fastnst.models.model_file import FORMAT, load_model, save_model
from fastnst.networks import build_network
from fastnst.untrusted import LARGEST_CARD, Untrusted, check_card, is_plain_name, load_plain
from tests.conftest import run_script
from tests.hostile_files import hostile_checkpoints

CARD = {"style": {"name": "mosaic"}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "small.ckpt"
    save_model(path, build_network("transformer", {"width": 2, "residual_blocks": 1}), CARD, torch.rand(3, 8, 8))
    return path


def content_of(path):
    return torch.load(path, weights_only=True)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture(scope="module")
def hostile(model, tmp_path_factory) -> dict[str, Path]:
    return hostile_checkpoints(model, tmp_path_factory.mktemp("hostile"))


def refused(path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(path)
    line = one_line(caught.value)
    assert path.name in line and len(line) < LONGEST_LINE + 10 and line.isprintable()
    return line


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB


def test_hostile_checkpoints(hostile, recwarn):
    assert len(hostile) == 24
    folder = next(iter(hostile.values())).parent
    before, here = peak(), sorted(os.listdir(folder))
    for path in hostile.values():
        assert "damaged or not a model file" in refused(path)
        with pytest.raises(Untrusted):
            load_plain(path)
    assert peak() - before < 100_000
    assert sorted(os.listdir(folder)) == here and "ran" not in here
    assert not recwarn.list


DEEP = nested(100)
LAUGHS: list = ["ha"] * 10
for _ in range(12):
    LAUGHS = [LAUGHS] * 10
HOSTILE_CARDS = {
    "no dictionary": ["card"],
    "megabytes": {"note": "x" * (LARGEST_CARD + 1)},
    "megabytes in names": {"x" * (LARGEST_CARD + 1): 1},
    "an escape sequence": {"note": "\x1b]0;owned\x07"},
    "an escape sequence in a name": {"\x1b[2J": 1},
    "lines": {"command": "python\nrm -rf /"},
    "deep": {"note": DEEP},
    "a billion laughs": {"note": LAUGHS},
    "a huge number": {"steps": 10**5000},
    "a tensor": {"note": torch.zeros(3)},
    "path tricks": {"style": {"name": "../../escaped"}},
    "an absolute path": {"style": {"name": "/etc/passwd"}},
    "a Windows path": {"style": {"name": "..\\escaped"}},
    "a hidden name": {"style": {"name": ".bashrc"}},
    "no name": {"style": {"name": ""}},
    "a long name": {"style": {"name": "x" * 5000}},
    "a number for a name": {"style": {"name": 3}},
    "a text for a style": {"style": "mosaic"},
    "a huge network": {"network": {"name": "transformer", "arguments": {"width": 10**6, "residual_blocks": 1}}},
    "a huge trunk": {
        "network": {"name": "transformer", "arguments": {"width": 2, "residual_blocks": 1, "trunk": 4000}}
    },
    "a trunk beyond all bounds": {"network": {"name": "transformer", "arguments": {"width": 2, "trunk": 2**62}}},
    "endless blocks": {"network": {"name": "transformer", "arguments": {"width": 2, "residual_blocks": 10**9}}},
    "a number that is none": {"network": {"name": "transformer", "arguments": {"width": float("nan")}}},
    "arguments that are none": {"network": {"name": "transformer", "arguments": [1]}},
    "a name that is none": {"network": {"name": [1], "arguments": {"width": 2, "residual_blocks": 1}}},
    "a long argument": {"network": {"name": "transformer", "arguments": {"width": 2, "upsampling": "x" * 10**5}}},
}


@pytest.mark.parametrize("what", HOSTILE_CARDS)
def test_hostile_cards(what, model, tmp_path):
    content = content_of(model)
    card = HOSTILE_CARDS[what]
    if isinstance(card, dict):
        card = {**content["card"], **card}
    torch.save({**content, "card": card}, tmp_path / "bad.ckpt")
    before = peak()
    refused(tmp_path / "bad.ckpt")
    assert peak() - before < 100_000


def test_one_storage_under_many_names(model, tmp_path):
    """A small file whose weights, each for itself in bounds, would be gigabytes together."""
    kernel = torch.zeros(256, 256, 3, 3)
    arguments = {"width": 2, "residual_blocks": 60, "trunk": 256}
    with torch.device("meta"):
        own = build_network("transformer", arguments).state_dict()
    weights = {name: kernel if value.shape == kernel.shape else torch.zeros(value.shape) for name, value in own.items()}
    card = {**CARD, "network": {"name": "transformer", "arguments": arguments}}
    torch.save({**content_of(model), "weights": weights, "card": card}, tmp_path / "bad.ckpt")
    assert (tmp_path / "bad.ckpt").stat().st_size < 5e6
    assert "claim" in refused(tmp_path / "bad.ckpt")


@pytest.mark.parametrize("thumbnail", [torch.zeros(3), torch.zeros(3, 0, 4, dtype=torch.uint8), "x", [1]])
def test_hostile_thumbnails(thumbnail, model, tmp_path):
    torch.save({**content_of(model), "thumbnail": thumbnail}, tmp_path / "bad.ckpt")
    assert "thumbnail" in refused(tmp_path / "bad.ckpt") or not isinstance(thumbnail, torch.Tensor)


def test_what_we_write_we_read(model, tmp_path):
    """Whatever a person calls a style, and wherever the photographs are."""
    network = build_network("transformer", {"width": 2, "residual_blocks": 0})
    for name, expected in (
        ("../a/b", "_a_b"),
        ("my style é π", "my style é π"),
        ("x" * 300, "x" * 100),
        ("..", "unnamed"),
    ):
        card = {"style": {"name": name}, "settings": {"root": "/a\nb\x1b", "more": ("x", 1, None)}}
        save_model(tmp_path / "own.ckpt", network, card)
        read = load_model(tmp_path / "own.ckpt").card
        assert read["style"]["name"] == expected and is_plain_name(expected)
        assert read["settings"] == {"root": "/a b ", "more": ["x", 1, None]}


def test_a_card_may_hold_what_people_write():
    check_card(
        {"command": "python scripts/train.py style.image='/home/ü/a\u00a0b/π.jpg'", "losses": {"total": float("inf")}}
    )
    check_card({"style": {"name": "étoile 2"}, "x": [1.5, True, None, -3]})


def test_hostile_safetensors(model, tmp_path):
    loaded = load_model(model)
    export_safetensors(loaded, tmp_path / "good.safetensors")
    weights = dict(loaded.network.state_dict())

    def saved(name, card, version="1"):
        save_file(weights, tmp_path / f"{name}.safetensors", {"format": FORMAT, "version": version, "card": card})
        return tmp_path / f"{name}.safetensors"

    good = json.dumps(loaded.card)
    refused(saved("deep", "[" * 10**5))
    refused(saved("large", good[:-1] + ', "x": "' + "x" * LARGEST_CARD + '"}'))
    refused(saved("escape", json.dumps({**loaded.card, "x": "\x1b[2J"})))
    refused(saved("list", "[1]"))
    refused(saved("newer", good, "2"))
    refused(saved("older", good, "-1"))
    refused(saved("word", good, "one"))
    whole = (tmp_path / "good.safetensors").read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    some = next(name for name in header if name != "__metadata__")
    for name, change in {
        "claims": {"shape": [2**40]}, "behind": {"data_offsets": [0, 2**41]}, "overflow": {"shape": [2**62, 2**62]},
        "type": {"dtype": "F999"},
    }.items():  # fmt: skip
        changed = json.dumps({**header, some: {**header[some], **change}}).encode()
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(len(changed).to_bytes(8, "little") + changed + whole[8 + length :])
        assert "damaged or not a model file" in refused(path)
    (tmp_path / "header.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    refused(tmp_path / "header.safetensors")


def test_a_file_that_is_too_large(tmp_path):
    for name in ("a.ckpt", "a.safetensors"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(2 << 30)  # takes no room on the disk
        assert "bytes that are read of a model file" in refused(tmp_path / name)


def test_messages_cannot_steer_the_terminal(tmp_path):
    name = "\x1b]0;owned\x07\u202e.ckpt"
    (tmp_path / name).write_text("x")
    line = run_script("stylize", "--model", tmp_path / name, cwd=tmp_path).error()
    assert line.isprintable() and "\\x1b]0;owned" in line
    assert one_line("a\n  b\tc") == "a b c" and len(one_line("x" * 10**6)) < LONGEST_LINE + 10


def test_a_stranger_cannot_name_the_output(model, tmp_path):
    """The style's name becomes a part of the output's where the file is called model.ckpt."""
    content = content_of(model)
    content["card"]["style"]["name"] = "/../../escaped"
    (tmp_path / "run").mkdir()
    torch.save(content, tmp_path / "run" / "model.ckpt")
    answer = run_script("stylize", "--model", "run/model.ckpt", "--input", "samples", cwd=tmp_path)
    assert "no plain name for its style" in answer.error()
    assert os.listdir(tmp_path) == ["run"]


def test_as_a_process_with_little_memory(hostile):
    """What is refused needs no memory to be refused: with 300 MB more than the bare import takes, no file ends it."""
    program = (
        "import resource, sys\n"
        "from fastnst.models.model_file import load_model\n"
        "from fastnst.errors import InputError\n"
        "with open('/proc/self/statm') as file: now = int(file.read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + (300 << 20),) * 2)\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_model(path)\n"
        "    except InputError: print('refused')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, *map(str, hostile.values())], capture_output=True, text=True, timeout=300
    )
    assert answer.stdout.split() == ["refused"] * len(hostile), answer.stderr
    assert not answer.stderr
