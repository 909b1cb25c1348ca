"""Does an exported model paint what the network paints?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fastnst.errors import InputError

SIZES = ((128, 192), (101, 83), (9, 21))
"""Heights and widths: both divisible by four; odd; smaller than the network takes without padding."""
LARGEST = 2 / 255
"""What may differ: with full precision in any pixel, with reduced precision on average."""


class Difference(NamedTuple):
    """Between two results in [0, 1], over all pixels of all sizes."""

    largest: float
    mean: float


def compare(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor]) -> Difference:
    """Run both on pictures of :data:`SIZES`.

    Args:
        ours: (3, H, W) to (3, H, W), in [0, 1].
        theirs: likewise.
    """
    differences = []
    for size in SIZES:
        picture = probe(*size)
        one, other = ours(picture), theirs(picture)
        if one.shape != other.shape:
            raise InputError(f"the exported model makes {tuple(other.shape)} of {tuple(one.shape)}: this is a bug.")
        differences.append((one - other).abs().flatten())
    everything = torch.cat(differences)
    return Difference(everything.max().item(), everything.mean().item())


def require_small(difference: Difference, reduced: bool) -> None:
    """Refuse an export that differs visibly.

    Raises:
        InputError: by more than :data:`LARGEST`.
    """
    measured = difference.mean if reduced else difference.largest
    if not measured <= LARGEST:
        raise InputError(
            f"the exported model differs by {255 * measured:.1f}/255 {'on average' if reduced else 'at most'}, more "
            f"than {255 * LARGEST:.0f}/255: nothing was written; export it without --quantize and --half."
        )


def probe(height: int, width: int) -> Tensor:
    """A slope, a disc and fine noise, (3, H, W) in [0, 1]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disc = ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.06).float()
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    return 0.7 * torch.stack((x, 1 - y, 0.8 * disc + 0.1)) + 0.3 * noise
