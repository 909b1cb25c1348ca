"""Going on with a run: which file, whether it is whole and fits, and what was changed since."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from fastnst.errors import InputError
from fastnst.training.files import LAST, PREVIOUS

SILENT = ("output_dir", "ckpt_path", "publish", "preview_every", "save_every", "validate_every", "trainer.log_every")
"""Settings that change nothing about the training."""


class ResumePoint(NamedTuple):
    """Where a run goes on.

    Attributes:
        path: a whole resume file.
        step: optimiser steps done.
        settings: those that it was trained with until now; empty in files of early versions.
        damaged: the newer file that had to be passed over, or None.
        problem: what is wrong with that one.
    """

    path: Path
    step: int
    settings: dict[str, Any]
    damaged: Path | None = None
    problem: str = ""

    def describe(self, settings: Mapping[str, Any]) -> str:
        """One line for the console: from where, and which ``settings`` are others than before."""
        changed = self.changes(settings)
        more = f"; changed since: {', '.join(changed)}" if changed else ""
        return f"Going on from step {self.step} of {self.path}{more}."

    def changes(self, settings: Mapping[str, Any]) -> list[str]:
        """``["loss.style_weight 3.0 -> 5.0", ...]``."""
        before, now = flat(self.settings), flat(settings)
        names = [name for name in now if name in before and before[name] != now[name] and name not in SILENT]
        return [f"{name} {before[name]} -> {now[name]}" for name in names]


def find_resume_point(
    path: Path, style: str, picture: str, network: nn.Module, settings: Mapping[str, Any]
) -> ResumePoint:
    """See that a run can go on from ``path``; where that is a damaged ``last.ckpt``, from the one before it.

    Args:
        path: the file to go on from.
        style: the style's name.
        picture: from :func:`fingerprint`.
        network: as configured, whose weights must fit.
        settings: of the run to come.

    Raises:
        InputError: not a resume file, damaged with no whole one before it, or of another style, network or optimiser.
    """
    damaged, problem = None, ""
    try:
        checkpoint = read_resume_file(path)
    except InputError as error:
        before = path.with_name(PREVIOUS)
        if path.name != LAST or not before.is_file():
            raise
        try:
            checkpoint = read_resume_file(before)
        except InputError:
            raise error from None
        damaged, problem, path = path, str(error), before
    state = checkpoint["callbacks"]["RunFiles"]
    if state["style"] != style:
        raise InputError(f"{path} was trained on style {state['style']!r}, not {style!r}: leave ckpt_path out.")
    if state.get("picture", picture) != picture:
        raise InputError(f"{path} was trained on another picture of the name {style!r}: leave ckpt_path out.")
    trained_with = state.get("settings", {})
    optimizer = trained_with.get("optimizer", settings["optimizer"])
    if optimizer != settings["optimizer"]:
        raise InputError(
            f"{path} was trained with optimizer={optimizer}, not {settings['optimizer']}, which cannot use its state: "
            "give the same or leave ckpt_path out; initial=MODEL begins anew from the weights."
        )
    configured = settings["network"]
    own = {name: value.shape for name, value in network.state_dict().items()}
    shapes = {name.removeprefix("network."): value.shape for name, value in checkpoint["state_dict"].items()}
    if shapes != own or trained_with.get("network", configured) != configured:
        was, now = flat(trained_with.get("network", {})), flat(configured)
        other = ", ".join(f"{name}={value!r}" for name, value in was.items() if now.get(name) != value)
        raise InputError(
            f"{path} holds another network than the one configured{f' ({other})' if other else ''}: give the same or "
            "leave ckpt_path out."
        )
    return ResumePoint(path, checkpoint["global_step"], trained_with, damaged, problem)


def read_resume_file(path: Path) -> dict[str, Any]:
    """What Lightning wrote, every byte of it checked; nothing in it is ever run.

    Raises:
        InputError: there is none, it is damaged, or it is something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("it is compressed, which torch never does")
            if (broken := archive.testzip()) is not None:
                raise ValueError(f"checksum of {broken} is wrong")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        for name in ("loops", "optimizer_states", "lr_schedulers", "pytorch-lightning_version"):
            checkpoint[name]
        checkpoint["callbacks"]["RunFiles"]["style"]
        if not all(isinstance(value, torch.Tensor) for value in checkpoint["state_dict"].values()):
            raise ValueError("weights are missing")
        if not isinstance(checkpoint["global_step"], int):
            raise ValueError("the step is missing")
    except FileNotFoundError:
        raise InputError(f"ckpt_path={path}: there is no such file.") from None
    except Exception as error:  # torch, zipfile and pickle raise many kinds on damaged files, all mean the same here
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a last.ckpt that scripts/train.py wrote, or damaged ({reason}).") from None
    return checkpoint


def fingerprint(picture: str | os.PathLike) -> str:
    """Identifies a style picture, whatever its name and place."""
    return hashlib.sha256(Path(picture).read_bytes()).hexdigest()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``{"loss.style_weight": 3.0, ...}``."""
    pairs: dict[str, Any] = {}
    for key, value in values.items():
        pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return pairs
