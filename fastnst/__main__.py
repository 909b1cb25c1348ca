"""``fastnst COMMAND``, ``python -m fastnst COMMAND``, and behind them ``scripts/COMMAND.py``."""

from __future__ import annotations

import io
import os
import re
import sys
from difflib import get_close_matches
from importlib import import_module

import fastnst
from fastnst.command_line import called, ctrl_c_ends_at_once
from fastnst.errors import InputError, input_errors_end_with_code_2

GROUPS = {
    "Stylize": {
        "stylize": "pictures, folders, animations and videos, with trained models",
        "enlarge": "the same, two or four times as large",
        "demo": "the same on a page in the browser",
        "stylize_many": "more of them than one machine can, on many, through Ray",
    },
    "Train": {
        "train": "a network on one painting, or on many",
        "preview": "see what a painting and its weights will look like, before training",
        "optimize": "stylize one picture without a network, by Gatys et al. 2015",
    },
    "Photographs and paintings": {
        "check_data": "find broken photographs and copies in a folder",
        "download_coco": "the photographs that the paper trains on",
        "make_shards": "pack photographs into tar files, for data=webdataset",
        "paint_styles": "paint this project's own style pictures, at any size",
    },
    "Models": {
        "export": "write a model as ONNX, TorchScript, safetensors or a web page",
        "edit_styles": "take styles out of a model of many, or put some in",
        "visualize_features": "see what a layer of the loss network looks at, and what it keeps",
        "benchmark": "measure quality and speed, against others",
        "check_device": "see whether a GPU computes what the CPU does",
    },
}
"""Every command with its line of help; each is run by ``main(arguments)`` of its file in fastnst/commands/."""
COMMANDS = [command for group in GROUPS.values() for command in group]
COMPOSED = ("train", "preview", "optimize")
"""Those whose options are settings that Hydra composes."""
EXAMPLES = (
    "stylize photo.jpg --model mosaic --output painted.jpg",
    "train style=custom style.image=painting.jpg experiment=quick",
    "optimize content=photo.jpg style=mosaic",
)


def main(arguments: list[str] | None = None) -> int | None:
    """Run a command; returns the exit code."""
    print_whatever_names_files_have()
    first, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    with input_errors_end_with_code_2():
        try:
            if first in ("-h", "--help"):
                print(help_text())
            elif first == "--version":
                print(f"fastnst {fastnst.__version__}")
            elif first in ("-sc", "--shell-completion"):
                complete([first, *rest])
            else:
                with ctrl_c_ends_at_once():
                    command = import_module(f"fastnst.commands.{find_command(first)}")
                return command.main(rest)
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            return 130
    return 0


def print_whatever_names_files_have() -> None:
    """A console that lacks a letter gets its number in its place, as on the standard error, and no error."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def find_command(name: str) -> str:
    """The command of this name, which may also be written with hyphens.

    Raises:
        InputError: there is none.
    """
    if (command := name.replace("-", "_")) in COMMANDS:
        return command
    nearest = get_close_matches(command, COMMANDS, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"one of {', '.join(COMMANDS)} was expected."
    raise InputError(f"{name}: there is no such command; {hint}")


def help_text() -> str:
    lines = [f"usage: {called('COMMAND')} [OPTIONS]", "", *(fastnst.__doc__ or "").splitlines()]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {command:<20}{does}" for command, does in commands.items())]
    lines += ["", "Examples:", *(f"  {called(example)}" for example in EXAMPLES)]
    return "\n".join([*lines, "", f"{called('COMMAND')} --help says more; {called('--version')} says which this is."])


def complete(arguments: list[str]) -> None:
    """What Hydra's completion asks for: ``-sc install=SHELL``, then ``-sc query=SHELL`` with the line in COMP_LINE."""
    line = os.environ.get("COMP_LINE", f"fastnst {COMPOSED[0]} ")  # what installs it is the same for all
    words = re.fullmatch(r"\s*(\S+)\s+(\S+)(\s.*)", line)
    if words is None:
        print(" ".join(COMMANDS))
    elif words[2] in COMPOSED:
        os.environ["COMP_LINE"] = words[1] + words[3]
        import_module(f"fastnst.commands.{words[2]}").main(arguments)


if __name__ == "__main__":
    sys.exit(main())
