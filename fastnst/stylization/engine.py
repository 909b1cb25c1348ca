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
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks import TransformerNetwork
from fastnst.networks.blocks import InstanceNorm

WINOGRAD_CHANNELS = 16
"""From so many channels in and out Winograd's transforms cost less than they save."""

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
        self.encoder = [(conv.weight.detach(), conv.stride, norm) for conv, norm, _ in parts.encoder]
        self.residual = [kernels_and_norms(block.body) for block in parts.residual]
        self.decoder = [(phases_of_upsampling(conv.weight.detach()), norm) for _, conv, norm, _ in parts.decoder]
        self.to_rgb = kernel_of_phases(network.to_rgb.weight.detach())
        assert network.to_rgb.bias is not None
        self.bias = network.to_rgb.bias.detach().repeat_interleave(4)

    @staticmethod
    def takes(network: nn.Module) -> TypeGuard[TransformerNetwork]:
        """Whether a network is one for this engine: ours, on the CPU, in float32, upsampling by nearest neighbours.

        Half of its last kernel must be an even number of pixels (9x9 or 5x5), see :func:`kernel_of_phases`.
        """
        if type(network) is not TransformerNetwork or network.arguments["upsampling"] != "nearest":
            return False
        if network.arguments["kernel"] not in (5, 9):
            return False
        return all(one.device.type == "cpu" and one.dtype == torch.float32 for one in network.parameters())

    @torch.inference_mode()
    def __call__(self, content: Tensor) -> Tensor:
        """What the network makes of (1, 3, H, W), RGB in [0, 1], from 16x16 up: the same shape."""
        height, width = content.shape[-2:]
        x = 2.0 * self.network.grain(content) - 1.0
        x = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
        z = self._decode(self._transform(self._encode(x)))
        return self.network.to_unit_range(z[..., :height, :width])

    def _encode(self, x: Tensor) -> Tensor:
        """(1, 3, H, W) to (1, C, H/4 + 2, W/4 + 2): with room for a border of one pixel, and the scale applied."""
        last: Normalised | None = None
        x = x - x.mean((2, 3), keepdim=True)  # the first normalisation takes it away; an even picture keeps its digits
        for kernel, stride, norm in self.encoder:
            border = kernel.shape[-1] // 2
            x = reflect(clamped(x, border, last), border)
            x = convolution(x, kernel if last is None else kernel * last.scale, stride)
            last = normalised(norm, x)
        assert last is not None
        return clamped(x, 1, last).mul_(last.scale)

    def _transform(self, trunk: Tensor) -> Tensor:
        """The residual blocks, in place; the trunk keeps its border, which each block fills anew."""
        for first, norm, second, last_norm in self.residual:
            inner = chain(reflect(trunk, 1), first)
            middle = normalised(norm, inner)
            inner = chain(reflect(clamped(inner, 1, middle), 1), second, middle.scale)
            trunk[..., 1:-1, 1:-1].addcmul_(inner, normalised(last_norm, inner).scale)
        return trunk

    def _decode(self, x: Tensor) -> Tensor:
        """(1, C, H/4 + 2, W/4 + 2) to the last convolution's (1, 3, H, W)."""
        (first, first_norm), (second, second_norm) = self.decoder
        x = convolution(replicate(x), first)
        last = normalised(first_norm, x, phases=4)
        height, width = x.shape[-2:]
        wide = x.new_empty(1, x.shape[1] // 4, 2 * height + 2, 2 * width + 2)
        for phase, part in enumerate(x.chunk(4, 1)):
            row, column = divmod(phase, 2)
            clamp_into(part, wide[..., 1 + row : -1 : 2, 1 + column : -1 : 2], last)
        x = convolution(replicate(wide), second * last.scale)
        last = normalised(second_norm, x, phases=4)
        border = self.to_rgb.shape[-1] // 2
        apart = x.new_empty(1, x.shape[1], x.shape[-2] + 2 * border, x.shape[-1] + 2 * border)
        for part, target in zip(x.chunk(4, 1), apart.chunk(4, 1), strict=True):
            clamp_into(part, target[..., border:-border, border:-border], last)
        kernel, four = self.to_rgb, (4, 1, 1)
        bias = self.bias + (kernel * last.constant.repeat(four)).sum((1, 2, 3))
        z = convolution(reflect_phases(apart, border), kernel * last.scale.repeat(four), bias=bias)
        return F.pixel_shuffle(z, 2)


def convolution(x: Tensor, kernel: Tensor, stride: tuple[int, int] = (1, 1), bias: Tensor | None = None) -> Tensor:
    """Of a map that has its border already; by NNPACK where it is the faster one."""
    if stride == (1, 1) and nnpack_helps(kernel):
        zeros = kernel.new_zeros(kernel.shape[0]) if bias is None else bias
        return torch._nnpack_spatial_convolution(x, kernel, zeros, [0, 0])
    return F.conv2d(x, kernel, bias, stride)


def chain(x: Tensor, kernels: list[Tensor], scale: Tensor | None = None) -> Tensor:
    """One convolution, or a depthwise and a 1x1 one, of a map that has its border already and is to be scaled."""
    if len(kernels) == 1:
        return convolution(x, kernels[0] if scale is None else kernels[0] * scale)
    depthwise, across = kernels
    depthwise = depthwise if scale is None else depthwise * scale[:, None]
    return F.conv2d(F.conv2d(x, depthwise, groups=x.shape[1]), across)


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


def nnpack_helps(kernel: Tensor) -> bool:
    """Winograd for 3x3 between many channels, FFT for 5x5 and 9x9."""
    if not torch.backends.nnpack.is_available():
        return False
    return kernel.shape[-1] > 3 or min(kernel.shape[:2]) >= WINOGRAD_CHANNELS


def normalised(norm: InstanceNorm, x: Tensor, phases: int = 1) -> Normalised:
    """Measure a map (1, phases * C, H, W) of C channels."""
    flat = x.view(phases, -1, x.shape[-2] * x.shape[-1])
    count = phases * flat.shape[-1]
    mean = flat.sum(2).sum(0) / count
    squares = torch.linalg.vector_norm(flat, dim=2).square().sum(0) / count
    variance = squares - mean.square()
    if (mean.square() > CANCELLATION * variance).any():
        variance = (flat - mean[:, None]).square_().mean((0, 2))
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    dead = scale.abs() < 1e-20
    edge = torch.where(dead, 0.0, mean - norm.bias / scale)
    constant = torch.where(dead, norm.bias.relu(), -scale * edge)
    low = torch.where(scale > 0, edge, -torch.inf)
    high = torch.where(scale < 0, edge, torch.inf) if (scale <= 0).any() else None
    low, constant, scale = (one[:, None, None] for one in (low, constant, scale))
    return Normalised(scale, low, None if high is None else high[:, None, None], constant)


def clamp_into(x: Tensor, target: Tensor, last: Normalised) -> Tensor:
    """Write ``clamp(x, low, high)`` to ``target``."""
    if last.high is None:
        return torch.maximum(x, last.low, out=target)
    return torch.clamp(x, last.low, last.high, out=target)


def clamped(x: Tensor, border: int, last: Normalised | None) -> Tensor:
    """A copy of (1, C, H, W), clamped, with room for a border."""
    height, width = x.shape[-2:]
    wide = x.new_empty(1, x.shape[1], height + 2 * border, width + 2 * border)
    target = wide[..., border:-border, border:-border]
    if last is None:
        target.copy_(x)
    else:
        clamp_into(x, target, last)
    return wide


def mirror(x: Tensor, dim: int, border: int, first: int, last: int) -> None:
    """Fill the border along one dimension with what lies inside, backwards; ``first`` and ``last``: pixels skipped."""
    end = x.shape[dim] - border
    for place, source in ((0, border + first), (end, end - border - last)):
        x.narrow(dim, place, border).copy_(x.narrow(dim, source, border).flip(dim))


def reflect(x: Tensor, border: int) -> Tensor:
    """Fill the border by reflection, the edge itself not repeated."""
    for dim in (-2, -1):
        mirror(x, dim, border, 1, 1)
    return x


def replicate(x: Tensor) -> Tensor:
    """Fill a border of one pixel with the edge: what reflection is before the upsampling that repeats pixels."""
    for dim in (-2, -1):
        mirror(x, dim, 1, 0, 0)
    return x


def reflect_phases(x: Tensor, border: int) -> Tensor:
    """Fill a border of (1, 4 C, H, W), even and odd rows and columns apart, as if reflected together.

    Pixel -k shows pixel k. Even ones, -2 and -4, lie at places -1 and -2 and show places 1 and 2; odd ones, -1 and -3,
    lie at places -1 and -2 and show places 0 and 1. At the other end, which is odd, it is the other way round.

    Args:
        border: in places of two pixels each.
    """
    for phase, part in enumerate(x.chunk(4, 1)):
        for dim, odd in zip((-2, -1), divmod(phase, 2), strict=True):
            mirror(part, dim, border, 1 - odd, odd)
    return x


def phases_of_upsampling(kernel: Tensor) -> Tensor:
    """Of a 3x3 kernel (D, C, 3, 3) behind nearest-neighbour upsampling: (4 D, C, 3, 3) on the small map.

    An even row sees row p - 1 once and row p twice, an odd one row p twice and row p + 1 once; columns likewise. The
    result's channels are even-even, even-odd, odd-even, odd-odd.
    """
    even = kernel.new_tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    odd = kernel.new_tensor([[0, 0, 0], [1, 1, 0], [0, 0, 1]])
    return torch.cat([
        torch.einsum("ik,jl,dckl->dcij", rows, columns, kernel) for rows in (even, odd) for columns in (even, odd)
    ])  # fmt: skip


def kernel_of_phases(kernel: Tensor) -> Tensor:
    """Of a 9x9 kernel (D, C, 9, 9): (4 D, 4 C, 5, 5) on a map whose even and odd rows and columns are apart.

    A 5x5 kernel becomes (4 D, 4 C, 3, 3); other sizes would not meet the places of the map. In: all channels of
    even-even, then even-odd, odd-even, odd-odd. Out: the four of each channel, as ``pixel_shuffle`` takes them.
    """
    outside, inside, side, _ = kernel.shape
    half = side // 2 + 1
    result = kernel.new_zeros(outside, 2, 2, 2, 2, inside, half, half)
    for row, column, i, j in itertools.product(range(2), range(2), range(side), range(side)):
        (down, odd_row), (right, odd_column) = divmod(row + i, 2), divmod(column + j, 2)
        result[:, row, column, odd_row, odd_column, :, down, right] = kernel[:, :, i, j]
    return result.reshape(4 * outside, 4 * inside, half, half)
