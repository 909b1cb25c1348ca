"""Colours of one picture for another: keep the photograph's, or match statistics (Gatys et al., arXiv 1606.05897)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.resizing import resize

COLOR_MODES = ("style", "content", "match")

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma Y' of Recommendation ITU-R BT.601."""


def luma(picture: Tensor) -> Tensor:
    """Brightness Y' of (..., 3, H, W) in [0, 1]: (..., 1, H, W) in [0, 1]."""
    weights = picture.new_tensor(LUMA).view(3, 1, 1)
    return (picture * weights).sum(dim=-3, keepdim=True)


def with_colors_of(picture: Tensor, colors: Tensor) -> Tensor:
    """Keep the brightness of ``picture`` and take the colours of ``colors`` ("luminance-only transfer", section 5.2).

    Adding the same amount to R, G and B changes Y' by that amount and leaves the colour differences Cb and Cr alone.

    Args:
        picture: (3, H, W) in [0, 1].
        colors: (3, h, w) in [0, 1]; resized where the sizes differ.

    Returns:
        (3, H, W) in [0, 1]; where a colour cannot be that bright or dark in RGB, it is clamped.
    """
    colors = resize(colors, picture.shape[-2], picture.shape[-1]).to(picture)
    return (colors + luma(picture) - luma(colors)).clamp(0, 1)


def color_statistics(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colour (3,) and covariance of the channels (3, 3) over the pixels of (3, H, W)."""
    mean = picture.flatten(1).mean(dim=1)
    covariance = torch.zeros(3, 3, dtype=torch.float64)  # on the CPU: Apple's GPUs have no float64
    for rows in picture.split(256, dim=1):  # a huge picture is not copied
        centred = rows.flatten(1) - mean[:, None]
        covariance += (centred @ centred.T).cpu()
    return mean, (covariance / picture[0].numel()).to(picture)


def square_root(covariance: Tensor) -> Tensor:
    """Symmetric square root of a covariance matrix (C, C)."""
    values, vectors = torch.linalg.eigh(covariance.cpu().double())
    return ((vectors * values.clamp_min(0).sqrt()) @ vectors.T).to(covariance)


def match_colors(picture: Tensor, reference: Tensor, floor: float = 1e-5) -> Tensor:
    """Recolour ``picture`` so that mean and covariance of its colours become those of ``reference``.

    The linear map of section 5.1 with symmetric square roots ("Image Analogies" variant, equation 8).

    Args:
        picture: (3, H, W) in [0, 1].
        reference: (3, h, w) in [0, 1], any size.
        floor: added to the variances of ``picture``, so that a grey or plain one does not divide by zero; (1/255)^2
            is 1.5e-5.

    Returns:
        (3, H, W), clamped to [0, 1].
    """
    return matching_map(picture, reference, floor)(picture)


def matching_map(picture: Tensor, reference: Tensor, floor: float = 1e-5) -> Callable[[Tensor], Tensor]:
    """What :func:`match_colors` does to each pixel, to be applied to any part (3, h, w) of ``picture``."""
    mean, covariance = color_statistics(picture)
    target_mean, target_covariance = (value.to(picture) for value in color_statistics(reference))
    root = square_root(covariance + floor * torch.eye(3).to(covariance))
    transform = square_root(target_covariance) @ torch.linalg.inv(root)

    def recolored(part: Tensor) -> Tensor:
        pixels = transform @ (part.flatten(1) - mean[:, None]) + target_mean[:, None]
        return pixels.view_as(part).clamp(0, 1)

    return recolored


def apply_color_mode(mode: str, stylized: Tensor, content: Tensor) -> Tensor:
    """What ``colors=`` does to a finished picture: nothing, the content's colours, or the content's colour statistics.

    Args:
        mode: one of :data:`COLOR_MODES`.
        stylized: (3, H, W) in [0, 1].
        content: (3, h, w) in [0, 1].

    Raises:
        InputError: an unknown mode.
    """
    return color_transfer(mode, stylized, content)(stylized, content)


def color_transfer(mode: str, stylized: Tensor, content: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """:func:`apply_color_mode` for whole pictures, to be applied to parts: of ``stylized``, and ``content`` there."""
    if mode == "style":
        return lambda part, _: part
    if mode == "content":
        return with_colors_of
    if mode == "match":
        recolored = matching_map(stylized, content)
        return lambda part, _: recolored(part)
    raise InputError(f"colors={mode!r}: expected one of {', '.join(COLOR_MODES)}.")
