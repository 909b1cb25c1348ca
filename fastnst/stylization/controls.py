"""What people may turn about a stylized picture: how much, where, in which colours, how coarse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.color import COLOR_MODES, color_transfer, luma
from fastnst.images.resizing import resize, resize_long_side

LARGEST_STROKE_SCALE = 16

STRIP = 2**21
"""Pixels that are finished at once, so that of a huge picture there are the photograph and the result, no third."""


@dataclass(frozen=True)
class Controls:
    """All controls of a picture; by default the network's own result at full size.

    Attributes:
        strength: 0 is the photograph, 1 the stylized picture, between them a blend of both.
        colors: ``"style"`` as the network paints; ``"content"`` the photograph's colours with the painting's
            brightness; ``"match"`` the painting with the photograph's mean colour and covariance.
        detail: 0 to 1, how much of the finest brightness structure comes from the photograph.
        mask: (1, h, w) in [0, 1], where to stylize; resized to the picture. None: everywhere.
        stroke_scale: 2 paints strokes twice as large (the network sees the picture at half its size), 0.5
            half as large.
        max_side: pictures with a longer side are first made smaller; the only control that changes the output's size.

    Raises:
        InputError: a value outside its range.
    """

    strength: float = 1.0
    colors: str = "style"
    detail: float = 0.0
    mask: Tensor | None = None
    stroke_scale: float = 1.0
    max_side: int | None = None

    def __post_init__(self) -> None:
        for name in ("strength", "detail"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(f"{name}={value}: expected a number from 0 to 1.")
        if self.colors not in COLOR_MODES:
            raise InputError(f"colors={self.colors!r}: expected one of {', '.join(COLOR_MODES)}.")
        if not 1 / LARGEST_STROKE_SCALE <= self.stroke_scale <= LARGEST_STROKE_SCALE:
            raise InputError(
                f"stroke_scale={self.stroke_scale}: expected a number from {1 / LARGEST_STROKE_SCALE} "
                f"to {LARGEST_STROKE_SCALE}."
            )
        if self.max_side is not None and self.max_side < 1:
            raise InputError(f"max_side={self.max_side}: expected 1 pixel or more.")
        if self.mask is not None and (self.mask.ndim != 3 or self.mask.shape[0] != 1):
            raise InputError(f"a mask of shape {tuple(self.mask.shape)}: expected (1, H, W).")

    def reduce(self, picture: Tensor) -> Tensor:
        """The picture (C, H, W) with its longer side at most :attr:`max_side`."""
        if self.max_side is None or max(picture.shape[-2:]) <= self.max_side:
            return picture
        return resize_long_side(picture, self.max_side)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """At which size the network sees a picture of this height and width."""
        return max(1, round(height / self.stroke_scale)), max(1, round(width / self.stroke_scale))

    def finish(self, stylized: Tensor, content: Tensor) -> Tensor:
        """From the network's result to the picture that was asked for.

        Args:
            stylized: (3, h, w) in [0, 1], of :meth:`network_size`.
            content: (3, H, W) in [0, 1], after :meth:`reduce`.

        Returns:
            (3, H, W) in [0, 1]; ``stylized`` itself, changed, where it has this size already.
        """
        if stylized.shape[-2:] != content.shape[-2:]:
            stylized = enlarge_with_edges(stylized, content) if self.stroke_scale > 1 else _resize_to(stylized, content)
        if self.colors != "style":
            recolor = color_transfer(self.colors, stylized, content)
            for rows in strips(*content.shape[-2:]):
                stylized[:, rows] = recolor(stylized[:, rows], content[:, rows])
        if self.detail > 0:
            give_back_detail(stylized, content, self.detail)
        if self.strength < 1:
            _blend(stylized, content, self.strength)
        if self.mask is not None:
            _blend(stylized, content, _resize_to(self.mask.to(content), content))
        return stylized


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture, :data:`STRIP` pixels at a time."""
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def blur(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (C, H, W) with deviation ``sigma`` in pixels; beyond the border its pixels go on."""
    radius = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    x = picture[:, None]
    x = F.conv2d(F.pad(x, (radius, radius, 0, 0), mode="replicate"), weights[None, None, None])
    x = F.conv2d(F.pad(x, (0, 0, radius, radius), mode="replicate"), weights[None, None, :, None])
    return x[:, 0]


def give_back_detail(stylized: Tensor, content: Tensor, amount: float) -> Tensor:
    """Replace the finest brightness structure of ``stylized`` by that of ``content``, in part or whole, in place.

    Finest is what a Gaussian blur of 1/400 of the longer side, at least one pixel, takes away: eyelids and letters,
    not brush strokes.

    Args:
        stylized: (3, H, W) in [0, 1].
        content: (3, H, W) in [0, 1].
        amount: 0 to 1.

    Returns:
        ``stylized``, (3, H, W) in [0, 1].
    """
    height, width = content.shape[-2:]
    sigma = max(1.0, max(height, width) / 400)
    beyond = math.ceil(3 * sigma)
    difference = torch.empty(1, height, width)
    for rows in strips(height, width):
        difference[:, rows] = luma(content[:, rows]) - luma(stylized[:, rows])
    for rows in strips(height, width):
        top = max(rows.start - beyond, 0)
        blurred = blur(difference[:, top : rows.stop + beyond], sigma)[:, rows.start - top : rows.stop - top]
        stylized[:, rows] = (stylized[:, rows] + amount * (difference[:, rows] - blurred)).clamp_(0, 1)
    return stylized


def enlarge_with_edges(stylized: Tensor, content: Tensor, radius: int = 2, floor: float = 1e-3) -> Tensor:
    """Enlarge a picture that was painted at a smaller size; the edges it has lost come from the photograph.

    The photograph's brightness beyond the small size is added, times the local slope of the painting's colours over
    the photograph's brightness at the small size: the coefficient of the guided filter (He, Sun & Tang 2010,
    arXiv 1505.00996), applied to the missing band only, so that strokes without an edge below them stay.

    Args:
        stylized: (3, h, w) in [0, 1].
        content: (3, H, W) in [0, 1].
        radius: the slope is taken over squares of 2 radius + 1 pixels at the small size.
        floor: added to the variance of the brightness; in flat areas nothing is added.

    Returns:
        (3, H, W) in [0, 1].
    """
    full, small = content.shape[-2:], stylized.shape[-2:]
    brightness = luma(content)
    small_brightness = resize(brightness, *small)
    brightness = brightness - resize(small_brightness, *full)

    def mean(x: Tensor) -> Tensor:
        side = 2 * radius + 1
        return F.avg_pool2d(F.pad(x[None], (radius,) * 4, mode="replicate"), side, stride=1)[0]

    mean_brightness, mean_stylized = mean(small_brightness), mean(stylized)
    variance = mean(small_brightness**2) - mean_brightness**2
    covariance = mean(small_brightness * stylized) - mean_brightness * mean_stylized
    slope = (covariance / (variance.clamp_min(0) + floor)).clamp(-1, 1)
    enlarged = resize(stylized, *full)
    for channel in range(3):
        fine = F.interpolate(slope[None, channel : channel + 1], size=full, mode="bilinear", align_corners=False)[0]
        enlarged[channel : channel + 1].add_(fine.mul_(brightness)).clamp_(0, 1)
    return enlarged


def _blend(stylized: Tensor, content: Tensor, share: float | Tensor) -> None:
    """Keep so much of ``stylized``, in place; the rest is ``content``."""
    for rows in strips(*content.shape[-2:]):
        part = share if isinstance(share, float) else share[:, rows]
        stylized[:, rows] = torch.lerp(content[:, rows], stylized[:, rows], part)


def _resize_to(picture: Tensor, other: Tensor) -> Tensor:
    return resize(picture, *other.shape[-2:])
