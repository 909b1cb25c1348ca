"""Does an exported model paint what the network paints?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.models.model_file import AnyModel, EnlargingModel
from fastnst.models.styles import style_names
from fastnst.stylization import Stylizer
from fastnst.stylization.enlarger import Enlarger

SIZES = ((128, 192), (101, 83), (9, 21))
"""Heights and widths: both divisible by four; odd; smaller than the network takes without padding."""
LARGEST = 2 / 255
"""What may differ: with full precision in any pixel, with reduced precision on average."""

Painter = Callable[..., Tensor]
"""(3, H, W) to the same or an enlarged size, in [0, 1]; one of S styles is given the share of each as well, (S,)."""


class Difference(NamedTuple):
    """Between two results in [0, 1], over all pixels of all sizes."""

    largest: float
    mean: float


def compare(ours: Painter, theirs: Painter, styles: int | None = None) -> Difference:
    """Run both on pictures of :data:`SIZES`; those of many styles in each, and in a mixture of all."""
    mixed = [] if styles is None else [*torch.eye(styles), torch.full((styles,), 1 / styles)]
    differences = []
    for size in SIZES:
        picture = probe(*size)
        for given in [[picture, shares] for shares in mixed] or [[picture]]:
            one, other = ours(*given), theirs(*given)
            if one.shape != other.shape:
                raise InputError(f"the exported model makes {tuple(other.shape)} of {tuple(one.shape)}: this is a bug.")
            differences.append((one - other).abs().flatten())
    everything = torch.cat(differences)
    return Difference(everything.max().item(), everything.mean().item())


def painter_of(model: AnyModel) -> Painter:
    """What paints or enlarges with a model on the CPU."""
    if isinstance(model, EnlargingModel):
        return Enlarger(model, "cpu")
    names = style_names(model)
    stylizer = Stylizer(model, "cpu", shares={names[0]: 1.0} if names else None)

    def paint(picture: Tensor, shares: Tensor | None = None) -> Tensor:
        if shares is not None:
            stylizer.set_shares(dict(zip(names, shares.tolist(), strict=True)))
        return stylizer(picture)

    return paint


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
