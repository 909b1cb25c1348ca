"""The end of a training run: the final figures, the model file, and what is said."""

from __future__ import annotations

import signal
import sys
from dataclasses import asdict
from pathlib import Path

import pytorch_lightning as pl

from fastnst.command_line import called
from fastnst.data.datamodule import PhotoDataModule
from fastnst.errors import one_line
from fastnst.models.publishing import publish
from fastnst.networks import OwnNetwork
from fastnst.settings import EnlargeTrainSettings, TrainSettings
from fastnst.training.build import Callbacks
from fastnst.training.callbacks.tensorboard import EventLogger
from fastnst.training.resume.resumption import flat
from fastnst.training.resume.run_folder import LAST, MODEL, style_path
from fastnst.training.steps.training_module import TrainingModule
from fastnst.training.tasks.enlarging_task import EnlargingTask
from fastnst.training.tasks.stylizing_task import StylizingTask

OWN_NETWORK = "fastnst.Stylizer(fastnst.load_model('{}', network=...)), see docs/extending.md"
"""No command line knows the class of a network of the user's own."""


def finish(
    trainer: pl.Trainer,
    module: TrainingModule,
    data: PhotoDataModule,
    callbacks: Callbacks,
    settings: TrainSettings | EnlargeTrainSettings,
    task: StylizingTask | EnlargingTask,
    folder: Path,
) -> None:
    """Measure the held-out photographs a last time, complete the model file, publish, and say where everything lies.

    Raises:
        SystemExit: with 128 plus the signal's number where a signal ended the run.
    """
    received, files, guard = callbacks.stop.received, callbacks.files, callbacks.guard
    if data.validation_paths and received is None and callbacks.curves.measured_at != trainer.global_step:
        trainer.validate(module, datamodule=data, verbose=False)
    if not trainer.is_global_zero:
        return
    if received is not None and trainer.global_step == 0:
        print(f"Stopped by {signal.Signals(received).name} before the first step was done.", flush=True)
        sys.exit(128 + received)
    if received is None:
        print()
        task.conclude(module, data, files.card)  # type: ignore[arg-type]  # its own
    files.write_model(trainer, module)
    model = folder / MODEL
    log_hyperparameters(trainer, settings, files.metrics)
    print(f"\n{trainer.global_step} of {settings.trainer.max_steps} steps in {files.seconds / 60:.1f} minutes.")
    if received is None and (words := callbacks.convergence.words()) is not None:
        print(words)
    if guard.skipped:
        halved = f" The learning rate was halved {guard.halvings} times." if guard.halvings else ""
        print(f"Steps skipped because a loss was not finite: {guard.skipped}.{halved}")
    if bad := sorted(callbacks.skipped.paths):
        names = ", ".join(bad[:5]) + (" ..." if len(bad) > 5 else "")
        print(one_line(f"Photographs that could not be read: {len(bad)}: {names}"))
    if settings.publish is not None:
        model = publish(model, settings.publish)
    if received is not None:
        print(
            f"Stopped by {signal.Signals(received).name}; {LAST} and {MODEL} are saved. "
            f"Resume with: the same command and ckpt_path={folder / LAST}"
        )
    print(f"Pictures:      {folder / 'previews' / 'latest.png'}")
    print(f"TensorBoard:   tensorboard --logdir {folder.parent}")
    own = isinstance(module.network, OwnNetwork)
    how = OWN_NETWORK.format(model) if own else f"{called(task.script)} --model {model}"
    if isinstance(settings, TrainSettings) and settings.style_file:
        how = f"{called(task.script)} --model {settings.initial} --style {style_path(folder, task.name)}"
    print(f"{task.script.capitalize()} with:  {how}", flush=True)
    if received is not None:
        sys.exit(128 + received)


def log_hyperparameters(
    trainer: pl.Trainer, settings: TrainSettings | EnlargeTrainSettings, metrics: dict[str, float]
) -> None:
    """Settings and final figures for TensorBoard's hparams tab."""

    final = {f"final/{key}": value for key, value in metrics.items() if key.count("/") == 1}
    for logger in trainer.loggers:
        if isinstance(logger, EventLogger):
            logger.log_hyperparams(
                {name: str(value) for name, value in flat(asdict(settings)).items()}, final, trainer.global_step
            )
            logger.finalize("success")
