"""``--help`` of the commands that Hydra composes: choices and settings, in the words of the comments in configs/."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastnst.command_line import called
from fastnst.commands.typed_settings import CONFIGS

FOLDERS = {"train": "train", "preview": "train", "optimize": "optimize"}
"""A command's own folder in configs/: its settings, and its presets in ``experiment/``."""
GROUPS = {
    "style": ("the painting, or the paintings", "custom"),
    "network": ("what is trained", "johnson"),
    "loss": ("the objective", "normalized"),
    "data": ("the photographs", "coco"),
    "task": ("what is trained for: stylizing, or enlarging (experiment=super_resolution)", "stylizing"),
    "trainer": ("what it runs on, and for how long", "auto"),
    "experiment": ("presets, of which single settings may be changed beside them", None),
}
"""What each group is for, and the choice whose comments explain its settings."""


class Help(NamedTuple):
    does: str
    examples: tuple[str, ...]
    groups: tuple[str, ...]
    of_train: tuple[str, ...] = ()
    """Settings of configs/train/train.yaml that are used, too."""


HELP = {
    "train": Help(
        "Train a network on one painting, or on many.",
        (
            "train style=custom style.image=painting.jpg experiment=quick",
            "train style=mosaic experiment=hours data.root=PHOTOS",
            "train style=mosaic output_dir=outputs/mine ckpt_path=auto",
        ),
        tuple(GROUPS),
    ),
    "preview": Help(
        "See what a painting and the weights of the objective will look like, before training.",
        (
            "preview style=mosaic loss.content_weight=3",
            "preview style=custom style.image=painting.jpg content=photo.jpg",
            "preview style=candy size=384 steps=100 output=candy.png",
        ),
        ("style", "loss", "experiment"),
        ("loss_network", "weights", "pooling"),
    ),
    "optimize": Help(
        "Stylize one picture without a network, by optimising its pixels (Gatys et al. 2015).",
        (
            "optimize content=photo.jpg style=mosaic",
            "optimize content=photo.jpg experiment=gatys_lbfgs",
            "optimize content=chelsea experiment=sweep",
        ),
        ("style", "loss", "experiment"),
    ),
}


def settings_help(command: str) -> str:
    words, own = HELP[command], CONFIGS / FOLDERS[command]
    lines = [f"usage: {called(command)} [FLAGS] GROUP=CHOICE ... SETTING=VALUE ...", "", words.does, "", "Examples:"]
    lines += [f"  {called(example)}" for example in words.examples]
    for group in words.groups:
        folder = own / group if (own / group).is_dir() else CONFIGS / group
        meaning, explained = GROUPS[group]
        lines += ["", f"{group}=CHOICE: {meaning}"]
        choices = {path.stem: about(path) for path in sorted(folder.glob("*.yaml"))}
        lines += [row(name, text, 22) for name, text in choices.items() if text]
        if plain := [name for name, text in choices.items() if not text]:
            lines.append(row("", f"{', '.join(plain)}: painted by this project", 22))
        if explained is not None:
            whole = "@package _global_" in top_and_rest(folder / f"{explained}.yaml")[0]
            prefix, files = (
                ("", sorted(folder.glob("*.yaml"))) if whole else (f"{group}.", [folder / f"{explained}.yaml"])
            )
            found = dict(pair for file in files for pair in settings_of(file))  # several may have the same setting
            lines += [row(f"{prefix}{name}", text) for name, text in found.items()]
    of_train = [(name, text) for name, text in settings_of(CONFIGS / "train" / "train.yaml") if name in words.of_train]
    lines += ["", "Other settings:"]
    lines += [row(name, text) for name, text in [*settings_of(own / f"{command}.yaml"), *of_train]]
    lines += ["", "Flags:"]
    lines += [
        row("-m", "one run for each value: style=mosaic,ink"),
        row("--config-dir DIR", "groups, choices and experiments of your own, in folders as in configs/"),
        row("--cfg job", "print the settings that a call would have, and stop"),
        row("--hydra-help", "everything else that Hydra knows"),
    ]
    return "\n".join([*lines, "", f"The files with all of this: {CONFIGS}"])


def row(name: str, text: str, width: int = 32) -> str:
    indent = " " * (width + 2)
    first = f"  {name} ".ljust(width + 2)
    return textwrap.fill(text, 120, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False).rstrip()


def about(path: Path) -> str:
    """The first sentence of the comment at the top of a file, which says what a choice is."""
    top, _ = top_and_rest(path)
    words = " ".join(line.strip("# ") for line in top.splitlines()).removeprefix("@package _global_ ")
    return re.split(r"(?<=[a-z0-9)]\.) (?=[A-Z])", words)[0].rstrip(".")


def top_and_rest(path: Path) -> tuple[str, str]:
    text = path.read_text(encoding="utf-8")
    rest = re.sub(r"\A(#.*\n)*", "", text)
    return text.removesuffix(rest), rest


def settings_of(path: Path) -> Iterator[tuple[str, str]]:
    """Name and explanation of each setting of a file: the comment above it or behind it, and its default."""
    _, text = top_and_rest(path)
    groups: list[str] = []
    above: list[str] = []
    for line in re.sub(r"^(defaults|hydra):.*\n( .*\n)*", "", text, flags=re.M).splitlines():
        if line.startswith("#"):
            above.append(line.strip("# "))
            continue
        if found := re.match(r"( *)(\w+):(?: ([^#]+?))?(?: # (.*))?$", line):
            indent, name, default, behind = found.groups()
            groups = [*groups[: len(indent) // 2], name]
            words = " ".join([*above, *filter(None, [behind])]).rstrip(".")
            if default is not None:
                default = default.removeprefix('"${oc.create:').removesuffix('}"')
                yield ".".join(groups), words if default == "???" else f"{words} (default: {default})"
        above = []
