"""The beginning and the end of a training run: the style picture, the trainer, the final figures."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError
from fastnst.images.files import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.training.files import MODEL, RunFiles
from fastnst.training.guards import NonFiniteGuard, SkippedPhotos
from fastnst.training.interruption import StopOnSignals
from fastnst.training.module import StyleTransferModule

SMALLEST_STYLE = 32
"""Pixels of a style picture's shorter side; less has no texture that the deepest layer could measure."""


def read_style(path: str | os.PathLike, size: int) -> Tensor:
    """The style picture (3, H, W) in [0, 1], its shorter side ``size`` pixels long.

    Raises:
        InputError: it cannot be read, or it or ``size`` is too small.
    """
    if not isinstance(size, int) or isinstance(size, bool) or size < SMALLEST_STYLE:
        raise InputError(f"style.size={size!r}: expected a whole number of pixels, {SMALLEST_STYLE} or more.")
    picture = read_image(path)
    height, width = picture.shape[-2:]
    if min(height, width) < SMALLEST_STYLE:
        raise InputError(f"the style picture {path} is {width}x{height}: expected at least {SMALLEST_STYLE} pixels a side.")
    return resize_short_side(picture, size)


def choose_precision(precision: str, accelerator: str) -> str:
    """``"auto"`` becomes bf16-mixed where the hardware computes in bfloat16, else 32-true; others stay."""
    if precision != "auto":
        return precision
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return "bf16-mixed" if fast else "32-true"


def build_trainer(
    options: dict[str, Any], folder: Path, callbacks: Sequence[pl.Callback], validate_every: int
) -> pl.Trainer:
    """A trainer that writes TensorBoard events into the run folder itself.

    Args:
        options: accelerator, devices, num_nodes, strategy, precision, max_steps, log_every.

    Raises:
        InputError: an option is out of range, or the hardware asked for is not there.
    """
    for name, least in (("max_steps", 1), ("log_every", 1)):
        if not isinstance(options[name], int) or isinstance(options[name], bool) or options[name] < least:
            raise InputError(f"trainer.{name}={options[name]!r}: expected a whole number, {least} or more.")
    try:
        return pl.Trainer(
            accelerator=options["accelerator"],
            devices=options["devices"],
            num_nodes=options["num_nodes"],
            strategy=options["strategy"],
            precision=choose_precision(options["precision"], options["accelerator"]),
            max_steps=options["max_steps"],
            log_every_n_steps=options["log_every"],
            val_check_interval=min(validate_every, options["max_steps"]),
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            logger=TensorBoardLogger(folder, name="", version=""),
            callbacks=list(callbacks),
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (pl.utilities.exceptions.MisconfigurationException, ValueError, TypeError) as error:
        raise InputError(f"trainer={options}: {' '.join(str(error).split())}") from None


def finish(
    trainer: pl.Trainer, module: StyleTransferModule, data: PhotoDataModule, settings: dict[str, Any], folder: Path
) -> None:
    """Measure the held-out photographs a last time, complete the model file, publish, and say where everything lies.

    Raises:
        SystemExit: with 128 plus the signal's number where a signal ended the run.
    """
    if data.validation_paths:
        trainer.validate(module, datamodule=data, verbose=False)
    if not trainer.is_global_zero:
        return
    callbacks = {type(callback): callback for callback in trainer.callbacks}
    files, guard = callbacks[RunFiles], callbacks[NonFiniteGuard]
    files.write_model(trainer, module)
    model = folder / MODEL
    log_hyperparameters(trainer, settings)
    print(f"\n{trainer.global_step} of {settings['trainer']['max_steps']} steps in {files.seconds / 60:.1f} minutes.")
    if guard.skipped:
        print(f"Steps skipped because a loss was not finite: {guard.skipped}.")
    if bad := sorted(callbacks[SkippedPhotos].paths):
        print(f"Photographs that could not be read: {len(bad)}: {', '.join(bad[:5])}{' ...' if len(bad) > 5 else ''}")
    if settings["publish"] is not None:
        model = publish(model, settings["publish"])
    received = callbacks[StopOnSignals].received
    if received is not None:
        print(f"Stopped by {signal.Signals(received).name}; saved. Go on with: the same command and ckpt_path=last")
    print(f"Pictures:      {folder / 'previews' / 'latest.png'}")
    print(f"TensorBoard:   tensorboard --logdir {folder.parent}")
    print(f"Stylize with:  python scripts/stylize.py --model {model}", flush=True)
    if received is not None:
        sys.exit(128 + received)


def publish(model: Path, name: str, folder: Path = Path("checkpoints")) -> Path:
    """Copy a model file to ``checkpoints/NAME.ckpt``; what is there already stays.

    Raises:
        InputError: the name is taken, or is more than a name.
    """
    target = folder / f"{name}.ckpt"
    if Path(name).name != name or name in ("", ".", ".."):
        raise InputError(f"publish={name!r}: expected a plain name; the model itself is saved as {model}.")
    folder.mkdir(exist_ok=True)
    try:
        with open(target, "xb") as file, open(model, "rb") as source:
            shutil.copyfileobj(source, file)
    except FileExistsError:
        raise InputError(f"publish={name}: {target} exists and is not replaced; the model is saved as {model}.") from None
    return target


def log_hyperparameters(trainer: pl.Trainer, settings: dict[str, Any]) -> None:
    """Settings and final figures for TensorBoard's hparams tab."""

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key, value in values.items():
            pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
        return pairs

    metrics = {f"final/{key}": value for key, value in trainer.callback_metrics.items() if key.count("/") == 1}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(flat(settings), metrics)
            logger.finalize("success")
