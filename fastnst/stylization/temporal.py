"""Steady videos: blend each frame with the one before, moved along by optical flow; and a measure of flicker.

The blend is that of Ruder, Dosovitskiy & Brox (2016, arXiv 1604.08610) without its optimization: where a pixel could be
seen before, the stylized frame is pulled towards what was shown there; where it could not, it stays as it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.resizing import resize_long_side

FLOW_SIDE = 640
"""Flow is computed at this longer side at most; it is smooth, and time grows with the pixels."""

TRUST = 0.06
"""Colour difference, in units of [0, 1], at which a moved pixel counts for exp(-1/2): the rest is noise and light."""


def import_cv2() -> Any:
    """OpenCV, which is an optional dependency.

    Raises:
        InputError: it is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise InputError("optical flow needs OpenCV: install it with pip install 'fastnst[video]'.") from None
    return cv2


class Motion(NamedTuple):
    """From one frame to the next.

    Attributes:
        positions: where each pixel was in the frame before, (H, W, 2) as x and y in pixels.
        trust: how sure that is, (H, W) in [0, 1], 0 where it was hidden.
    """

    positions: np.ndarray
    trust: np.ndarray

    def carry(self, before: Tensor) -> Tensor:
        """The frame before, (3, H, W), moved along; bicubic, so that repeated blends stay sharp."""
        cv2 = import_cv2()
        moved = _warp(_array(before), self.positions, cv2.INTER_CUBIC)
        return torch.from_numpy(moved).permute(2, 0, 1).clamp(0, 1)


class Flow:
    """Optical flow between consecutive frames (DIS, Kroeger et al. 2016, arXiv 1603.03590) and where to trust it.

    Raises:
        InputError: OpenCV is missing.
    """

    def __init__(self) -> None:
        self.cv2 = import_cv2()
        self.method = self.cv2.DISOpticalFlow_create(self.cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.before: Tensor | None = None

    def __call__(self, now: Tensor) -> Motion | None:
        """The motion to the next frame, (3, H, W) in [0, 1]; None for the first, and where the size has changed."""
        before, self.before = self.before, now
        if before is None or before.shape != now.shape:
            return None
        height, width = now.shape[-2:]
        small, small_before = (self._grey(frame) for frame in (now, before))
        backward = self.method.calc(small, small_before, None)
        forward = self.method.calc(small_before, small, None)
        here = _grid(*small.shape)
        there = here + backward
        back = _warp(forward, there)
        miss = np.square(backward + back).sum(axis=-1)
        length = np.square(backward).sum(axis=-1) + np.square(back).sum(axis=-1)
        # Sundaram, Brox & Keutzer 2010, equation 5: there and back again misses by more than 1 % of the way
        visible = (miss < 0.01 * length + 0.5).astype(np.float32)
        inside = (
            (there >= 0).all(axis=-1) & (there[..., 0] <= small.shape[1] - 1) & (there[..., 1] <= small.shape[0] - 1)
        )
        visible = self.cv2.GaussianBlur(self.cv2.erode(visible * inside, np.ones((3, 3))), (5, 5), 0)
        scale = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
        flow = self.cv2.resize(backward, (width, height), interpolation=self.cv2.INTER_LINEAR) * scale
        positions = (_grid(height, width) + flow).astype(np.float32)
        visible = self.cv2.resize(visible, (width, height), interpolation=self.cv2.INTER_LINEAR)
        difference = np.abs(_array(now) - _warp(_array(before), positions)).mean(axis=-1)
        difference = self.cv2.GaussianBlur(difference, (5, 5), 0)
        return Motion(positions, visible * np.exp(-0.5 * (difference / TRUST) ** 2))

    def _grey(self, frame: Tensor) -> np.ndarray:
        small = resize_long_side(frame, min(FLOW_SIDE, max(frame.shape[-2:])))
        return self.cv2.cvtColor((_array(small) * 255).astype(np.uint8), self.cv2.COLOR_RGB2GRAY)


class Steady:
    """Blends stylized frames with the frame shown before, along the flow of the source.

    Args:
        amount: 0 to 1: how much of a pixel comes from before where flow and colours agree.

    Raises:
        InputError: ``amount`` outside its range.
    """

    def __init__(self, amount: float = 0.8) -> None:
        if not 0 <= amount < 1:
            raise InputError(f"temporal={amount}: expected a number from 0 to below 1, for instance 0.8.")
        self.amount = amount
        self.before: Tensor | None = None

    def __call__(self, stylized: Tensor, motion: Motion | None) -> Tensor:
        """The next frame to show, (3, H, W), from the stylized one and the source's :class:`Motion` to it."""
        if self.before is not None and motion is not None:
            weight = self.amount * torch.from_numpy(motion.trust).float()
            stylized = torch.lerp(stylized, motion.carry(self.before), weight)
        self.before = stylized
        return stylized


class Flicker:
    """How much more consecutive frames differ, moved along by the source's flow, than those of the source itself.

    The mean absolute difference to the frame before, moved along, over all pixels that both show; for the result and
    for the source. Their ratio is 1 where the result is as steady as the source.
    """

    def __init__(self) -> None:
        self.before: tuple[Tensor, Tensor] | None = None
        self.source_change, self.result_change, self.weight = 0.0, 0.0, 0.0

    def add(self, source: Tensor, result: Tensor, motion: Motion | None) -> None:
        """Take in the next frame and its result, (3, H, W) each, and the source's :class:`Motion` to it."""
        if self.before is not None and motion is not None:
            weight = torch.from_numpy(motion.trust > 0.5).float()
            source_change, result_change = (
                float(((now - motion.carry(before)).abs().mean(dim=0) * weight).sum())
                for now, before in zip((source, result), self.before, strict=True)
            )
            self.source_change += source_change
            self.result_change += result_change
            self.weight += float(weight.sum())
        self.before = source, result

    @property
    def ratio(self) -> float:
        """Change of the result over change of the source; NaN before there are two frames."""
        return self.result_change / self.source_change if self.source_change > 0 else float("nan")

    def __str__(self) -> str:
        if self.weight == 0:
            return "flicker: needs two frames or more"
        source, result = (255 * value / self.weight for value in (self.source_change, self.result_change))
        return (
            f"flicker {self.ratio:.2f} (stylized frames change by {result:.2f}/255 along the flow, source {source:.2f})"
        )


def _array(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.permute(1, 2, 0).float().numpy())


def _warp(values: np.ndarray, positions: np.ndarray, how: int | None = None) -> np.ndarray:
    """(H, W, C) seen at other positions; how: one of OpenCV's interpolations, None: linear."""
    cv2 = import_cv2()
    method = cv2.INTER_LINEAR if how is None else how
    return cv2.remap(values, positions.astype(np.float32), None, method, borderMode=cv2.BORDER_REPLICATE)


def _grid(height: int, width: int) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([columns, rows], axis=-1)
