"""The door to networks that enlarge: whole or in tiles, with the result's size looked at first."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.reading import MAX_PIXELS
from fastnst.models.model_file import EnlargingModel, find_model, load_enlarger
from fastnst.stylization.controls import Controls
from fastnst.stylization.digest import digest
from fastnst.stylization.tiles.tiled_run import Progress, tiles

DEFAULT_TILE = 768
"""Side in pixels of the tiles of larger pictures: 600 MB at its peak with 32 channels and a factor of 4."""


class Enlarger:
    """Enlarges pictures of any size; it is called as a :class:`~fastnst.stylization.stylizer.Stylizer` is.

    Args:
        model: from :func:`fastnst.models.model_file.load_enlarger`, or a path or name for it.
        device: as for a Stylizer.
        tile: side in pixels, of the given picture, of the tiles that it is cut into where it is larger; None:
            :data:`DEFAULT_TILE`. The network sees a limited surrounding, and tiles overlap by it: they equal the whole.
        most_pixels: larger results are refused.

    Raises:
        InputError: the model cannot be found or read or paints a style, or ``tile`` has no meaning.
    """

    def __init__(
        self,
        model: EnlargingModel | str | os.PathLike,
        device: str | torch.device | None = None,
        *,
        tile: int | None = None,
        most_pixels: int = MAX_PIXELS,
    ) -> None:
        self.model = model if isinstance(model, EnlargingModel) else load_enlarger(find_model(os.fspath(model)))
        if tile is not None and tile < 1:
            raise InputError(f"tile={tile}: expected a side in pixels, for instance {DEFAULT_TILE}.")
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.network = self.model.network.to(self.device)
        self.factor, self.tile, self.most_pixels = self.network.factor, tile or DEFAULT_TILE, most_pixels

    def digest(self) -> str:
        """A short text for the network's weights."""
        return digest([self.network])

    @torch.inference_mode()
    def __call__(self, picture: Tensor, controls: Controls | None = None, progress: Progress | None = None) -> Tensor:
        """Enlarge one picture.

        Args:
            picture: (3, H, W), RGB in [0, 1], any size from 1x1 up.
            controls: only ``max_side`` counts, to which it is reduced first.
            progress: is told the finished part from 0 to 1.

        Returns:
            (3, factor H, factor W), in [0, 1], on the CPU.

        Raises:
            InputError: the result would be larger than ``most_pixels``.
        """
        picture = picture.cpu() if controls is None else controls.reduce(picture.cpu())
        (height, width), factor = picture.shape[-2:], self.factor
        if height * width * factor**2 > self.most_pixels:
            raise InputError(
                f"{width} x {height} pixels enlarged by {factor} are {height * width * factor**2:,}; the limit is "
                f"{self.most_pixels:,}: make the picture smaller first (max_side) or raise max_pixels."
            )
        enlarged = torch.empty(3, height * factor, width * factor)
        parts = list(tiles(height, width, self.tile, self.network.reach))
        for number, tile in enumerate(parts, start=1):
            seen, (rows, columns) = picture[:, tile.seen[0], tile.seen[1]], tile.core
            result = tile.crop(self.network(seen[None].to(self.device))[0], factor).clamp(0, 1)
            enlarged[:, rows.start * factor : rows.stop * factor, columns.start * factor : columns.stop * factor] = (
                result
            )
            if progress is not None:
                progress(number / len(parts))
        return enlarged
