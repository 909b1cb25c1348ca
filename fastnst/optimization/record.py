"""What an optimisation leaves behind: the picture, a strip of how it came about, curves, and a bar while it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from fastnst.errors import InputError
from fastnst.images.grids import labelled_grid
from fastnst.images.saving import save_image
from fastnst.losses import Objective

RESULT, STRIP, CONFIG = "result.png", "strip.png", "config.yaml"


def open_folder(folder: Path) -> None:
    """Make the run folder.

    Raises:
        InputError: it holds a run already, or cannot be made.
    """
    taken = [name for name in (RESULT, STRIP, CONFIG) if (folder / name).exists()]
    if taken:
        raise InputError(f"output_dir={folder} already holds {taken[0]}, which is not replaced: give another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output_dir={folder} cannot be made ({error.strerror}): give another folder.") from None


class Record:
    """A callback for :func:`~fastnst.optimization.gatys.optimize_picture` that shows and keeps what happens.

    Args:
        folder: made by :func:`open_folder`.
        steps: iterations in all.
        pictures: how many intermediate pictures the strip has, closer together at the beginning, where most happens.
        log_every: iterations between points of the TensorBoard curves.
        label: before the bar.
    """

    def __init__(
        self, folder: Path, steps: int, pictures: int = 8, log_every: int = 1, label: str = "Optimising"
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter  # seconds to import

        self.folder = folder
        self.log_every = log_every
        self.strip: dict[int, Tensor] = {}
        self.shown_at = {round(steps * (number / max(1, pictures - 1)) ** 2) for number in range(pictures)}
        self.writer = SummaryWriter(str(folder))
        self.bar = tqdm(
            desc=label,
            total=steps,
            unit="step",
            file=sys.stdout,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stdout.isatty() else 10,  # seconds; a log file wants fewer lines
        )

    def __call__(self, iteration: int, objective: Objective, picture: Tensor) -> None:
        terms = {name: value.item() for name, value in objective.weighted.items()}
        short = {"total_variation": "tv"}
        self.bar.set_postfix({short.get(name, name): f"{value:.4g}" for name, value in terms.items()}, refresh=False)
        self.bar.update(iteration - self.bar.n)
        if iteration % self.log_every == 0 or iteration == self.bar.total:
            self.writer.add_scalar("total", objective.total.item(), iteration)
            for name, value in terms.items():
                self.writer.add_scalar(f"weighted/{name}", value, iteration)
            for name, term in {**objective.terms, **objective.layers}.items():
                self.writer.add_scalar(f"terms/{name}", term.item(), iteration)
        if iteration in self.shown_at:
            self.strip[iteration] = picture.cpu()
            self.writer.add_image("picture", self.strip[iteration], iteration)

    def finish(self, picture: Tensor, iterations: int, **others: Tensor) -> None:
        """Write the result and the strip.

        Args:
            picture: the result (3, H, W) in [0, 1].
            iterations: done when the optimisation ended.
            others: further pictures to show at the end of the strip, by name: content and style.
        """
        self.bar.close()
        shown = {f"{number}": one for number, one in sorted(self.strip.items()) if number < iterations}
        shown |= {f"best of {iterations}": picture.cpu()} | {name: one.cpu() for name, one in others.items()}
        cell = max(64, min(256, max(picture.shape[-2:])))
        save_image(picture, self.folder / RESULT, overwrite=True)
        save_image(labelled_grid([list(shown.values())], list(shown), cell=cell), self.folder / STRIP, overwrite=True)
        self.writer.add_image("result", picture.cpu(), iterations)
        self.writer.close()

    def close(self) -> None:
        """Without a result."""
        self.bar.close()
        self.writer.close()


def contact_sheet(folder: Path, runs: list[tuple[dict[str, Any], Tensor]], cell: int = 256) -> Path:
    """Lay the results of a sweep out in a labelled grid, as PNG and in TensorBoard, from which a person can choose.

    Args:
        folder: where ``contact_sheet.png`` goes.
        runs: what was varied, ``{"loss.style_weight": "5", ...}``, with the picture (3, H, W). The last option varies
            along the rows, the others down the columns.
        cell: side of a cell in pixels.

    Returns:
        The file written.
    """
    from torch.utils.tensorboard import SummaryWriter

    names = [name for name in runs[0][0] if len({values.get(name) for values, _ in runs}) > 1] or list(runs[0][0])
    *down, across = names or [""]
    cells: dict[str, dict[str, Tensor]] = {}
    for values, picture in runs:
        row = ", ".join(f"{_short(name)} {values.get(name)}" for name in down) or "result"
        cells.setdefault(row, {})[f"{_short(across)} {values.get(across, '')}"] = picture
    columns = list(dict.fromkeys(name for row in cells.values() for name in row))
    rows = [[row.get(column) for column in columns] for row in cells.values()]
    sheet = labelled_grid(rows, columns, list(cells), cell)
    path = folder / "contact_sheet.png"
    folder.mkdir(parents=True, exist_ok=True)
    save_image(sheet, path, overwrite=True)
    with SummaryWriter(str(folder)) as writer:
        writer.add_image("contact_sheet", sheet, 0)
    return path


def _short(name: str) -> str:
    """``loss.style_weight`` becomes ``style weight``; ``style.size`` keeps both words."""
    return name.removeprefix("loss.").replace(".", " ").replace("_", " ")
