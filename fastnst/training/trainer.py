"""Lightning's trainer, as a training here needs it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.nn.parallel import DistributedDataParallel

from fastnst.allocation import keep_freed_memory
from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError, require_whole
from fastnst.hardware import computes_in_bfloat16
from fastnst.settings import TrainerSettings
from fastnst.training.callbacks.stop_on_signals import StopOnSignals
from fastnst.training.callbacks.tensorboard import EventLogger
from fastnst.training.resume.checkpoint_io import WholeFiles
from fastnst.training.steps.training_module import TrainingModule


def choose_precision(precision: str, accelerator: str) -> str:
    """``"auto"`` becomes bf16-mixed where the hardware computes in bfloat16, else 32-true; others stay.

    Raises:
        InputError: 16-mixed: its gradients overflow on purpose, to find a scale, and count as broken here.
    """
    if precision in ("16", "16-mixed"):
        raise InputError(f"trainer.precision={precision}: expected bf16-mixed, 32-true, or auto for what fits best.")
    if precision != "auto":
        return precision
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if computes_in_bfloat16("cuda" if on_gpu else "cpu") else "32-true"


def distributed(strategy: str) -> str | Strategy:
    """``ddp`` without the copy of all buffers at every step: the style's Gram matrices never change."""
    if strategy != "ddp":
        return strategy
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # renamed in torch 2.1x
    return DDPStrategy(**{name: False}, gradient_as_bucket_view=True)  # type: ignore[arg-type]


def build_trainer(
    options: TrainerSettings, folder: Path, callbacks: Sequence[pl.Callback], validate_every: int
) -> pl.Trainer:
    """A trainer that writes TensorBoard events into the run folder itself.

    Raises:
        InputError: an option is out of range, or the hardware asked for is not there.
    """
    require_whole("trainer.max_steps", options.max_steps, 1)
    require_whole("trainer.log_every", options.log_every, 1)
    require_whole("validate_every", validate_every, 1)
    accelerator = options.accelerator
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available() and not torch.backends.mps.is_available():
        raise InputError(f"trainer.accelerator={accelerator}: torch finds no GPU; use trainer=auto or trainer=cpu.")
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy=distributed(options.strategy),
            precision=choose_precision(options.precision, accelerator),  # type: ignore[arg-type]  # checked there
            max_steps=options.max_steps,
            log_every_n_steps=options.log_every,
            val_check_interval=min(validate_every, options.max_steps),
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            logger=EventLogger(folder),
            plugins=[WholeFiles()],
            callbacks=list(callbacks),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,  # TrainingBar instead
            use_distributed_sampler=False,
        )
    except (pl.utilities.exceptions.MisconfigurationException, ValueError, TypeError) as error:
        raise InputError(f"trainer={asdict(options)} is not possible here: {' '.join(str(error).split())}") from None


def fit(
    trainer: pl.Trainer, module: TrainingModule, data: PhotoDataModule, stop: StopOnSignals, last: Path | None
) -> None:
    """Train, from ``last.ckpt`` on if that is given, to the end or until a signal."""
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    with stop.catching():
        trainer.fit(module, datamodule=data, ckpt_path=last)
