"""Where an optimisation starts: the content picture, noise, the style's colours, or any picture."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.color import color_statistics, square_root
from fastnst.images.resizing import resize

STARTS = ("content", "noise", "style_statistics")

NOISE_DEVIATION = 0.225
"""Of white noise around middle grey: one unit of torchvision's input normalisation, in which recipes draw ``randn``."""


def starting_picture(
    kind: str, content: Tensor, style: Tensor, seed: int = 0, deviation: float = NOISE_DEVIATION
) -> Tensor:
    """One of :data:`STARTS`.

    Args:
        kind: ``"content"``: the content picture itself; ``"noise"``: grey with white Gaussian noise;
            ``"style_statistics"``: Gaussian noise with the mean colour of the style and the covariance of its channels.
        content: (3, H, W) in [0, 1].
        style: (3, h, w) in [0, 1].
        seed: of the noise; the same on every device.
        deviation: of ``"noise"``, in units of [0, 1].

    Returns:
        (3, H, W) in [0, 1], the size and device of ``content``.

    Raises:
        InputError: an unknown start.
    """
    if kind == "content":
        return content.clone()
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(seed))
    if kind == "noise":
        start = 0.5 + deviation * noise
    elif kind == "style_statistics":
        mean, covariance = color_statistics(style.cpu())
        start = (square_root(covariance) @ noise.flatten(1)).view_as(noise) + mean[:, None, None]
    else:
        raise InputError(f"start={kind!r}: expected one of {', '.join(STARTS)}, or the path of a picture.")
    return start.clamp(0, 1).to(content)


def fitted_start(picture: Tensor, content: Tensor) -> Tensor:
    """Any picture (3, h, w) as a start: resized to the size of ``content`` (3, H, W), on its device."""
    return resize(picture, content.shape[-2], content.shape[-1]).to(content)
