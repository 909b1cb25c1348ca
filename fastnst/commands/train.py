"""Train a style: fastnst train style=mosaic (every option: configs/, or --help)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # torch's threads soon leave the cores to fastnst/convolution.py's

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fastnst.command_line import ctrl_c_raises
from fastnst.commands.hydra_command import run_command
from fastnst.commands.typed_settings import typed
from fastnst.errors import InputError, require_whole
from fastnst.settings import EnlargeTrainSettings, TrainerSettings, TrainSettings
from fastnst.writing import written_whole

RUN_FOLDER = "FASTNST_RUN_FOLDER"
"""Environment variable by which the first process of a run tells those that it starts its folder."""
SWEEP_FOLDER = "FASTNST_SWEEP_FOLDER"
"""Environment variable by which a sweep (`-m`) tells its jobs, in whatever process, where to leave word."""


def write_settings(plain: dict[str, Any], path: Path) -> None:
    with written_whole(path, advice="make room or give another output_dir") as beside:
        OmegaConf.save(OmegaConf.create(plain), beside)


def train(settings: TrainSettings | EnlargeTrainSettings) -> Path:
    """Train; returns the run folder."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        settings.output_dir += f"_{HydraConfig.get().job.num}"
        if settings.trainer.devices != 1 and settings.trainer.strategy == "ddp":
            raise InputError("a sweep (-m) trains each job on one device: use trainer=free_gpu, or one run at a time.")
    require_whole("seed", settings.seed, 0)
    require_whole("trainer.max_steps", settings.trainer.max_steps, 1)
    require_whole("preview_size", settings.preview_size, 16)

    import pytorch_lightning as pl

    from fastnst.models.publishing import check_publishable
    from fastnst.training.build import build_callbacks, build_data, build_own_callbacks, build_task
    from fastnst.training.console import keep_quiet
    from fastnst.training.ending import finish
    from fastnst.training.machine.out_of_memory import out_of_memory_says_what_to_lower
    from fastnst.training.machine.processes import GO_ON, announce_dead_processes, is_first_process, lost_process
    from fastnst.training.machine.speed_up import speed_up
    from fastnst.training.resume.resumption import find_resume_point
    from fastnst.training.resume.run_folder import find_checkpoint, open_run_folder, set_aside
    from fastnst.training.trainer import build_trainer, fit

    ctrl_c_raises()
    keep_quiet()
    announce_dead_processes()
    first_process = is_first_process()
    if first_process:
        os.environ[RUN_FOLDER] = settings.output_dir
    settings.output_dir = os.environ.get(RUN_FOLDER, settings.output_dir)
    folder = Path(settings.output_dir)
    resume = None
    if settings.ckpt_path is not None:
        given = any(override.startswith("output_dir=") for override in HydraConfig.get().overrides.task)
        resume = find_checkpoint(settings.ckpt_path, folder, given)
        folder = folder if given or resume is None else resume.parent
        settings.output_dir = str(folder)
    if settings.publish is not None:
        check_publishable(settings.publish)
    pl.seed_everything(settings.seed, verbose=False)
    task = build_task(settings)
    data = build_data(settings)
    module = task.module()
    data.prepare_data()
    data.setup("fit")
    if settings.initial is not None and resume is None:
        task.begin(module, settings.initial, data)  # type: ignore[arg-type]  # its own
    plain = asdict(settings)
    command = " ".join(["fastnst train", *HydraConfig.get().overrides.task])
    callbacks = build_callbacks(settings, command, data, task, folder)
    every_callback = [*callbacks, *build_own_callbacks(settings)]
    trainer = build_trainer(settings.trainer, folder, every_callback, settings.validate_every)
    point = None
    if resume is not None:
        point = find_resume_point(resume, task.name, task.picture, module, plain, trainer)
    speed_up(module, settings.trainer)
    held = None
    if first_process:
        held = open_run_folder(folder, resuming=point is not None)
        if point is not None and point.damaged is not None:
            print(f"warning: {point.problem} Resuming from the one before it.", file=sys.stderr)
            if point.damaged.parent == folder:
                set_aside(point.damaged)
        write_settings(plain, folder / "config.yaml")
        photographs = f"{len(data.training_paths)} photographs" if data.training_paths else "photographs"
        print(f"Training {task.name} on {photographs} ({data.source_name}).")
        print(f"Run folder: {folder}", flush=True)
        if point is not None:
            print(point.describe(plain), flush=True)
    if point is not None and (changed := point.changes(plain)):
        callbacks.files.changes = [{"step": point.step, "changed": changed}]
    try:
        with out_of_memory_says_what_to_lower(settings.data.batch_size, settings.data.image_size):
            fit(trainer, module, data, callbacks.stop, None if point is None else point.path)
            finish(trainer, module, data, callbacks, settings, task, folder)
    except RuntimeError as error:
        if trainer.world_size == 1 or not lost_process(error):
            raise
        print(f"error: another process of this training does not answer: {GO_ON}.", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    finally:
        if held is not None:
            held.close()
    return folder


@contextmanager
def own_device(options: TrainerSettings) -> Iterator[None]:
    """Settle ``trainer.devices=free``."""
    if options.devices != "free":
        yield
        return
    from fastnst.training.machine.devices import free_device

    with free_device() as number:
        options.devices = 1 if number is None else [number]
        yield


def leave_word(sweep: str | None, word: dict[str, Any]) -> None:
    """For the page of a sweep: how this job ended, or will have ended if nobody comes to say another word."""
    if sweep is not None:
        job = HydraConfig.get()
        told = json.dumps({**word, "overrides": list(job.overrides.task)})
        with written_whole(Path(sweep, f"{job.job.num:04}.json")) as beside:
            beside.write_text(told, encoding="utf-8")


def kind_of(config: DictConfig) -> type[TrainSettings] | type[EnlargeTrainSettings]:
    """What a configuration is of: only enlarging has a factor."""
    return EnlargeTrainSettings if "factor" in config else TrainSettings


def run_job(config: DictConfig) -> None:
    """One training, alone or as a job of a sweep, whose other jobs go on after an error."""
    sweep = os.environ.get(SWEEP_FOLDER) if HydraConfig.get().mode is RunMode.MULTIRUN else None
    word: dict[str, Any] = {"folder": None, "problem": "it was killed"}
    leave_word(sweep, word)
    word["problem"] = "it was stopped"
    try:
        settings = typed(config, kind_of(config))
        with own_device(settings.trainer):
            word = {"folder": str(train(settings)), "problem": ""}
    except InputError as error:
        word["problem"] = " ".join(str(error).split())
        if sweep is None:
            raise
        print(f"error: {word['problem']}", file=sys.stderr, flush=True)
    finally:
        leave_word(sweep, word)


def main(arguments: list[str]) -> None:
    if not {"-m", "--multirun"} & set(arguments):
        run_command(run_job, "train", TrainSettings, arguments)
        return
    sweep = Path("outputs", "multirun", datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    os.environ[SWEEP_FOLDER] = str(sweep.absolute())
    try:
        run_command(run_job, "train", TrainSettings, arguments)
    finally:
        if sweep.is_dir():  # a job has begun
            from fastnst.training.sweep_page import finish_sweep

            finish_sweep(sweep)
