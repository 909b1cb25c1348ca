"""Kernels rewritten so that fewer multiplications give the same map."""

from __future__ import annotations

import itertools

from torch import Tensor


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
