"""What is in a resume file: read as if a stranger had made it, and held against what this run would write itself."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from fastnst import __version__
from fastnst.errors import InputError
from fastnst.untrusted import LARGEST_FILE, Untrusted, check_plain, load_plain

FORMAT = "fastnst-resume"
FORMAT_VERSION = 1
"""Files without one, of November 2026, are read as version 1: what they lack has defaults."""
LARGEST_RESUME_FILE = 6 * LARGEST_FILE
"""Bytes: weights, two moments for each, and the same again of the last good step."""
_FILLED_IN = {
    "amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay", "initial_lr",
}  # fmt: skip
"""Options of optimisers that torch itself knows to do without: it added most of them in the course of time."""
MOST = 1 << 53
"""No count is larger: the whole numbers that a double holds."""

_NUMBER = (int, float)
_OTHERS = ...
_LIGHTNING = re.compile(r"[2-9]\d?(\.\d{1,5}){1,3}(\.?(post|dev|a|b|rc)\d{1,9})*")
_KINDS: dict[Any, Any] = {
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "state_dict": {_OTHERS: Tensor},
    "optimizer_states": [{"state": {int: {_OTHERS: (Tensor, int)}}, "param_groups": [{_OTHERS: object}]}],
    "lr_schedulers": [{"last_epoch": int, "_step_count": int, "base_lrs": [_NUMBER], "lr_lambdas": [type(None)]}],
    "loops": {"fit_loop": dict},
    "PhotoDataModule": {"photographs": int, "step": int},
    "MixedPrecision": {_OTHERS: _NUMBER},
    "callbacks": {
        "NonFiniteGuard": {
            "skipped": int, "in_a_row": int, "halvings": int, "tried": int, "good_in_a_row": int,
            "learning_rate": (int, float, type(None)), "kept": (dict, type(None)),
        },
        "SkippedPhotos": {"paths": [str]},
        "Curves": {"measured_at": (int, type(None))},
        "RunFiles": {
            "seconds": _NUMBER, "style": str, "picture": str, "settings": {"network": dict, _OTHERS: object},
            "metrics": {_OTHERS: _NUMBER}, "changes": [{"step": int, "changed": [str]}],
        },
    },
}  # fmt: skip
"""Kinds of the values that something reads; a tuple: one of these, a list: any number of them. Names are texts, or all
of them whole numbers."""
_NEEDED = (
    "epoch", "global_step", "pytorch-lightning_version", "state_dict", "optimizer_states", "lr_schedulers",
    "loops fit_loop", "callbacks RunFiles style", "callbacks RunFiles seconds",
    "callbacks NonFiniteGuard skipped", "callbacks SkippedPhotos paths",
)  # fmt: skip


class NewerFormat(InputError):
    """The file is whole, but of a later version of this program: nothing to pass over."""


def read_resume_file(path: Path) -> dict[str, Any]:
    """What Lightning wrote, every byte of it checked; nothing in it is ever run.

    Raises:
        NewerFormat: it is of a later version.
        InputError: there is none, it is damaged, or it is something else.
    """
    try:
        checkpoint = load_plain(path, LARGEST_RESUME_FILE)
        _check_version(checkpoint, path)
        _check_kinds(checkpoint)
    except FileNotFoundError:
        raise InputError(f"ckpt_path={path}: there is no such file.") from None
    except (OSError, Untrusted) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} is not a last.ckpt that a training wrote, or damaged ({reason}).") from None
    return checkpoint


def check_fits(
    checkpoint: Mapping[str, Any], optimizer: torch.optim.Optimizer, scheduler: Any, trainer: pl.Trainer
) -> None:
    """See that this run can take the state up: the same things in the same places, and sane counts.

    Args:
        checkpoint: as read, its weights those of the network.
        optimizer: of this run, fresh; the weights that the run goes back to after errors are for it, too.
        scheduler: of this run, fresh.
        trainer: of this run, which reads its place from the file.

    Raises:
        Untrusted: it cannot.
    """
    if len(checkpoint["optimizer_states"]) != 1 or len(checkpoint["lr_schedulers"]) != 1:
        raise Untrusted("it has not one optimiser and one schedule")
    _check_optimizer(checkpoint["optimizer_states"][0], optimizer)
    if not checkpoint["lr_schedulers"][0].keys() <= scheduler.state_dict().keys() | {"_is_initial", "verbose"}:
        raise Untrusted("its schedule is not this one's")
    given = checkpoint["loops"]["fit_loop"]
    if given.get("state_dict", {}) not in ({}, {"combined_loader": []}, {"combined_loader": [{}]}):
        raise Untrusted("its place in the photographs is not one of this program's")
    counts = [*_counts({name: each for name, each in given.items() if name != "state_dict"})]
    try:
        trainer.fit_loop.load_state_dict(copy.deepcopy(given))  # as Lightning will do, whatever its version
        taken = _holds(trainer.fit_loop.state_dict(), {**given, "state_dict": {}})
    except Exception:  # it expects nothing else than its own
        taken = False
    if not taken:
        raise Untrusted("its place in the run is not of this version of Lightning")
    done = max((count for name, count in counts if "val_loop" not in name), default=0)
    if not 0 <= done - checkpoint["global_step"] <= 1 or trainer.global_step != checkpoint["global_step"]:
        raise Untrusted(f"it counts {done} steps and {checkpoint['global_step']}")  # 1: saved within a step
    place = checkpoint.get("PhotoDataModule", {"photographs": 0, "step": checkpoint["global_step"]})
    if place.keys() != {"photographs", "step"} or place["step"] != checkpoint["global_step"]:
        raise Untrusted("its place in the photographs is of another step")
    kept = checkpoint["callbacks"]["NonFiniteGuard"].get("kept")
    if kept is not None:
        kinds = {"step": int, "network": {_OTHERS: Tensor}, "optimizer": _KINDS["optimizer_states"][0]}
        if not _is_kind(kept, kinds) or kept.keys() != kinds.keys():
            raise Untrusted("its last good weights are missing")
        weights = {name.removeprefix("network."): value.shape for name, value in checkpoint["state_dict"].items()}
        if {name: value.shape for name, value in kept["network"].items()} != weights:
            raise Untrusted("its last good weights are of another network")
        _check_optimizer(kept["optimizer"], optimizer)


def _check_version(checkpoint: Any, path: Path) -> None:
    if not isinstance(checkpoint, dict):
        raise Untrusted("it is no dictionary")
    version = checkpoint.get("version", FORMAT_VERSION)
    if checkpoint.get("format", FORMAT) != FORMAT:
        raise Untrusted(f"its format is {checkpoint['format']!r:.50}")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Untrusted(f"its version is {version!r:.50}")
    if version > FORMAT_VERSION:
        raise NewerFormat(
            f"{path} has resume format {version:.0f}, this fastnst {__version__} reads up to {FORMAT_VERSION}: install "
            "a newer fastnst to go on, or leave ckpt_path out to begin anew in another folder."
        )


def _check_kinds(checkpoint: dict[str, Any]) -> None:
    for needed in _NEEDED:
        inner: Any = checkpoint
        for name in needed.split():
            if not isinstance(inner, dict) or name not in inner:
                raise Untrusted(f"it has no {needed!r}")
            inner = inner[name]
    for name, kind in _KINDS.items():
        if name in checkpoint and not _is_kind(checkpoint[name], kind):
            raise Untrusted(f"its {name!r} is not what this program writes")
    if not _LIGHTNING.fullmatch(checkpoint["pytorch-lightning_version"]):
        raise Untrusted("it names no version of Lightning that this program works with")
    if not all(
        name.isprintable() and len(name) < 200 for name in checkpoint["callbacks"]
    ):  # Lightning shows unknown ones
        raise Untrusted("it holds the state of something unheard of")
    state = checkpoint["callbacks"]["RunFiles"]
    check_plain([state.get("settings"), state.get("changes")], "its record of settings")


def _is_kind(value: Any, kind: Any) -> bool:
    if kind is object:
        return True
    if isinstance(kind, dict) and int in kind:
        return isinstance(value, dict) and all(
            _is_kind(name, int) and _is_kind(each, kind[int]) for name, each in value.items()
        )
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(
            isinstance(name, str) and _is_kind(each, kind.get(name, kind.get(_OTHERS, object)))
            for name, each in value.items()
        )
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is_kind(each, kind[0]) for each in value)
    if isinstance(value, bool) or (isinstance(value, int) and not 0 <= value < MOST):
        return False
    return isinstance(value, kind)


def _check_optimizer(state: dict[str, Any], own: torch.optim.Optimizer) -> None:
    """The same groups of parameters with the same constants, and for each parameter what has its shape."""
    groups = own.state_dict()["param_groups"]
    parameters = [each for group in own.param_groups for each in group["params"]]
    free = {"lr", "initial_lr", "fused", "foreach", "capturable"}  # of the settings, and of the machine
    if len(state["param_groups"]) != len(groups):
        raise Untrusted("its optimiser has other groups of parameters")
    for given, expected in zip(state["param_groups"], groups, strict=True):
        for name in given.keys() & expected.keys() - free:
            if not _same(given[name], expected[name]):
                raise Untrusted(f"its optimiser has {name}={given[name]!r:.50} and not {expected[name]!r:.50}")
        if missing := expected.keys() - given.keys() - _FILLED_IN:
            raise Untrusted(f"its optimiser has no {', '.join(sorted(missing))}")
        if not all(value is None or isinstance(value, (bool, int, float)) for value in map(given.get, free)):
            raise Untrusted("its optimiser has an option that is no number")
    for number, entry in state["state"].items():
        if number >= len(parameters):
            raise Untrusted(f"its optimiser knows a parameter {number!r:.50}")
        if isinstance(own, torch.optim.Adam) and entry.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise Untrusted("its optimiser lacks moments")
        for name, value in entry.items():
            if name in ("step", "steps"):
                if (value.numel() if isinstance(value, Tensor) else 1) != 1 or not 0 <= float(value) < MOST:
                    raise Untrusted("its optimiser has counted no steps")
            elif not isinstance(value, Tensor) or not value.is_floating_point():
                raise Untrusted(f"its optimiser has a {name!r:.50} that is no tensor of numbers")
            elif value.shape != parameters[number].shape:
                raise Untrusted(f"its optimiser has a {name!r:.50} of another shape than parameter {number}")


def _same(given: Any, expected: Any) -> bool:
    return type(given) is type(expected) and given == expected


def _holds(made: Any, given: Any) -> bool:
    """Whether all that was given is in what was made of it: a name too many would replace a method."""
    if isinstance(given, dict):
        return isinstance(made, dict) and all(name in made and _holds(made[name], each) for name, each in given.items())
    return _same(given, made)


def _counts(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """All counts in a state of Lightning's loops, with where they are."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _counts(each, f"{name} {key}")
    elif isinstance(value, int) and 0 <= value < MOST:
        yield name, int(value)
    else:
        raise Untrusted(f"its loops{name} is {value!r:.50}")
