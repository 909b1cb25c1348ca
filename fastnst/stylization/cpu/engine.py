"""The network on the CPU with fewer multiplications and fewer passes over memory; its pixels stay the same.

What :class:`~fastnst.networks.TransformerNetwork` computes is rewritten, not approximated:

- A 3x3 convolution between many channels runs as Winograd's minimal filtering F(6x6, 3x3) (Lavin & Gray 2015,
  arXiv 1509.09308): 64 multiplications where the definition has 324. NNPACK, which is part of torch, has it.
- Nearest-neighbour upsampling repeats pixels, so the 3x3 convolution behind it meets each of them more than once. Its
  four phases (even and odd rows and columns) are 2x2 convolutions of the small map with sums of the kernel's weights:
  16 multiplications instead of 36.
- The last 9x9 convolution makes only 3 channels, of which vector units use a fraction. Even and odd rows and columns
  kept apart, it is a 5x5 convolution from four times the channels at half the size to the 12 values of 2x2 pixels.
- Instance normalisation followed by ReLU is, for a channel with scale s and shift h, s * max(x, -h/s) plus a constant,
  or with min for s < 0. The scale goes into the next convolution's weights. Constants, and the biases of the
  convolutions, are the same at every place, and the next normalisation takes them away. What remains is one clamp,
  which writes straight into the padded input of the next convolution.
- The picture goes through the network in bands, one on each processor core at a time
  (:mod:`fastnst.stylization.cpu.bands`), which meet after each convolution to add up the statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.convolution import convolution
from fastnst.networks import TransformerNetwork
from fastnst.networks.blocks import InstanceNorm, phases_of_upsampling
from fastnst.stylization.cpu.bands import Bands
from fastnst.stylization.cpu.borders import REFLECT, REFLECT_PHASES, REPLICATE, bordered, close, fill, interleave
from fastnst.stylization.cpu.kernels import kernel_of_phases
from fastnst.stylization.cpu.workers import Workers, workers

CANCELLATION = 256.0
"""Where a channel's squared mean is more than this many times its variance, E[x^2] - E[x]^2 in float32 loses digits
that could be seen: the variance is then taken from the differences."""


class Normalised(NamedTuple):
    """Instance normalisation and ReLU of a map as ``scale * clamp(map, low, high) + constant``, (C, 1, 1) each."""

    scale: Tensor
    low: Tensor
    high: Tensor | None
    constant: Tensor


class CpuEngine:
    """Runs one network on the CPU in float32, one picture at a time.

    Args:
        network: one that :meth:`takes`; its weights are read once, here.
    """

    def __init__(self, network: TransformerNetwork) -> None:
        self.network = network
        parts: Any = network  # mypy takes a Sequential's children for tensors
        self.encoder = [([conv.weight.detach()], conv.stride, norm) for conv, norm, _ in parts.encoder]
        self.residual = [kernels_and_norms(block.body) for block in parts.residual]
        self.decoder = [([phases_of_upsampling(conv.weight.detach())], norm) for _, conv, norm, _ in parts.decoder]
        self.to_rgb = kernel_of_phases(network.to_rgb.weight.detach())
        assert network.to_rgb.bias is not None
        self.bias = network.to_rgb.bias.detach().repeat_interleave(4)

    @staticmethod
    def takes(network: nn.Module) -> TypeGuard[TransformerNetwork]:
        """Whether a network is one for this engine: ours, on the CPU, in float32, upsampling by nearest neighbours.

        Half of its last kernel must be an even number of pixels (9x9 or 5x5), see :func:`kernel_of_phases`.
        """
        if type(network) is not TransformerNetwork or network.arguments["styles"] is not None:
            return False
        if network.arguments["upsampling"] != "nearest":
            return False
        if network.arguments["kernel"] not in (5, 9):
            return False
        return all(one.device.type == "cpu" and one.dtype == torch.float32 for one in network.parameters())

    @torch.inference_mode()
    def __call__(self, content: Tensor) -> Tensor:
        """What the network makes of (1, 3, H, W), RGB in [0, 1], from 16x16 up: the same shape."""
        team = workers()
        return team.run(partial(self._run, content, team))

    def _run(self, content: Tensor, team: Workers) -> Tensor:
        height, width = content.shape[-2:]
        bands = Bands(team, -(-height // 4), -(-width // 4))
        trunk = self._transform(*self._encode(self._centred(content, bands), bands), bands)
        stylized = content.new_empty(1, 3, height, width)

        def finish(z: Tensor, rows: slice) -> None:
            target = stylized[..., rows, :]
            target.copy_(self.network.to_unit_range(F.pixel_shuffle(z, 2)[..., : target.shape[-2], :width]))

        bands.map(finish, self._decode(trunk, bands), bands.rows(4))
        return stylized

    def _centred(self, content: Tensor, bands: Bands) -> list[Tensor]:
        """(1, 3, H, W) with the grain, without its mean, as bands (1, 3, h, W) of whole fours of rows and columns.

        The first normalisation takes the mean away anyway; without it an even picture keeps its digits.
        """
        height, width = content.shape[-2:]

        def grainy(rows: slice) -> Tensor:
            return 2.0 * self.network.grain(content[..., rows, :], (rows.start, 0)) - 1.0

        x = torch.cat(bands.map(grainy, bands.rows(4)), 2)
        x = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
        x -= x.mean((2, 3), keepdim=True)
        return [x[..., rows, :] for rows in bands.rows(4)]

    def _encode(self, maps: list[Tensor], bands: Bands) -> tuple[list[Tensor], Normalised]:
        """Bands (1, 3, h, W) to (1, C, h/4, W/4), and what is to be done to them."""
        last: Normalised | None = None
        for kernels, stride, norm in self.encoder:
            border = kernels[0].shape[-1] // 2
            maps, last = layer(bands, partial(clamped, maps, last, border), kernels, norm, last, stride)
        assert last is not None
        return maps, last

    def _transform(self, maps: list[Tensor], last: Normalised, bands: Bands) -> list[Tensor]:
        """The residual blocks: bands (1, C, h, W/4) to bands with a border of one pixel.

        The trunk stays where it is, and each band keeps what its neighbours' rows next to it have.
        """
        trunk = bands.map(partial(clamped, maps, last, 1, scaled=True))
        inner: list[Tensor] = []
        for first, norm, second, last_norm in self.residual:
            inner, middle = layer(bands, partial(added, trunk, inner, last), first, norm)
            inner, last = layer(bands, partial(clamped, inner, middle, 1), second, last_norm, middle)
        return bands.map(partial(added, trunk, inner, last, edges=REPLICATE))

    def _decode(self, trunk: list[Tensor], bands: Bands) -> list[Tensor]:
        """Bands (1, C, h + 2, W/4 + 2) to the last convolution's (1, 12, 2 h, W/2): 2x2 pixels of RGB at each place."""
        (first, first_norm), (second, second_norm) = self.decoder
        maps, last = layer(bands, trunk.__getitem__, first, first_norm, phases=4)
        maps, last = layer(bands, partial(interleaved, maps, last), second, second_norm, last, phases=4)
        kernel, border = self.to_rgb, self.to_rgb.shape[-1] // 2
        bias = self.bias + (kernel * last.constant.repeat(4, 1, 1)).sum((1, 2, 3))
        kernel = kernel * last.scale.repeat(4, 1, 1)

        def to_rgb(number: int) -> Tensor:
            return convolution(clamped(maps, last, border, number, phases=4), kernel, bias=bias)

        return bands.map(to_rgb)


