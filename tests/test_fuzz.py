"""Readers fed with what Hypothesis makes of good files: each is read, or refused with an error of ours in one line.

A bounded number of the same inputs here. FASTNST_FUZZ=100 tries a hundred times as many, others each time, and also
watches that none takes more than some seconds.
"""

import copy
import io
import json
import os
import resource
import time
import warnings
import zipfile
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import LONGEST_LINE, InputError, one_line
from fastnst.export import export_safetensors
from fastnst.features import VGG, load_vgg_weights
from fastnst.images.reading import open_image
from fastnst.losses import PerceptualLoss
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import build_network
from fastnst.stylization.files.stills import read_mask, read_still
from fastnst.stylization.moving.animation import AnimationReader
from fastnst.stylization.probe import probe
from fastnst.training.callbacks.non_finite_guard import NonFiniteGuard
from fastnst.training.callbacks.run_files import RunFiles
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from fastnst.training.callbacks.tensorboard import Curves
from fastnst.training.module import StyleTransferModule
from fastnst.training.resume.resumption import find_resume_point
from fastnst.training.trainer import build_trainer
from fastnst.untrusted import Untrusted, check_card
from tests.conftest import ON_CPU, run_script

LONG = int(os.environ.get("FASTNST_FUZZ", "0"))
MOST_MEMORY = 400_000  # kB more than before
MOST_PIXELS = 1_000_000
TRIED: dict[str, list[int]] = {}
"""Inputs tried by each reader, and how many of them were read."""


def fuzzed(examples: int):
    """So many examples, the same each time; many more, and others, in a long run."""
    return settings(
        max_examples=examples * max(1, LONG), derandomize=not LONG, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate] if LONG else list(Phase),
    )  # fmt: skip


def attempt(what: str, read, *allowed: type[Exception]) -> None:
    """Read; anything but success and the errors allowed fails the test."""
    tried = TRIED.setdefault(what, [0, 0])
    tried[0] += 1
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read()
        tried[1] += 1
    except allowed as error:
        assert str(error) and len(one_line(error)) < LONGEST_LINE + 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
    assert not LONG or time.process_time() - start < 5


@pytest.fixture(scope="module", autouse=True)
def figures():
    yield
    print("\n".join(f"{what}: {tried} tried, {read} read" for what, (tried, read) in sorted(TRIED.items())))


class Files(dict):
    """Good files by their kind, without a wall of bytes in messages."""

    def __repr__(self) -> str:
        return f"files {', '.join(self)}"


# What is made of good bytes

EXTREMES = [b"\0", b"\xff", b"\x80", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff" * 8, b"\0" * 64]
PLACE = st.floats(0, 1, exclude_max=True)
CHANGE = st.one_of(
    st.tuples(st.just("bit"), PLACE, st.integers(0, 7)),
    st.tuples(st.just("byte"), PLACE, st.integers(0, 255)),
    st.tuples(st.just("write"), PLACE, st.sampled_from(EXTREMES)),
    st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("remove"), PLACE, st.integers(1, 100)),
    st.tuples(st.just("double"), PLACE, st.integers(1, 1000)),
    st.tuples(st.just("cut"), PLACE, st.none()),
)
CHANGES = st.lists(CHANGE, min_size=1, max_size=6)


def changed(content: bytes, changes, first: int | None = None) -> bytes:
    """The bytes with the changes; ``first``: all within so many of them."""
    whole = bytearray(content)
    for kind, place, value in changes:
        at = int(place * min(len(whole), first or len(whole)))
        if not whole:
            break
        if kind == "bit":
            whole[at] ^= 1 << value
        elif kind == "byte":
            whole[at] = value
        elif kind == "write":
            whole[at : at + len(value)] = value
        elif kind == "insert":
            whole[at:at] = value
        elif kind == "remove":
            del whole[at : at + value]
        elif kind == "double":
            whole[at:at] = whole[at : at + value]
        else:
            del whole[at:]
    return bytes(whole)


def with_changed_pickle(content: bytes, changes) -> bytes:
    """The archive with another index, all checksums right."""
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(new, "w") as archive:
        for member in old.infolist():
            data = old.read(member)
            archive.writestr(member.filename, changed(data, changes) if member.filename.endswith("data.pkl") else data)
    return new.getvalue()


