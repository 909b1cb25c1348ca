"""Kernels rewritten so that fewer multiplications give the same map."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


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
