"""Optimise the pixels of one picture: fastnst optimize content=photo.jpg style=mosaic (options: configs/)."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fastnst.command_line import ctrl_c_raises
from fastnst.commands.hydra_command import run_command
from fastnst.commands.typed_settings import typed
from fastnst.errors import InputError, require_whole
from fastnst.settings import OptimizeSettings

if TYPE_CHECKING:
    from torch import Tensor

FINISHED: list[tuple[Path, dict[str, str], Tensor]] = []
"""Of a sweep, for the contact sheet: run folder, options, result."""


def run(settings: OptimizeSettings, folder: Path) -> tuple[str, Tensor]:
    """One optimisation: why it ended, and the result."""
    require_whole("seed", settings.seed, 0)
    require_whole("log_every", settings.log_every, 1)
    require_whole("strip_pictures", settings.strip_pictures, 0)

    import torch

    from fastnst.data.sources import find_photo, sample_photos
    from fastnst.hardware import choose_device
    from fastnst.images.color import COLOR_MODES, apply_color_mode, match_colors
    from fastnst.images.reading import read_image, read_picture
    from fastnst.images.resizing import resize_short_side
    from fastnst.losses.from_settings import build_loss_network, build_objective, with_own_terms
    from fastnst.optimization.gatys import check_options, check_pictures
    from fastnst.optimization.pyramid import check_sizes, optimize_coarse_to_fine
    from fastnst.optimization.record import CONFIG, Record, open_folder
    from fastnst.optimization.starts import STARTS, starting_picture

    ctrl_c_raises()
    sizes = settings.size if isinstance(settings.size, list) else [settings.size]
    steps = check_sizes(sizes, settings.steps)
    if settings.colors not in COLOR_MODES:
        raise InputError(f"colors={settings.colors!r}: expected one of {', '.join(COLOR_MODES)}.")
    content = read_picture(find_photo(settings.content), sizes[-1], "size")
    style = read_picture(settings.style.one_image(), settings.style.size, "style.size")
    device = choose_device(settings.device)
    if settings.colors == "match":
        style = match_colors(style, content)
    if not 0 <= settings.noise <= 1:
        raise InputError(f"noise={settings.noise!r}: expected a number from 0 to 1.")
    if settings.start in STARTS or not Path(settings.start).is_file():
        start = starting_picture(settings.start, content, style, settings.seed, settings.noise)
    else:
        start = read_image(settings.start)
    photos = (
        [read_picture(path, 224, "size") for path in sample_photos()] if settings.activations == "unit_mean" else []
    )
    plain = asdict(settings)
    loss = with_own_terms(plain["loss"])
    vgg = build_loss_network({**plain, "loss": loss}, photos=photos).to(device)
    # What is wrong shows before the run folder is made, and at the smallest size.
    names = ("optimizer", "learning_rate", "schedule", "pixel_range", "line_search", "stall_tolerance", "stall_window")
    options = {name: plain[name] for name in names}
    check_options(**options)
    smallest = resize_short_side(content, sizes[0])
    check_pictures(build_objective(vgg, style, loss, sizes[0] / sizes[-1]), smallest, smallest)
    open_folder(folder)
    OmegaConf.save(OmegaConf.create(plain), folder / CONFIG)
    print(f"Run folder: {folder}", flush=True)
    record = Record(folder, sum(steps), settings.strip_pictures, settings.log_every)
    try:
        result = optimize_coarse_to_fine(
            lambda scale: build_objective(vgg, style, loss, scale),
            content.to(device),
            start.to(device),
            sizes,
            steps,
            callback=record,
            **options,
        )
    except torch.OutOfMemoryError:
        record.close()
        raise InputError(f"size={sizes[-1]} does not fit into the memory of {device}: give a smaller size.") from None
    except BaseException:
        record.close()
        raise
    picture = result.picture.cpu()
    if settings.colors == "content":
        picture = apply_color_mode("content", picture, content)
    record.finish(picture, len(result.curve) - len(sizes), content=content, style=style)
    done = len(result.curve) - len(sizes)
    why = {"steps": "all steps done", "stalled": "the objective stalled", "interrupted": "Ctrl-C"}[result.stopped]
    print(f"{done} iterations ({why}); objective {result.objective:.4g}, first {result.curve[0]:.4g}.")
    print(f"Result: {folder / 'result.png'}\nStrip:  {folder / 'strip.png'}", flush=True)
    return result.stopped, picture


def optimize(config: DictConfig) -> None:
    settings = typed(config, OptimizeSettings)
    folder = Path(settings.output_dir)
    overrides = dict(one.split("=", 1) for one in HydraConfig.get().overrides.task if "=" in one)
    sweep = HydraConfig.get().mode is RunMode.MULTIRUN
    if sweep:
        settings.output_dir = str(folder := folder / f"{HydraConfig.get().job.num:02d}")
        print(" ".join(HydraConfig.get().overrides.task), flush=True)
    stopped, picture = run(settings, folder)
    if sweep:
        FINISHED.append((folder, overrides, picture))
    if stopped == "interrupted":
        raise SystemExit(130)


def draw_contact_sheet() -> None:
    """After a sweep, also one that was ended early."""
    if FINISHED:
        from fastnst.optimization.record import contact_sheet

        path = contact_sheet(FINISHED[0][0].parent, [(overrides, picture) for _, overrides, picture in FINISHED])
        print(f"Contact sheet: {path}", flush=True)


def main(arguments: list[str]) -> None:
    started = time.strftime("%Y-%m-%d_%H-%M-%S")
    OmegaConf.register_new_resolver("start_time", lambda: started, replace=True)  # one for all runs of a sweep
    FINISHED.clear()
    try:
        run_command(optimize, "optimize", OptimizeSettings, arguments)
    finally:
        draw_contact_sheet()