NUMBERS = st.one_of(st.integers(), st.integers(-3, 3), st.floats(), st.sampled_from([10**400, 2**63, -(2**53), 1e308]))
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=20), st.binary(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=4),
        st.tuples(inner, inner),
    ),
    max_leaves=12,
)
TENSORS = st.sampled_from(
    [torch.zeros(0), torch.zeros(()), torch.ones(3), torch.full((2, 3), torch.nan), torch.zeros(2, dtype=torch.int8)]
)
HOW = st.sampled_from(["value", "value", "gone", "name"])
CHOICES = st.lists(st.integers(0, 10**6), min_size=1, max_size=12)


def replaced(content, choices, value, how: str):
    """Something inside, wherever ``choices`` lead, is another ``value``, is gone, or stands under another name too."""
    content = copy.deepcopy(content)
    inner = content
    for number, choice in enumerate(choices):
        names = list(inner) if isinstance(inner, dict) else range(len(inner))
        if not names:
            break
        name = names[choice % len(names)]
        deeper = inner[name]
        if number < len(choices) - 1 and isinstance(deeper, (dict, list)) and len(deeper):
            inner = deeper
        elif how == "value":
            inner[name] = value
            break
        elif how == "gone":
            del inner[name]
            break
        elif isinstance(inner, dict) and isinstance(value, (str, int)):
            inner[value] = deeper
            break
        else:
            break
    return content


# Model files


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 2, "residual_blocks": 1})
    card = {"style": {"name": "mosaic", "size": 64}, "settings": {"seed": 0, "loss": {"x": 1.5}}}
    save_model(folder / "m.ckpt", network, card, torch.rand(3, 8, 8))
    export_safetensors(load_model(folder / "m.ckpt"), folder / "m.safetensors")
    old = io.BytesIO()
    torch.save(network.state_dict(), old, _use_new_zipfile_serialization=False)
    return Files({path.suffix: path.read_bytes() for path in folder.iterdir()} | {".pth": old.getvalue()})


def paint_with(path) -> None:
    """As far as --info and a first picture."""
    model = load_model(path)
    json.dumps(model.card)
    with torch.inference_mode():
        model.network(torch.zeros(1, 3, 16, 16))


@fuzzed(60)
@given(card=st.one_of(PLAIN, st.fixed_dictionaries({"style": PLAIN, "network": PLAIN})))
def test_cards(card):
    attempt("card", lambda: check_card(card), Untrusted)


@fuzzed(30)
@given(choices=CHOICES, value=st.one_of(PLAIN, TENSORS), how=HOW)
def test_content_of_model_files(models, tmp_path_factory, choices, value, how):
    path = tmp_path_factory.getbasetemp() / "content.ckpt"
    content = torch.load(io.BytesIO(models[".ckpt"]), weights_only=True)
    torch.save(replaced(content, choices, value, how), path)
    attempt("model file, content", lambda: paint_with(path), InputError)


@fuzzed(60)
@given(changes=CHANGES, kind=st.sampled_from([".ckpt", ".ckpt", ".pth", ".safetensors"]))
def test_bytes_of_model_files(models, tmp_path_factory, changes, kind):
    path = tmp_path_factory.getbasetemp() / f"bytes{kind}"
    path.write_bytes(changed(models[kind], changes, first=4000 if kind != ".ckpt" else None))
    attempt(f"model file, bytes, {kind}", lambda: paint_with(path), InputError)


