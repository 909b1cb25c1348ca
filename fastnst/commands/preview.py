"""The look of a style before it is trained, by optimising one picture with exactly the objective of training.

fastnst preview style=mosaic loss.style_weight=20 (options of the objective: as for fastnst train)
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fastnst.command_line import ctrl_c_raises
from fastnst.commands.hydra_command import run_command
from fastnst.commands.typed_settings import typed
from fastnst.errors import InputError, require_whole
from fastnst.settings import PreviewSettings


def preview(config: DictConfig) -> None:
    if "data" in config and OmegaConf.is_missing(config.data, "root"):
        config.data.root = None  # only training needs it
    settings = typed(config, PreviewSettings)
    require_whole("steps", settings.steps, 1)

    from tqdm import tqdm

    from fastnst.data.sources import find_photo
    from fastnst.hardware import choose_device
    from fastnst.images.grids import labelled_grid
    from fastnst.images.reading import read_picture
    from fastnst.images.saving import savable_extensions, save_image
    from fastnst.losses.from_settings import build_loss_network, build_objective, with_own_terms
    from fastnst.optimization.pyramid import optimize_coarse_to_fine

    ctrl_c_raises()
    path = find_photo(settings.content)
    content = read_picture(path, settings.size, "size")
    style = read_picture(settings.style.one_image(), settings.style.size, "style.size")
    name = f"{path.stem}_{settings.style.name}_{time.strftime('%Y-%m-%d_%H-%M-%S')}.png"
    output = Path("outputs/preview", name) if settings.output is None else Path(settings.output)
    if output.suffix.lower() not in savable_extensions():
        raise InputError(f"output={output}: expected one of {', '.join(savable_extensions())} at its end.")
    alone = output.with_stem(f"{output.stem}_picture")
    if taken := [path for path in (output, alone) if path.exists()]:
        raise InputError(f"{taken[0]} exists and is not replaced: give another name as output=.")
    device = choose_device("auto")
    plain = asdict(settings)
    plain["loss"] = with_own_terms(plain["loss"])
    vgg = build_loss_network(plain).to(device)
    # A small picture first: the large shapes cost a quarter there; what counts is the objective at the last size.
    size, steps = settings.size, settings.steps
    sizes = [size // 2, size] if size // 2 >= 2 * vgg.minimum_size else [size]
    with tqdm(desc="Preview", total=len(sizes) * steps, unit="step", file=sys.stdout, dynamic_ncols=True) as bar:
        result = optimize_coarse_to_fine(
            lambda scale: build_objective(vgg, style, plain["loss"], scale),
            content.to(device),
            content.to(device),
            sizes,
            steps,
            callback=lambda iteration, objective, picture: bar.update(iteration - bar.n),
        )
    picture = result.picture.cpu()
    grid = labelled_grid([[content, picture, style]], [path.stem, "preview", settings.style.name])
    output.parent.mkdir(parents=True, exist_ok=True)
    save_image(grid, output)
    save_image(picture, alone)
    loss = build_objective(vgg, style, plain["loss"])
    terms = loss(picture[None].to(device), content[None].to(device)).weighted
    print(
        f"Objective {result.objective:.4g}: " + ", ".join(f"{key} {value.item():.4g}" for key, value in terms.items())
    )
    print(f"Preview: {output}", flush=True)
    if result.stopped == "interrupted":
        raise SystemExit(130)


def main(arguments: list[str]) -> None:
    run_command(preview, "preview", PreviewSettings, arguments)