def layer(
    bands: Bands,
    padded: Callable[[int], Tensor],
    kernels: list[Tensor],
    norm: InstanceNorm,
    last: Normalised | None = None,
    stride: tuple[int, int] = (1, 1),
    phases: int = 1,
) -> tuple[list[Tensor], Normalised]:
    """A convolution, and what is to be done to its result.

    Args:
        padded: gives a band by its number, (1, C, h + 2 border, W + 2 border).
        kernels: one, or a depthwise and a 1x1 one.
        last: of the normalisation before, whose scale the kernels take over.
        phases: into how many maps of the norm's channels the result is divided.
    """
    kernel, across = kernels[0], kernels[1:]
    if last is not None:
        kernel = kernel * (last.scale[:, None] if across else last.scale)

    def work(number: int) -> tuple[Tensor, Tensor]:
        x = padded(number)
        x = F.conv2d(F.conv2d(x, kernel, groups=x.shape[1]), across[0]) if across else convolution(x, kernel, stride)
        return x, sums(x, phases)

    results = bands.map(work)
    maps = [x for x, _ in results]
    return maps, normalised(norm, maps, [both for _, both in results], bands, phases)


def kernels_and_norms(body: nn.Sequential) -> tuple[list[Tensor], InstanceNorm, list[Tensor], InstanceNorm]:
    """Of a residual block, whose convolutions are whole or depthwise and 1x1."""
    kernels: list[list[Tensor]] = [[]]
    norms = []
    for layer in body:
        if isinstance(layer, InstanceNorm):
            norms.append(layer)
            kernels.append([])
        elif isinstance(layer, nn.Conv2d):
            kernels[-1].append(layer.weight.detach())
    return kernels[0], norms[0], kernels[1], norms[1]