@fuzzed(60)
@given(changes=CHANGES)
def test_pickles_of_model_files(models, tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "pickle.ckpt"
    path.write_bytes(with_changed_pickle(models[".ckpt"], changes))
    attempt("model file, index", lambda: paint_with(path), InputError)


# Resume files


@pytest.fixture(scope="module")
def go_on(photos, tmp_path_factory):
    """Trains one step more than a resume file says, or from the start; the network is tiny, the rest as it is."""
    style = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    loss = PerceptualLoss(
        VGG(["relu1_2"], load_vgg_weights("imagenet_caffe", "vgg16"), "vgg16"), style,
        content_layers={"relu1_2": 1.0}, style_layers={"relu1_2": 1.0},
    )  # fmt: skip
    arguments = {"width": 2, "residual_blocks": 0}

    def run(path=None, only_look: bool = False) -> None:
        torch.manual_seed(0)
        folder = tmp_path_factory.getbasetemp() / "fuzzed_run"
        module = StyleTransferModule(build_network("transformer", arguments), loss, steps=4)
        data = PhotoDataModule("folder", photos, image_size=32, batch_size=1, workers=0, steps=4, validation_photos=0)
        data.setup()
        card = {"style": {"name": "mosaic"}, "settings": {}}
        callbacks = [NonFiniteGuard(), SkippedPhotos(folder), Curves(1), RunFiles(folder, "mosaic", card, style[0], 0)]
        trainer = build_trainer(replace(ON_CPU, max_steps=2 if path is None else 4), folder, callbacks, 100)
        if path is not None:
            settings = {"optimizer": "adam", "network": {"name": "transformer", "arguments": arguments}}
            find_resume_point(path, "mosaic", "", module, settings, trainer)
        if not only_look:
            trainer.fit(module, datamodule=data, ckpt_path=path)
            assert trainer.global_step >= 2

    run()
    run.good = (tmp_path_factory.getbasetemp() / "fuzzed_run" / "last.ckpt").read_bytes()
    return run


@fuzzed(40)
@given(changes=CHANGES, index=st.booleans())
def test_bytes_of_resume_files(go_on, tmp_path_factory, changes, index):
    path = tmp_path_factory.getbasetemp() / "bytes_of.ckpt"
    path.write_bytes((with_changed_pickle if index else changed)(go_on.good, changes))
    attempt("resume file, bytes or index", lambda: go_on(path, only_look=True), InputError)


@fuzzed(25)
@given(
    choices=CHOICES, value=st.one_of(PLAIN, NUMBERS, TENSORS), how=st.sampled_from(["value", "value", "gone", "name"])
)
def test_content_of_resume_files(go_on, tmp_path_factory, choices, value, how):
    path = tmp_path_factory.getbasetemp() / "content_of.ckpt"
    torch.save(replaced(torch.load(io.BytesIO(go_on.good), weights_only=True), choices, value, how), path)
    attempt("resume file, content", lambda: go_on(path), InputError)


# Pictures


@pytest.fixture(scope="module")
def pictures() -> Files:
    """Small ones with everything that files may hold: animation, transparency, EXIF, palettes, text."""
    random = np.random.default_rng(0)
    frames = [Image.fromarray(random.integers(0, 256, (12, 16, 4), np.uint8), "RGBA") for _ in range(3)]
    rgb = [frame.convert("RGB") for frame in frames]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "x" * 20, zip=True)
    kinds = {
        "png": lambda out: frames[0].save(out, "PNG", pnginfo=text, exif=exif),
        "apng": lambda out: frames[0].save(out, "PNG", save_all=True, append_images=frames[1:], duration=50),
        "grey16.png": lambda out: Image.fromarray(random.integers(0, 65536, (9, 7), np.uint16)).save(out, "PNG"),
        "jpg": lambda out: rgb[0].save(out, "JPEG", exif=exif),
        "progressive.jpg": lambda out: rgb[0].save(out, "JPEG", progressive=True, icc_profile=b"x" * 200),
        "gif": lambda out: rgb[0].save(out, "GIF", save_all=True, append_images=rgb[1:], loop=0),
        "webp": lambda out: frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:]),
        "still.webp": lambda out: rgb[0].save(out, "WEBP", lossless=True, exif=exif),
        "tif": lambda out: rgb[0].save(out, "TIFF", compression="tiff_lzw"),
        "ico": lambda out: frames[0].save(out, "ICO"),
        "bmp": lambda out: rgb[0].save(out, "BMP"),
    }
    made = Files()
    for name, save in kinds.items():
        out = io.BytesIO()
        save(out)
        made[name] = out.getvalue()
    return made


KINDS = [
    "png", "apng", "grey16.png", "jpg", "progressive.jpg", "gif", "webp", "still.webp", "tif", "ico", "bmp",
]  # fmt: skip


@fuzzed(150)
@given(kind=st.sampled_from(KINDS), changes=CHANGES, checksums=st.booleans())
def test_pictures(pictures, tmp_path_factory, kind, changes, checksums):
    path = tmp_path_factory.getbasetemp() / f"picture.{kind.split('.')[-1]}"
    content = changed(pictures[kind], changes)
    path.write_bytes(with_right_checksums(content) if checksums else content)

    def read():
        read_still(probe(path), MOST_PIXELS)
        for frame in AnimationReader(path, MOST_PIXELS, max_frames=100):
            assert frame.picture.shape[0] == 3
        open_image(path, max_pixels=MOST_PIXELS, draft_size=4)

    attempt(f"picture, {kind}", read, InputError)


