"""Pictures of any size in bounded memory, layer by layer, so that tiles equal the whole picture.

Instance normalisation needs the mean and variance of the whole picture, and each layer's depend on the layers before.
So one convolution after the other passes over all tiles: it reads the map before it, writes its own to disk and
measures its statistics exactly. Maps of the picture's full size are not stored but computed twice, because they are
the largest; that costs an eighth more multiplications than the whole picture at once. Tiles overlap by what the
convolutions of one pass see, inside the picture of real neighbours, and reflect only at the picture's own border.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks import TransformerNetwork
from fastnst.networks.blocks import InstanceNorm
from fastnst.stylization.tiles.feature_map import FeatureMap
from fastnst.stylization.tiles.statistics import RunningStatistics

CELL = 4
"""Pixels at full size for one place in the maps of the residual blocks; tiles and overlaps are whole cells."""

OVERLAP = 2
"""Cells that each pass sees beyond its tile: at most 9x9 and 3x3 convolutions at full size, 4 + 1 pixels."""

DEFAULT_TILE = 512
"""Side of a tile in pixels: 300 MB at its peak with 32 channels; larger ones are hardly faster."""

Progress = Callable[[float], None]
"""Is told the finished part of the work, from 0 to 1."""

Read = Callable[[slice, slice], Tensor]

Layers = Callable[[Tensor], Tensor]


class Tile(NamedTuple):
    """A rectangle in cells: where it starts and ends, without and with its overlap."""

    core: tuple[slice, slice]
    seen: tuple[slice, slice]

    def crop(self, x: Tensor, scale: int) -> Tensor:
        """Cut the overlap off (N, C, h, w) that has ``scale`` places along each cell."""
        (top, left), (bottom, right) = (
            [(side.start - seen.start) * scale for side, seen in zip(self.core, self.seen, strict=True)],
            [(side.stop - seen.start) * scale for side, seen in zip(self.core, self.seen, strict=True)],
        )
        return x[..., top:bottom, left:right]


def tiles(height: int, width: int, side: int, overlap: int = OVERLAP) -> Iterator[Tile]:
    """Cover ``height`` x ``width`` with squares of ``side``; overlaps end at the border. All in cells."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            yield Tile(
                (slice(top, bottom), slice(left, right)),
                (
                    slice(max(top - overlap, 0), min(bottom + overlap, height)),
                    slice(max(left - overlap, 0), min(right + overlap, width)),
                ),
            )


