"""Resuming a run: which file, whether it is whole and fits, and what was changed since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl

from fastnst.errors import InputError, one_line
from fastnst.training.resume.resume_file import NewerFormat, check_fits, read_resume_file
from fastnst.training.resume.run_folder import LAST, PREVIOUS
from fastnst.training.steps.training_module import TrainingModule
from fastnst.untrusted import Untrusted

SILENT = ("output_dir", "ckpt_path", "publish", "preview_every", "save_every", "validate_every", "trainer.log_every")
"""Settings that change nothing about the training."""


class ResumePoint(NamedTuple):
    """Where a run resumes.

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
        return one_line(f"Resuming from step {self.step} of {self.path}{more}.")

    def changes(self, settings: Mapping[str, Any]) -> list[str]:
        """``["loss.style_weight 3.0 -> 5.0", ...]``."""
        before, now = flat(self.settings), flat(settings)
        names = [name for name in now if name in before and before[name] != now[name] and name not in SILENT]
        return [f"{name} {before[name]} -> {now[name]}" for name in names]


def find_resume_point(
    path: Path,
    style: str,
    picture: str,
    module: TrainingModule,
    settings: Mapping[str, Any],
    trainer: pl.Trainer,
) -> ResumePoint:
    """See that a run can be resumed from ``path``; where that is a damaged ``last.ckpt``, from the one before it.

    Args:
        path: the file to resume from.
        style: the style's name.
        picture: from :func:`~fastnst.training.style_pictures.fingerprint`.
        module: of the run to come, whose network's weights and optimiser must fit.
        settings: of the run to come.
        trainer: of the run to come.

    Raises:
        InputError: not a resume file, damaged with no whole one before it, or of another style, network or optimiser.
    """
    damaged, problem = None, ""
    try:
        checkpoint = read_resume_file(path)
    except NewerFormat:
        raise
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
        raise InputError(f"{path} was trained for {state['style']!r}, not {style!r}: leave ckpt_path out.")
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
    own = {name: value.shape for name, value in module.network.state_dict().items()}
    shapes = {name.removeprefix("network."): value.shape for name, value in checkpoint["state_dict"].items()}
    if shapes != own or trained_with.get("network", configured) != configured:
        was, now = flat(trained_with.get("network", {})), flat(configured)
        other = ", ".join(f"{name}={value!r}" for name, value in was.items() if now.get(name) != value)
        raise InputError(
            f"{path} holds another network than the one configured{f' ({other})' if other else ''}: give the same or "
            "leave ckpt_path out."
        )
    fresh = module.configure_optimizers()
    try:
        check_fits(checkpoint, fresh["optimizer"], fresh["lr_scheduler"]["scheduler"], trainer)
    except Untrusted as error:
        raise InputError(
            f"{path} cannot be resumed from ({error}; Lightning {checkpoint['pytorch-lightning_version']}): leave "
            "ckpt_path out; initial=MODEL begins anew from the weights."
        ) from None
    return ResumePoint(path, checkpoint["global_step"], trained_with, damaged, problem)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``{"loss.style_weight": 3.0, ...}``."""
    pairs: dict[str, Any] = {}
    for key, value in values.items():
        pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return pairs
