"""Pictures while a network learns to enlarge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from fastnst.data.photos import OpenPhoto
from fastnst.errors import InputError
from fastnst.images.grids import labelled_grid
from fastnst.images.resizing import resize
from fastnst.images.tensors import to_tensor
from fastnst.training.callbacks.previews import Drawings
from fastnst.training.steps.super_resolution import SuperResolutionModule


def middles(photos: Sequence[Path], size: int, open_photo: OpenPhoto) -> dict[str, Tensor]:
    """The middle (3, size, size) of each photograph that can be read and is as large, pixel by pixel."""
    pictures = {}
    for path in photos:
        try:
            photo = to_tensor(open_photo(path))
        except InputError:  # training names it when it comes to it
            continue
        top, left = (photo.shape[1] - size) // 2, (photo.shape[2] - size) // 2
        if min(top, left) >= 0:
            pictures[path.stem] = photo[:, top : top + size, left : left + size]
    return pictures


class EnlargedPreviews(Drawings):
    """Draws low resolution, bicubic enlargement, ours and the original beside each other, a row for each picture.

    Args:
        folder, every_n_steps: see :class:`~fastnst.training.callbacks.previews.Drawings`.
        pictures: originals (3, H, W) by name.
    """

    def __init__(self, folder: Path, every_n_steps: int, pictures: dict[str, Tensor]) -> None:
        super().__init__(folder, every_n_steps if pictures else 0, ())
        self.pictures = pictures

    def draw(self, *arguments: object) -> None:
        if self.pictures:
            super().draw(*arguments)  # type: ignore[arg-type]

    def grid(self, module: SuperResolutionModule, step: int) -> Tensor:
        """Enlarge the pictures, with the running statistics of a network that normalises."""
        rows, network, cell = [], module.network, 64
        network.eval()
        for number, picture in enumerate(self.pictures.values()):
            low, original = module.pair(picture[None].to(module.device), number)
            ours = network(low).float().clamp(0, 1)
            squares = low.repeat_interleave(network.factor, 2).repeat_interleave(network.factor, 3)
            rows.append([one[0].cpu() for one in (squares, resize(low, *original.shape[-2:]), ours, original)])
            cell = max(cell, *original.shape[-2:])
        network.train()
        return labelled_grid(rows, ["low resolution", "bicubic", "ours", "original"], list(self.pictures), cell)