def sums(x: Tensor, phases: int = 1) -> Tensor:
    """Of a map (1, phases * C, h, W) of C channels: (2, C), of its values and of their squares."""
    flat = x.view(phases, -1, x.shape[-2] * x.shape[-1])
    return torch.stack([flat.sum(2).sum(0), torch.linalg.vector_norm(flat, dim=2).square().sum(0)])


def normalised(norm: InstanceNorm, maps: list[Tensor], both: list[Tensor], bands: Bands, phases: int = 1) -> Normalised:
    """Of bands (1, phases * C, h, W) of a map of C channels, with the :func:`sums` of each."""
    count = phases * sum(x.shape[-2] * x.shape[-1] for x in maps)
    mean, squares = torch.stack(both).sum(0) / count
    variance = squares - mean.square()
    if len(few := (mean.square() > CANCELLATION * variance).nonzero()[:, 0]):

        def from_mean(x: Tensor) -> Tensor:
            return (x.view(phases, -1, x.shape[-2] * x.shape[-1])[:, few] - mean[few, None]).square_().sum((0, 2))

        variance[few] = torch.stack(bands.map(from_mean, maps)).sum(0) / count
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    dead = scale.abs() < 1e-20
    edge = torch.where(dead, 0.0, mean - norm.bias / scale)
    constant = torch.where(dead, norm.bias.relu(), -scale * edge)
    low = torch.where(scale > 0, edge, -torch.inf)
    high = torch.where(scale < 0, edge, torch.inf) if (scale <= 0).any() else None
    low, constant, scale = (one[:, None, None] for one in (low, constant, scale))
    return Normalised(scale, low, None if high is None else high[:, None, None], constant)


def clamp_into(last: Normalised, x: Tensor, target: Tensor) -> None:
    """Write ``clamp(x, low, high)`` to ``target``."""
    if last.high is None:
        torch.maximum(x, last.low, out=target)
    else:
        torch.clamp(x, last.low, last.high, out=target)


def clamped(
    maps: list[Tensor], last: Normalised | None, border: int, number: int, phases: int = 1, scaled: bool = False
) -> Tensor:
    """One of the bands (1, phases * C, h, W), clamped, with its border."""
    x = bordered(maps[number], border)
    for phase in range(phases):
        parts = [one.chunk(phases, 1)[phase] for one in maps]
        write = (lambda rows, target: target.copy_(rows)) if last is None else partial(clamp_into, last)
        fill(x.chunk(phases, 1)[phase], border, parts, number, write)
    close(x, border, REFLECT if phases == 1 else REFLECT_PHASES, number == 0, number == len(maps) - 1)
    return x if last is None or not scaled else x.mul_(last.scale)


def interleaved(maps: list[Tensor], last: Normalised, number: int) -> Tensor:
    """One of the bands (1, 4 C, h, W), clamped, as (1, C, 2 h + 2, 2 W + 2): even and odd rows and columns together."""
    x = bordered(maps[number], 1, factor=2)
    interleave(x, maps, number, partial(clamp_into, last))
    close(x, 1, REPLICATE, number == 0, number == len(maps) - 1)
    return x


def added(trunk: list[Tensor], inner: list[Tensor], last: Normalised, number: int, edges=REFLECT) -> Tensor:
    """Add what a residual block gave (no map before the first) to a band (1, C, h + 2, W + 2), and fill its border."""
    x = trunk[number]
    if inner:
        fill(x, 1, inner, number, lambda rows, target: target.addcmul_(rows, last.scale))
    close(x, 1, edges, number == 0, number == len(trunk) - 1)
    return x