@fuzzed(40)
@given(kind=st.sampled_from(KINDS), changes=CHANGES)
def test_masks(pictures, tmp_path_factory, kind, changes):
    path = tmp_path_factory.getbasetemp() / f"mask.{kind.split('.')[-1]}"
    path.write_bytes(changed(pictures[kind], changes))
    attempt("mask", lambda: read_mask(path, MOST_PIXELS), InputError)


def with_right_checksums(content: bytes) -> bytes:
    """Chunks of a PNG with the checksums of what is now in them, so that decoders go on; anything else as it is."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    whole, at = bytearray(content), 8
    while at + 12 <= len(whole):
        length = int.from_bytes(whole[at : at + 4], "big")
        if at + 12 + length > len(whole):
            break
        whole[at + 8 + length : at + 12 + length] = crc32(whole[at + 4 : at + 8 + length]).to_bytes(4, "big")
        at += 12 + length
    return bytes(whole)


# Configuration values

TRAIN = [
    "seed", "loss_network", "weights", "pooling", "optimizer", "learning_rate", "schedule", "range_weight",
    "output_dir", "ckpt_path", "initial", "publish", "preview_every", "preview_size", "save_every", "validate_every",
    "style", "style.name", "style.image", "style.size", "network", "network.name", "network.arguments",
    "network.arguments.width", "network.arguments.residual_blocks", "network.arguments.upsampling",
    "network.arguments.grain", "network.arguments.trunk", "network.arguments.kernel", "network.arguments.separable",
    "loss", "loss.content_distance", "loss.style_distance", "loss.content_layers", "loss.style_layers",
    "loss.content_weight", "loss.style_weight",
    "loss.tv_weight", "loss.tv_form", "loss.tv_range", "data", "data.source", "data.root", "data.image_size",
    "data.batch_size", "data.workers", "data.scale", "data.validation_photos", "data.validation_root", "data.cache",
    "trainer", "trainer.accelerator", "trainer.strategy", "trainer.precision", "trainer.channels_last",
    "trainer.max_steps", "trainer.log_every", "experiment",
]  # fmt: skip
OPTIMIZE = [
    "content", "seed", "loss_network", "weights", "pooling", "activations", "size", "steps", "start", "noise",
    "optimizer", "learning_rate", "schedule", "pixel_range", "line_search", "stall_tolerance", "stall_window",
    "colors", "device", "output_dir", "strip_pictures", "log_every", "style", "style.image", "style.size", "loss",
    "loss.content_weight", "loss.style_layers", "loss.tv_form", "experiment",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            "-1", "0", "1", "2", "3", "1.5", "-0.5", "nan", "inf", "-inf", "1e400", "true", "false", "null", "''", "x",
            "[]", "[1]", "[1,2]", "[nan]", "[[1]]", "[x,null]", "{}", "{a: 1}", "{relu1_2: 1}", "{relu1_2: nan}",
            "{relu9_9: 1}", "{relu1_2: -1}", "'a b'", "../x", "/dev/null", "/proc/self/mem", "${seed}", "${nothing}",
            "${oc.env:NOTHING}", "0x10", "1_0", "é", '"\\n"', "???",
        ]
    ),
    st.integers(-5, 3).map(str),
    st.floats(-10, 3).map(str),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), max_size=6),
)  # fmt: skip


def configure(script, options, name, value, folder) -> None:
    answer = run_script(script, *options, f"{name}={value}", cwd=folder)
    assert "Traceback" not in answer.err
    if answer.code == 0:
        return
    errors = [line for line in answer.err.splitlines() if not line.startswith("warning: ")]
    assert answer.code == 2 and len(errors) == 1 and errors[0].startswith("error: ") and errors[0].isprintable(), answer
    raise InputError(errors[0])


@fuzzed(12)
@given(name=st.sampled_from(TRAIN), value=VALUES)
def test_settings_of_trainings(small, tmp_path_factory, name, value):
    folder = tmp_path_factory.mktemp("train")
    options = [*small, "trainer.max_steps=1", "network.arguments.width=2", "network.arguments.residual_blocks=0"]
    attempt("configuration of train.py", lambda: configure("train", options, name, value, folder), InputError)


@fuzzed(8)
@given(name=st.sampled_from(OPTIMIZE), value=VALUES)
def test_settings_of_optimize(tmp_path_factory, name, value):
    folder = tmp_path_factory.mktemp("optimize")
    options = ["content=chelsea", "size=32", "style.size=64", "steps=1", "device=cpu"]
    attempt("configuration of optimize.py", lambda: configure("optimize", options, name, value, folder), InputError)
