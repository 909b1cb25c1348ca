"""Convolutions that need fewer multiplications for the same map, by NNPACK, which is part of torch."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

WINOGRAD_CHANNELS = 16
"""From so many channels in and out Winograd's transforms cost less than they save."""
WINOGRAD_PLACES = 24 * 24
"""From so many places of a map: NNPACK transforms the kernels anew for each, which smaller ones do not pay for."""


def convolution(
    x: Tensor,
    kernel: Tensor,
    stride: tuple[int, ...] = (1, 1),
    bias: Tensor | None = None,
    padding: tuple[int, ...] = (0, 0),
    groups: int = 1,
) -> Tensor:
    """As ``F.conv2d``, by NNPACK where that is faster: the map and the gradient of ``x``, not that of the weights.

    (N, C, H, W), a kernel (D, C, k, k) and D biases to (N, D, H', W').
    """
    if stride == (1, 1) and nnpack_helps(x, kernel):
        return _ByNnpack.apply(x, kernel, bias, padding)
    return F.conv2d(x, kernel, bias, stride, padding, groups=groups)


def nnpack_helps(x: Tensor, kernel: Tensor) -> bool:
    """Winograd for 3x3 between many channels, FFT for 5x5 and 9x9."""
    if kernel.shape[1] != x.shape[1] or kernel.dtype != x.dtype or not nnpack_takes(x):
        return False
    if kernel.shape[-1] > 3:
        return True
    return min(kernel.shape[:2]) >= WINOGRAD_CHANNELS and x.shape[-2] * x.shape[-1] >= WINOGRAD_PLACES


def nnpack_takes(x: Tensor) -> bool:
    """Whether maps such as this are for NNPACK: float32 on the CPU, without autocast, outside of compilers and traces.

    ``torch.backends.nnpack.flags(enabled=False)`` keeps everything with torch's own convolutions.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    if torch.is_autocast_enabled("cpu") or not torch._C._get_nnpack_enabled():
        return False
    return torch.backends.nnpack.is_available()


class Conv2d(nn.Conv2d):
    """torch's layer, by :func:`convolution` while it trains or where it is frozen, as in a loss network.

    Weights that could learn and do not now are a trained network at work: that is torch's own, which exports know.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if weight.requires_grad and not torch.is_grad_enabled():
            return super()._conv_forward(input, weight, bias)
        padding = self.padding
        assert isinstance(padding, tuple), "pixels, not 'same' or 'valid'"
        if self.padding_mode != "zeros":
            if self.padding_mode == "reflect" and torch.is_grad_enabled():
                input, padding = _Reflected.apply(input, padding), (0, 0)
            else:
                input, padding = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode), (0, 0)
        return convolution(input, weight, self.stride, bias, padding, self.groups)


class _Reflected(torch.autograd.Function):
    """Padding by reflection, whose gradient folds the border back onto the strips that it shows, in the order in memory
    that it has: torch's own fills a new tensor, and copies what lies with its channels last twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.padding = padding
        below, right = padding
        return F.pad(x, (right, right, below, below), "reflect")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        below, right = ctx.padding
        width = gradient.shape[3] - 2 * right
        before, inside, after = (_folded(part, 2, below) for part in gradient.split((right, width, right), dim=3))
        inside.narrow(3, 1, right).add_(before.flip(3))
        inside.narrow(3, width - 1 - right, right).add_(after.flip(3))
        return inside, None


def _folded(padded: Tensor, dim: int, more: int) -> Tensor:
    """Without ``more`` places at both ends of a dimension, which are added where they were reflected from."""
    size = padded.shape[dim] - 2 * more
    inside = padded.narrow(dim, more, size).clone()
    inside.narrow(dim, 1, more).add_(padded.narrow(dim, 0, more).flip(dim))
    inside.narrow(dim, size - 1 - more, more).add_(padded.narrow(dim, more + size, more).flip(dim))
    return inside


class _ByNnpack(torch.autograd.Function):
    """The gradient of a convolution's input is a convolution, too: of the gradient, with the kernel turned by 180
    degrees, its channels in and out exchanged, and k - 1 pixels of padding less the padding there was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        ctx.padding, ctx.biases = padding, None if bias is None else list(bias.shape)
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, kernel)
        return _in_parts(x, kernel, bias, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel = ctx.saved_tensors
        of_x = of_kernel = of_bias = None
        if ctx.needs_input_grad[0]:
            turned = kernel.flip(2, 3).transpose(0, 1).contiguous()
            of_x = _in_parts(gradient, turned, None, [kernel.shape[-1] - 1 - one for one in ctx.padding])
        if ctx.needs_input_grad[1]:
            _, of_kernel, of_bias = torch.ops.aten.convolution_backward(
                gradient, x, kernel, ctx.biases, [1, 1], ctx.padding, [1, 1], False, [0, 0], 1,
                [False, True, ctx.needs_input_grad[2]],
            )  # fmt: skip
        elif ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_kernel, of_bias, None


def _in_parts(x: Tensor, kernel: Tensor, bias: Tensor | None, padding: Sequence[int]) -> Tensor:
    """NNPACK on one picture after the other: a batch at once leaves its caches and takes up to twice the time.

    As many threads as torch may use share the pictures and, where they do not come out even, the channels. NNPACK's own
    thread spins for a long while after its work, on the core that torch's wants next.
    """
    bias = kernel.new_zeros(len(kernel)) if bias is None else bias
    threads = torch.get_num_threads()
    channels = [slice(None)]
    if len(x) % threads:
        size = -(-len(kernel) // threads)
        channels = [slice(start, start + size) for start in range(0, len(kernel), size)]
    parts = [(picture, some) for picture in range(len(x)) for some in channels]
    places = [side + 2 * more - kernel.shape[-1] + 1 for side, more in zip(x.shape[2:], padding, strict=True)]
    result, inference = x.new_empty(len(x), len(kernel), *places), torch.is_inference_mode_enabled()

    def work(part: tuple[int, slice]) -> None:
        picture, some = part
        with torch.inference_mode(inference), torch.no_grad():  # a thread's own settings
            one = x[picture : picture + 1]
            result[picture, some] = torch._nnpack_spatial_convolution(one, kernel[some], bias[some], padding)[0]

    deque(map(work, parts) if threads == 1 else _threads(threads, os.getpid()).map(work, parts), maxlen=0)
    return result


@cache
def _threads(count: int, process: int) -> ThreadPoolExecutor:
    """Threads in which torch, and NNPACK with it, uses one core each; not those of a parent process."""
    ready = threading.Barrier(count)

    def use_one_thread() -> None:
        torch.get_num_threads()  # takes over what is set for all: later it would undo what is set here
        torch.set_num_threads(1)

    pool = ThreadPoolExecutor(count, "fastnst-convolution", use_one_thread)
    deque(pool.map(lambda _: ready.wait(), range(count)), maxlen=0)
    torch.set_num_threads(count)  # they have set it for threads that begin later, too
    return pool
