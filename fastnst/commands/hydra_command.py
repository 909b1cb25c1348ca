"""What the commands share whose options Hydra composes (train, preview, optimize): mistakes end in one line each."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import get_origin

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fastnst.command_line import ctrl_c_ends_at_once, ctrl_c_raises
from fastnst.commands.settings_help import FOLDERS, settings_help
from fastnst.commands.typed_settings import CONFIGS, in_a_line, known_settings, unknown
from fastnst.errors import InputError, input_errors_end_with_code_2, passed_through
from fastnst.places import python_path
from fastnst.styles import picture_path


class Groups(SearchPathPlugin):
    """Has Hydra find the groups that all commands share, in configs/, beside a command's own folder there."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("fastnst", f"file://{CONFIGS}")


Plugins.instance().register(Groups)


def run_command(job: Callable[[DictConfig], None], config_name: str, kind: type, arguments: list[str]) -> None:
    """Compose the arguments and run the job, or with ``-m`` one after the other.

    Ctrl-C ends the process until a job that has imported what it needs calls :func:`ctrl_c_raises`.

    Args:
        kind: the class of its settings, in :mod:`fastnst.settings`.
    """

    def answer_errors(config: DictConfig) -> None:
        """Hydra puts lines of its own around an exception that leaves a job, so ours end here."""
        sys.argv = line  # Lightning starts further processes by it
        register_resolvers()  # a launcher may run a job in a process of its own
        if HydraConfig.get().mode is RunMode.MULTIRUN:  # what other jobs have made is still to be shown
            ctrl_c_raises()
        with input_errors_end_with_code_2():
            job(config)

    if {"-h", "--help"} & set(arguments):
        print(settings_help(config_name))
        return
    line, sys.argv = sys.argv, [sys.argv[0], *map(file_in_quotes, arguments)]  # Hydra reads it there
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # mistakes in a call reach us as exceptions, not as Hydra's own exit
    os.environ["PYTHONPATH"] = python_path()  # what a launcher starts finds the package, too
    with ctrl_c_ends_at_once(), input_errors_end_with_code_2():
        try:
            folder = str(CONFIGS / FOLDERS[config_name])
            hydra.main(version_base="1.3", config_path=folder, config_name=config_name)(answer_errors)()
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explained(error, kind)) from None
        except ValueError as error:
            if passed_through(error, "answer_errors"):
                raise
            raise InputError(str(error)) from None  # Hydra's own: a number where a configuration's name belongs
        except KeyboardInterrupt:  # before the first step, or a second Ctrl-C
            print("Stopped.", file=sys.stderr)
            raise SystemExit(130) from None


def explained(error: HydraException | OmegaConfBaseException, kind: type) -> str:
    """The message of Hydra or OmegaConf, or better advice where that would not help."""
    if isinstance(error, OmegaConfBaseException):
        return in_a_line(error)
    if isinstance(error, MissingConfigException) and error.options:
        shown, wanted = str(error).partition("Config search path")[0], (error.missing_cfg_file or "").rpartition("/")[2]
        nearest = get_close_matches(wanted, error.options, n=1)
        return f"{shown.strip()}{''.join(f'; did you mean {name}?' for name in nearest)}"
    first = str(error).partition("\n")[0]
    if isinstance(error, OverrideParseException) and "=" in error.override:
        quoted = in_quotes(error.override)
        return f"{error.override}: {first}; a text with commas, =, brackets or quotes is written {quoted}."
    if found := re.fullmatch(r"Ambiguous value for argument '(.*)'", first):
        return (
            f"{found[1]}: one text with commas is written {in_quotes(found[1])}, a list in brackets; several runs, one "
            "for each value, need -m."
        )
    if found := re.match(r"Could not override '(?!hydra\.)([\w.]+)'", first):
        known = known_settings(kind)
        if found[1] not in known and get_origin(known.get(found[1].rpartition(".")[0])) is not dict:  # those take any
            return unknown(found[1], kind)
    return str(error)


def in_quotes(override: str) -> str:
    """``'style.image="my photo, 1.jpg"'``: quotes for Hydra, and around them those for the shell."""
    return shlex.quote(for_hydra(override))


def for_hydra(override: str) -> str:
    name, _, value = override.partition("=")
    value = value.replace('"', r"\"")
    return f'{name}="{value}"'


def file_in_quotes(argument: str) -> str:
    """An argument ``NAME=PATH`` in the quotes that Hydra wants, where there is a file with such a name."""
    name, _, value = argument.partition("=")
    plain = re.fullmatch(r"[\w./-]*", value, re.ASCII) is not None
    return argument if plain or name.startswith("-") or not os.path.exists(value) else for_hydra(argument)


def register_resolvers() -> None:
    OmegaConf.register_new_resolver("stem", lambda path: Path(path).stem, replace=True)
    OmegaConf.register_new_resolver("shipped_style", lambda name: os.path.relpath(picture_path(name)), replace=True)
    OmegaConf.register_new_resolver("default_layers", layers_of, replace=True)
    OmegaConf.register_new_resolver("default_weights", weights_of, replace=True)


def layers_of(loss_network: str, term: str) -> DictConfig:
    """``{relu3_3: 1.0}``: the content or style layers of a loss network whose layers nobody has named."""
    from fastnst.features.loss_network import default_layers

    return OmegaConf.create(default_layers(loss_network)[("content", "style").index(term)])


def weights_of(loss_network: str) -> str:
    from fastnst.features.loss_network import default_weights

    return default_weights(loss_network)
