"""The beginning and the end of a training run: the style picture, the trainer, the final figures."""

from __future__ import annotations

import importlib.util
import inspect
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import InputError, one_line, require_whole
from fastnst.hardware import computes_in_bfloat16
from fastnst.images.files import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.training.events import Curves, EventLogger
from fastnst.training.files import LAST, MODEL, RunFiles, WholeFiles
from fastnst.training.final_figures import measure
from fastnst.training.guards import NonFiniteGuard, SkippedPhotos
from fastnst.training.interruption import StopOnSignals
from fastnst.training.module import StyleTransferModule
from fastnst.training.resumption import flat

SMALLEST_STYLE = 32
"""Pixels of a style picture's shorter side; less has no texture that the deepest layer could measure."""


def read_style(path: str | os.PathLike, size: int) -> Tensor:
    """The style picture (3, H, W) in [0, 1], its shorter side ``size`` pixels long.

    Raises:
        InputError: it cannot be read, or it or ``size`` is too small.
    """
    require_whole("style.size", size, SMALLEST_STYLE)
    picture = read_image(path)
    height, width = picture.shape[-2:]
    if min(height, width) < SMALLEST_STYLE:
        raise InputError(f"the style picture {path} is {width}x{height}: expected at least {SMALLEST_STYLE} a side.")
    return resize_short_side(picture, size)


def choose_precision(precision: str, accelerator: str) -> str:
    """``"auto"`` becomes bf16-mixed where the hardware computes in bfloat16, else 32-true; others stay.

    Raises:
        InputError: 16-mixed: its gradients overflow on purpose, to find a scale, and count as broken here.
    """
    if str(precision) in ("16", "16-mixed"):
        raise InputError(f"trainer.precision={precision}: expected bf16-mixed, 32-true, or auto for what fits best.")
    if precision != "auto":
        return precision
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if computes_in_bfloat16("cuda" if on_gpu else "cpu") else "32-true"


def speed_up(module: StyleTransferModule, options: dict[str, Any]) -> None:
    """Apply ``channels_last`` and ``compile``; names and values of the weights stay as they are.

    Args:
        options: the two switches, and the accelerator that they are for.

    Raises:
        InputError: a switch is neither true nor false.
    """
    for name in ("channels_last", "compile"):
        if not isinstance(options[name], bool):
            raise InputError(f"trainer.{name}={options[name]!r}: expected true or false.")
    if options["channels_last"]:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's signature
    if options["compile"]:
        on_gpu = options["accelerator"] in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        if (missing := missing_compiler(on_gpu)) is not None:
            warnings.warn(f"trainer.compile needs {missing}, not found: the training goes on uncompiled.", stacklevel=2)
            return
        # The functions, not the modules: a wrapped module would put `_orig_mod.` before every weight's name. The grain
        # lies elsewhere at every step; compiled in, it would be compiled anew each time.
        network, vgg = module.network, module.loss.vgg
        network.grain.forward = torch.compiler.disable(network.grain.forward)  # type: ignore[method-assign]
        network.preactivation = torch.compile(network.preactivation)  # type: ignore[method-assign]
        vgg.forward = torch.compile(vgg.forward)  # type: ignore[method-assign]


def missing_compiler(on_gpu: bool) -> str | None:
    """What ``torch.compile`` would call and is not on this machine, or None."""
    if on_gpu and importlib.util.find_spec("triton") is None:
        return "Triton (pip install triton)"
    candidates = ([os.environ["CXX"]] if "CXX" in os.environ else []) + ["g++", "clang++", "cl"]
    if not any(shutil.which(name) for name in candidates):
        return "a C++ compiler (g++ or clang++; apt-get install g++)"
    return None


def distributed(strategy: str) -> str | Strategy:
    """``ddp`` without the copy of all buffers at every step: the style's Gram matrices never change."""
    if strategy != "ddp":
        return strategy
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # renamed in torch 2.1x
    return DDPStrategy(**{name: False}, gradient_as_bucket_view=True)  # type: ignore[arg-type]


def build_trainer(
    options: dict[str, Any], folder: Path, callbacks: Sequence[pl.Callback], validate_every: int
) -> pl.Trainer:
    """A trainer that writes TensorBoard events into the run folder itself.

    Args:
        options: accelerator, devices, num_nodes, strategy, precision, max_steps, log_every.

    Raises:
        InputError: an option is out of range, or the hardware asked for is not there.
    """
    for name in ("max_steps", "log_every"):
        require_whole(f"trainer.{name}", options[name], 1)
    require_whole("validate_every", validate_every, 1)
    accelerator = options["accelerator"]
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available() and not torch.backends.mps.is_available():
        raise InputError(f"trainer.accelerator={accelerator}: torch finds no GPU; use trainer=auto or trainer=cpu.")
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=options["devices"],
            num_nodes=options["num_nodes"],
            strategy=distributed(options["strategy"]),
            precision=choose_precision(options["precision"], accelerator),  # type: ignore[arg-type]  # checked there
            max_steps=options["max_steps"],
            log_every_n_steps=options["log_every"],
            val_check_interval=min(validate_every, options["max_steps"]),
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
        raise InputError(f"trainer={options} is not possible here: {' '.join(str(error).split())}") from None