class TiledRun:
    """One picture through a network, tile by tile; equal to the whole picture at once but for rounding.

    Args:
        network: it is only read.
        picture: (3, H, W), RGB in [0, 1], at least 16x16.
        tile: side of a tile in pixels; rounded up to whole cells.
        device: where the tiles are computed; picture and result stay in main memory, feature maps on disk.
        progress: is told how far the work is.

    Raises:
        InputError: the temporary folder has no room.
    """

    def __init__(
        self,
        network: TransformerNetwork,
        picture: Tensor,
        tile: int = DEFAULT_TILE,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        self.network = network
        self.device = torch.device(device)
        self.picture = picture
        self.height, self.width = picture.shape[-2:]
        self.cells = math.ceil(self.height / CELL), math.ceil(self.width / CELL)
        self.tiles = list(tiles(*self.cells, math.ceil(tile / CELL)))
        self.progress = progress
        self.done, self.work = 0.0, 8.0 + 2.5 * len(self.network.residual)

    @torch.inference_mode()
    def run(self) -> Tensor:
        """The stylized picture (3, H, W), clamped to [0, 1], on the CPU."""
        network = self.network
        (first, after_first), (second, after_second), (third, after_third) = map(cut_before_norms, network.encoder)
        exhaust(self._measure(self._read_picture, first, after_first, scale=4))
        down = Piece([first, after_first, second])
        with self._convolve(self._read_picture, down, after_second, scale=2) as half:
            trunk = self._convolve(self._reader(half, 2, after_second), third, after_third, scale=1)
        with trunk:
            self._update(trunk, lambda tile: after_third(self._reader(trunk, 1)(*tile)))
            for block in network.residual.children():
                self._add_block(trunk, block)
            (up, after_up), (last, after_last) = map(cut_before_norms, network.decoder)
            half = self._convolve(self._reader(trunk, 1), up, after_up, scale=2, work=1.5)
        with half:
            read = self._reader(half, 2, after_up)
            exhaust(self._measure(read, last, after_last, scale=4, work=1.5))
            return self._paint(read, Piece([last, after_last, network.to_rgb]))

    def _add_block(self, trunk: FeatureMap, block: nn.Module) -> None:
        """Add a residual block's result to the trunk."""
        first, second, last = cut_before_norms(block.body)  # type: ignore[arg-type]
        with self._convolve(self._reader(trunk, 1), first, second, scale=1) as middle:
            end = self._convolve(self._reader(middle, 1), second, last, scale=1)
        with end:
            read, read_end = self._reader(trunk, 1), self._reader(end, 1, last)
            self._update(trunk, lambda tile: read(*tile) + read_end(*tile), work=0.5)

    def _read_picture(self, rows: slice, columns: slice) -> Tensor:
        """The network's input in these cells, as its ``convolve`` makes it of a whole picture."""
        top, left = rows.start * CELL, columns.start * CELL
        bottom, right = rows.stop * CELL, columns.stop * CELL
        part = self.picture[:, top:bottom, left:right].to(self.device)[None]
        x = 2.0 * self.network.grain(part, (top, left)) - 1.0
        return F.pad(x, (0, max(right - self.width, 0), 0, max(bottom - self.height, 0)), mode="reflect")

    def _reader(self, source: FeatureMap, scale: int, then: Piece | None = None) -> Read:
        """Reads cells of a map that has ``scale`` places along each cell, and applies what follows it."""

        def read(rows: slice, columns: slice) -> Tensor:
            x = source.read(times(rows, scale), times(columns, scale)).to(self.device)
            return x if then is None else then(x)

        return read

    def _convolve(self, read: Read, layers: Layers, then: Piece, scale: int, work: float = 1) -> FeatureMap:
        """Keep what ``layers`` make on disk, and the statistics of what is kept in the normalisation that follows."""
        result: FeatureMap | None = None
        for tile, part in self._measure(read, lambda x: layers(x).half().float(), then, scale, work):
            if result is None:
                result = FeatureMap(part.shape[1], *(scale * side for side in self.cells))
            result.write(times(tile.core[0], scale), times(tile.core[1], scale), part)
        assert result is not None
        return result

    def _measure(
        self, read: Read, layers: Layers, then: Piece, scale: int, work: float = 1
    ) -> Iterator[tuple[Tile, Tensor]]:
        """One pass over all tiles; after the last, ``then`` normalises with the statistics of what ``layers`` make."""
        statistics = RunningStatistics()
        for tile in self.tiles:
            part = tile.crop(layers(read(*tile.seen)), scale)
            statistics.add(part)
            yield tile, part
            self._report(work)
        then.statistics = statistics.result(self.device)

    def _update(self, target: FeatureMap, value: Callable[[tuple[slice, slice]], Tensor], work: float = 0.5) -> None:
        """Replace each tile of a map by a function of the same tile."""
        for tile in self.tiles:
            target.write(tile.core[0], tile.core[1], value(tile.core))
            self._report(work)

    def _paint(self, read: Read, layers: Layers) -> Tensor:
        """The last pass: pixels."""
        result = torch.empty(3, self.height, self.width)
        for tile in self.tiles:
            rows, columns = times(tile.core[0], CELL), times(tile.core[1], CELL)
            pixels = self.network.to_unit_range(tile.crop(layers(read(*tile.seen)), CELL))[0].clamp(0, 1)
            target = result[:, rows, columns]
            target.copy_(pixels[:, : target.shape[-2], : target.shape[-1]])
            self._report(2.5)
        return result

    def _report(self, work: float) -> None:
        self.done += work / len(self.tiles)
        if self.progress is not None:
            self.progress(min(self.done / self.work, 1.0))


class Piece:
    """Layers one after the other; a normalisation among them takes the statistics of the whole picture.

    Attributes:
        statistics: mean and variance, (1, C, 1, 1) each; None until they are measured.
    """

    def __init__(self, layers: Sequence[Layers]) -> None:
        self.layers = layers
        self.statistics: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, statistics=self.statistics) if isinstance(layer, InstanceNorm) else layer(x)
        return x


def cut_before_norms(layers: nn.Module) -> list[Piece]:
    """Cut a chain before each normalisation: what each makes is measured first, and normalised by the next piece."""
    chain = list(layers.children())
    edges = [0, *(index for index, layer in enumerate(chain) if isinstance(layer, InstanceNorm)), len(chain)]
    return [Piece(chain[start:end]) for start, end in itertools.pairwise(edges)]


def exhaust(steps: Iterator[object]) -> None:
    """Run to the end for what happens on the way."""
    for _ in steps:
        pass


def times(cells: slice, scale: int) -> slice:
    """Cells as places of a map that has ``scale`` of them along each cell."""
    return slice(cells.start * scale, cells.stop * scale)
