"""Pictures while training: a grid in TensorBoard and as PNG in the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from fastnst.data.photos import OpenPhoto
from fastnst.errors import InputError, require_whole
from fastnst.images.grids import labelled_grid
from fastnst.images.reading import open_image
from fastnst.images.resizing import resize_short_side
from fastnst.images.saving import save_image
from fastnst.images.tensors import to_tensor
from fastnst.training.callbacks.output_watch import OutputWatch
from fastnst.training.callbacks.tensorboard import EventLogger
from fastnst.training.module import StyleTransferModule


def fixed_pictures(photos: Sequence[Path], size: int, open_photo: OpenPhoto = open_image) -> dict[str, Tensor]:
    """What every preview shows: some photographs, and three sheets on which blotches show first.

    Returns:
        ``{name: (3, size, size)}``: the photographs cut to squares; grey, white, a ramp from black to white.
    """
    pictures = {}
    for path in photos:
        try:
            photo = resize_short_side(to_tensor(open_photo(path, draft_size=size)), size)
        except InputError:  # training names it when it comes to it
            continue
        top, left = (photo.shape[1] - size) // 2, (photo.shape[2] - size) // 2
        pictures[path.stem] = photo[:, top : top + size, left : left + size]
    pictures["grey"] = torch.full((3, size, size), 0.5)
    pictures["white"] = torch.ones(3, size, size)
    pictures["ramp"] = torch.linspace(0, 1, size).expand(3, size, size).clone()
    return pictures


def photos_to_show(data: Any) -> tuple[list[Path], OpenPhoto]:
    """Photographs of a data module for previews, held out where some are, and what reads them."""
    if data.validation_paths:
        return data.validation_paths, data.open_validation_photo
    return data.training_paths, data.open_photo


class Drawings(pl.Callback):
    """Writes what :meth:`grid` draws, at some early steps and then every so often.

    Args:
        folder: ``step_000100.png`` and so on are written here, ``latest.png`` is always the newest.
        every_n_steps: 0 for none but the last.
        early_steps: it is also drawn at these.
    """

    def __init__(self, folder: Path, every_n_steps: int, early_steps: Sequence[int]) -> None:
        require_whole("preview_every", every_n_steps, 0)
        self.folder = folder
        self.every_n_steps = every_n_steps
        self.early_steps = early_steps
        self._last_step = -1

    def grid(self, module: Any, step: int) -> Tensor:
        """The picture (3, H, W) of the module's network."""
        raise NotImplementedError

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step in self.early_steps or (self.every_n_steps and step % self.every_n_steps == 0):
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.draw(trainer, pl_module)

    @torch.no_grad()
    def draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the grid."""
        step = trainer.global_step
        if not trainer.is_global_zero or step == self._last_step:
            return
        self._last_step = step
        grid = self.grid(pl_module, step)
        try:
            for name in (f"step_{step:06d}.png", "latest.png"):
                save_image(grid, self.folder / name, overwrite=True)
        except InputError as error:  # a full disk: the training is worth more
            rank_zero_warn(f"step {step}: preview left out: {error}")
        for logger in trainer.loggers:
            if isinstance(logger, EventLogger):
                logger.log_picture("previews", grid, step)


class Previews(Drawings):
    """Draws content above stylized, beside the style.

    Of many styles each has a row, with fewer pictures.

    Args:
        folder, every_n_steps: see :class:`Drawings`.
        pictures: from :func:`fixed_pictures`.
        styles: the style pictures (3, H, W) by name.
        early_steps: of one style.
        watch: sees the stylized pictures too, and warns.
    """

    def __init__(
        self,
        folder: Path,
        pictures: dict[str, Tensor],
        styles: Mapping[str, Tensor],
        every_n_steps: int,
        early_steps: Sequence[int] = (1, 10, 25, 50),
        watch: OutputWatch | None = None,
    ) -> None:
        super().__init__(folder, every_n_steps, early_steps if len(styles) == 1 else ())
        self.photos = len(pictures) - 3  # then come the sheets
        if len(styles) > 1:
            shown = [*list(pictures)[: min(self.photos, 2)], "grey"]
            self.photos, pictures = len(shown) - 1, {name: pictures[name] for name in shown}
        self.names = list(pictures)
        self.contents = torch.stack(list(pictures.values()))
        self.styles = styles
        self.watch = watch

    def grid(self, module: StyleTransferModule, step: int) -> Tensor:
        """Stylize the fixed pictures."""
        rows: list[list[Tensor | None]] = [[*self.contents, None]]
        for number, picture in enumerate(self.styles.values()):
            shares = module.shares([number]) if module.styles else None
            stylized = torch.cat(
                [module.network(one.to(module.device), style=shares).cpu() for one in self.contents.split(1)]
            )
            if self.watch is not None:
                self.watch.examine(stylized[: self.photos], step)
            rows.append([*stylized.clamp(0, 1), picture])
        if len(self.styles) == 1:
            rows[0][-1] = rows[1].pop()
        return labelled_grid(
            rows,
            [*self.names, "style"],
            ["content", *(self.styles if module.styles else ["stylized"])],
            cell=max(64, self.contents.shape[-1]),
        )