def fit(trainer: pl.Trainer, module: StyleTransferModule, data: PhotoDataModule, last: Path | None) -> None:
    """Train, from ``last.ckpt`` on if that is given, to the end or until a signal."""
    (stop,) = (callback for callback in trainer.callbacks if isinstance(callback, StopOnSignals))  # type: ignore[attr-defined]
    with stop.catching():
        trainer.fit(module, datamodule=data, ckpt_path=last)


def finish(
    trainer: pl.Trainer, module: StyleTransferModule, data: PhotoDataModule, settings: dict[str, Any], folder: Path
) -> None:
    """Measure the held-out photographs a last time, complete the model file, publish, and say where everything lies.

    Raises:
        SystemExit: with 128 plus the signal's number where a signal ended the run.
    """
    callbacks = {type(callback): callback for callback in trainer.callbacks}  # type: ignore[attr-defined]
    received = callbacks[StopOnSignals].received
    if data.validation_paths and received is None and callbacks[Curves].measured_at != trainer.global_step:
        trainer.validate(module, datamodule=data, verbose=False)
    if not trainer.is_global_zero:
        return
    if received is not None and trainer.global_step == 0:
        print(f"Stopped by {signal.Signals(received).name} before the first step was done.", flush=True)
        sys.exit(128 + received)
    files, guard = callbacks[RunFiles], callbacks[NonFiniteGuard]
    photos = data.validation_paths[: settings["final_photos"]]
    if photos and received is None:
        style = read_style(settings["style"]["image"], settings["style"]["size"])
        network = module.network.eval()
        figures = measure(network, photos, data.open_validation_photo, style, settings["final_size"])
        files.card["fidelity"] = figures
        print(
            f"\nOn held-out photographs: content kept {figures['content']:.2f} (the photograph: 1), style distance "
            f"{figures['style']:.2f} (the photograph: {figures['photograph_style']:.2f}, the painting: 0)."
        )
    files.write_model(trainer, module)
    model = folder / MODEL
    log_hyperparameters(trainer, settings, files.metrics)
    print(f"\n{trainer.global_step} of {settings['trainer']['max_steps']} steps in {files.seconds / 60:.1f} minutes.")
    if guard.skipped:
        halved = f" The learning rate was halved {guard.halvings} times." if guard.halvings else ""
        print(f"Steps skipped because a loss was not finite: {guard.skipped}.{halved}")
    if bad := sorted(callbacks[SkippedPhotos].paths):
        names = ", ".join(bad[:5]) + (" ..." if len(bad) > 5 else "")
        print(one_line(f"Photographs that could not be read: {len(bad)}: {names}"))
    if settings["publish"] is not None:
        model = publish(model, settings["publish"])
    if received is not None:
        print(
            f"Stopped by {signal.Signals(received).name}; {LAST} and {MODEL} are saved. "
            f"Go on with: the same command and ckpt_path={folder / LAST}"
        )
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
    try:
        target = check_publishable(name, folder)
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as beside:
            copy = Path(beside, target.name)
            shutil.copyfile(model, copy)
            with open(copy, "rb+") as file:
                os.fsync(file.fileno())
            try:
                os.link(copy, target)  # whole, and only one can make it
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                check_publishable(name, folder)
                os.replace(copy, target)
    except (InputError, OSError) as error:  # FileExistsError, too: somebody was faster
        raise InputError(f"publish={name}: {error} The model itself is saved as {model}.") from None
    return target


def check_publishable(name: str, folder: Path = Path("checkpoints")) -> Path:
    """Where :func:`publish` would put a model; asked before the training, not hours later.

    Raises:
        InputError: the name is taken, or is more than a name.
    """
    target = folder / f"{name}.ckpt"
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise InputError(f"publish={name!r}: expected a plain name, for a file in {folder}/.")
    if target.exists():
        raise InputError(f"publish={name}: {target} exists and is not replaced; choose another name.")
    return target


def log_hyperparameters(trainer: pl.Trainer, settings: dict[str, Any], metrics: dict[str, float]) -> None:
    """Settings and final figures for TensorBoard's hparams tab."""

    final = {f"final/{key}": value for key, value in metrics.items() if key.count("/") == 1}
    for logger in trainer.loggers:
        if isinstance(logger, EventLogger):
            logger.log_hyperparams(
                {name: str(value) for name, value in flat(settings).items()}, final, trainer.global_step
            )
            logger.finalize("success")
