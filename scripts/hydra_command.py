"""What the commands share whose options Hydra composes (train, preview, optimize): mistakes end in one line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fastnst.errors import InputError, input_errors_end_with_code_2, passed_through
from fastnst.styles import picture_path

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / "configs"


def run_command(job: Callable[[DictConfig], None], config_name: str) -> None:
    """Compose the options of the command line and run the job, or with ``-m`` one after the other."""

    def answer_errors(config: DictConfig) -> None:
        """Hydra puts lines of its own around an exception that leaves a job, so ours end here."""
        register_resolvers()  # a launcher may run a job in a process of its own
        with input_errors_end_with_code_2():
            try:
                job(config)
            except OmegaConfBaseException as error:
                raise InputError(str(error)) from None

    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # mistakes in a call reach us as exceptions, not as Hydra's own exit
    places = [str(HERE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(places))  # what a launcher starts finds these files, too
    with input_errors_end_with_code_2():
        try:
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(answer_errors)()
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(str(error)) from None
        except ValueError as error:
            if passed_through(error, "answer_errors"):
                raise
            raise InputError(str(error)) from None  # Hydra's own: a number where a configuration's name belongs
        except KeyboardInterrupt:  # before the first step, or a second Ctrl-C
            print("Stopped.", file=sys.stderr)
            raise SystemExit(130) from None


def register_resolvers() -> None:
    OmegaConf.register_new_resolver("stem", lambda path: Path(path).stem, replace=True)
    OmegaConf.register_new_resolver("shipped_style", lambda name: os.path.relpath(picture_path(name)), replace=True)
