"""What a training says on the console: our warnings, nothing of Lightning's chatter."""

from __future__ import annotations

import logging
import threading
import warnings

IRRELEVANT = (
    r".*Found \d+ module\(s\) in eval mode",  # the loss network is frozen on purpose
    r".*LeafSpec",  # Lightning's own use of a deprecated part of torch
    r".*Total length of `list` across ranks is zero",  # one photograph: nothing to hold out
    r".*does not have many workers",  # a few validation photographs are read before a worker is up
    r".*is smaller than the logging interval",  # short runs are for trying things out
    r".*Checkpoint directory .* exists and is not empty",  # the run folder is ours
    r".*Experiment logs directory .* exists and is not empty",  # likewise, when a run resumes
    r".*resuming from a checkpoint that ended before the epoch ended",  # PhotoDataModule resumes at the very step
    r".*barrier\(\): using the device under current context",  # which is the right one
    r".*but have no `val_dataloader`",  # a data module of the user's own without held-out photographs
    r".*you do not need to set `use_distributed_sampler`",
    r".*recommended to use `self.log\(.*sync_dist=True\)`",  # the module averages training losses itself, all at once
)


def keep_quiet() -> None:
    """Silence messages that no user can act on, and print warnings as one line without a source file's path."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # tips, hardware found, `max_steps` reached
    for pattern in IRRELEVANT:
        warnings.filterwarnings("ignore", pattern)
    if threading.excepthook is not _without_event_files:
        _without_event_files.before = threading.excepthook  # type: ignore[attr-defined]
        threading.excepthook = _without_event_files
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


def _without_event_files(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer ends with a traceback on a full disk; EventLogger says it in one line."""
    if type(failure.thread).__name__ != "_AsyncWriterThread":
        _without_event_files.before(failure)  # type: ignore[attr-defined]
