"""Small photographs, a style, and the command lines run inside this process (a new one costs seconds of imports)."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: on pictures this small threads only wait for each other
# What will not work for long is an error: here (pyproject.toml), and in every process that a test starts.
os.environ["PYTHONWARNINGS"] = "error::DeprecationWarning,error::PendingDeprecationWarning,error::FutureWarning"

import contextlib
import gc
import io
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
import torch
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fastnst.settings import TrainerSettings

PROJECT = Path(__file__).resolve().parents[1]
ON_CPU = TrainerSettings("cpu", 1, 1, "auto", "32-true", channels_last=False, compile=False, max_steps=3, log_every=1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest module first: at the end one test process would wait for it alone."""
    items.sort(key=lambda item: "test_processes" not in item.nodeid)


def pytest_collection_finish() -> None:
    """What is imported by now stays: it need not be searched for garbage again and again, a tenth of all the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class Answer(NamedTuple):
    """What a command line did: exit code, and what it wrote."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line on stderr of a refused call."""
        assert self.code == 2, (self.code, self.out, self.err)
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), self.err
        return lines[0]


@contextlib.contextmanager
def _unchanged() -> Iterator[None]:
    """Put back what a script changes for the whole process."""
    cwd, argv, path, environment, form = os.getcwd(), sys.argv, sys.path[:], dict(os.environ), warnings.formatwarning
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}  # Ray leaves its own
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.chdir(cwd)
        sys.argv, sys.path[:], warnings.formatwarning = argv, path, form
        os.environ.clear()
        os.environ.update(environment)
        GlobalHydra.instance().clear()


def _composed_once() -> contextlib.AbstractContextManager:
    """Hydra composes everything twice, at first only to read `hydra.mode`: a fifth of the time of a small training.

    Only `experiment=sweep` sets it (test_configs.py sees to that).
    """

    def mode(self: Hydra, config_name: str, overrides: list[str]) -> RunMode | None:
        return RunMode.MULTIRUN if "experiment=sweep" in overrides else None

    return mock.patch.object(Hydra, "get_mode", mode)


def run_script(name: str, *arguments: object, cwd: Path) -> Answer:
    """``python scripts/NAME.py ARGUMENTS`` in the folder ``cwd``, in this process."""

    def show(message, category, filename, lineno, file=None, line=None):
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    out, err, code = io.StringIO(), io.StringIO(), 0
    with _unchanged(), _composed_once(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        warnings.simplefilter("default")
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("error", category)
        warnings.showwarning = show
        os.chdir(cwd)
        script = PROJECT / "scripts" / f"{name}.py"
        sys.argv = [str(script), *map(str, arguments)]
        sys.path.insert(0, str(script.parent))  # as Python does
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Answer(code, out.getvalue(), err.getvalue())


def start_script(name: str, *arguments: object, cwd: Path, **options) -> subprocess.Popen:
    """The same as a process of its own, at the head of its process group."""
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "scripts" / f"{name}.py"), *map(str, arguments)],
        cwd=cwd, text=True, start_new_session=True, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )  # fmt: skip


def load(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load(folder / "last.ckpt")["state_dict"]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def events(folder: Path) -> EventAccumulator:
    """What TensorBoard shows of a run folder."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def losses(folder: Path) -> list[tuple[int, float]]:
    """The points of the curve of all losses together, as TensorBoard shows them."""
    return [(event.step, event.value) for event in events(folder).Scalars("train/total")]


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Eight small photographs, no two alike."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(8):
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8))
        coarse.resize((72 + number, 60), Image.Resampling.BICUBIC).save(folder / f"photo{number}.png")
    return folder


@pytest.fixture(scope="session")
def small(photos) -> list[str]:
    """Options of a training that takes about a second."""
    return [
        "data=folder", f"data.root={photos}", "data.image_size=32", "data.batch_size=2", "data.workers=0",
        "style.size=64", "preview_size=32", "network.arguments.width=4", "network.arguments.residual_blocks=1",
        "trainer=cpu", "trainer.max_steps=2", "trainer.log_every=1", "final_photos=0", "data.grow_to=null",
    ]  # fmt: skip


@pytest.fixture
def train(small, tmp_path) -> Callable[..., Answer]:
    """``scripts/train.py``, small, in a folder of its own; options given later win."""

    def run(*options: str) -> Answer:
        flags = [option for option in options if option.startswith("-")]  # Hydra wants them first
        return run_script("train", *flags, *small, *(each for each in options if each not in flags), cwd=tmp_path)

    return run


@pytest.fixture
def stylize(tmp_path) -> Callable[..., Answer]:
    """``scripts/stylize.py`` on the CPU in a folder of its own."""
    return lambda *arguments: run_script("stylize", "--device", "cpu", *arguments, cwd=tmp_path)


@pytest.fixture
def start(small, tmp_path) -> Callable[..., subprocess.Popen]:
    """``scripts/train.py``, small, as a process of its own."""
    return lambda *options, **popen: start_script("train", *small, *options, cwd=tmp_path, **popen)


@pytest.fixture(scope="session")
def trained(small, tmp_path_factory) -> Path:
    """The run folder of six finished steps on the mosaic."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    answer = run_script(
        "train", *small, "trainer.max_steps=6", "validate_every=3", "preview_every=4", f"output_dir={folder}",
        cwd=folder.parent,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    (folder / "out.txt").write_text(answer.out)
    (folder / "err.txt").write_text(answer.err)
    return folder
