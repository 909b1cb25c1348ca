"""Ctrl-C while a command starts ends it in one word, even where a library makes another error of it."""

import subprocess
import sys

import pytest

from tests.conftest import PROJECT

CODE = """
import importlib, os, signal, sys
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

def interrupted(*given, **options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))
    except KeyboardInterrupt:
        raise OmegaConfBaseException("")

from fastnst import __main__ as fastnst
if "MOMENT" == "import":
    fastnst.import_module = interrupted
else:
    OmegaConf.structured = interrupted
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.exit(fastnst.main(["train", "style=mosaic", "output_dir=run"]))
"""


@pytest.mark.parametrize("moment", ["import", "settings"])
def test_ends_at_once(tmp_path, moment):
    done = subprocess.run(
        [sys.executable, "-c", CODE.replace("MOMENT", moment)],
        cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")
    assert not (tmp_path / "run").exists()
