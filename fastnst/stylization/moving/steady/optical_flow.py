"""How the pixels of a video move from frame to frame."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.resizing import resize_long_side

FLOW_SIDE, CHECK_SIDE = 640, 320
"""Flow is computed at these longer sides at most, and back, as a check: it is smooth, and time grows with the pixels.

On `fox.mp4` at 640x360 a flow at 320 leaves frames 15 % farther from what it carries there, and takes half the time."""

CUT = 0.5
"""Where less than this part of a frame is found in the one before, it is another scene."""

TRUST = 0.06
"""Colour difference, in units of [0, 1], at which a moved pixel counts for exp(-1/2): the rest is noise and light.

Of a frame with less contrast than :data:`CONTRAST`, as in a fade from black, it is less in proportion, for in the dark
all colours are alike; never less than :data:`STEP`."""
CONTRAST, STEP = 0.15, 1 / 255


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
        positions: where each pixel was in the frame before, (H, W, 2) as x and y in pixels, float32.
        trust: how sure that is, (H, W) in [0, 1], 0 where it was hidden.
    """

    positions: np.ndarray
    trust: np.ndarray

    def carry(self, before: Tensor) -> Tensor:
        """The frame before, (3, H, W), moved along; bicubic, so that repeated blends stay sharp."""
        cv2 = import_cv2()
        moved = _warp(_array(before), self.positions, cv2.INTER_CUBIC)
        return torch.from_numpy(moved).permute(2, 0, 1).clamp(0, 1)

    def after(self, earlier: Motion) -> Motion:
        """This motion and the one before it as one; trusted as far as the less sure of them."""
        positions, trust = (_warp(values, self.positions) for values in earlier)
        return Motion(positions, np.minimum(self.trust, trust))


class Flow:
    """Optical flow between consecutive frames (DIS, Kroeger et al. 2016, arXiv 1603.03590) and where to trust it.

    Raises:
        InputError: OpenCV is missing.
    """

    def __init__(self) -> None:
        self.cv2 = import_cv2()
        self.method = self.cv2.DISOpticalFlow_create(self.cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.before: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, frame: Tensor) -> Motion | None:
        """The motion to the next frame, (3, H, W) in [0, 1]; None for the first of a scene or of another size."""
        last, self.before = self.before, (_array(frame), self._grey(frame))
        now, small = self.before
        if last is None or last[0].shape != now.shape:
            return None
        before, small_before = last
        height, width = now.shape[:2]
        backward = self.method.calc(small, small_before, None)
        side = min(1.0, CHECK_SIDE / max(small.shape))
        half, half_before = (
            self.cv2.resize(grey, None, fx=side, fy=side, interpolation=self.cv2.INTER_AREA)
            for grey in (small, small_before)
        )
        forward = self._enlarged(self.method.calc(half_before, half, None), *small.shape)
        here = _grid(*small.shape)
        there = here + backward
        back = _warp(forward, there)
        miss = _squared_length(backward + back)
        length = _squared_length(backward) + _squared_length(back)
        # Sundaram, Brox & Keutzer 2010, equation 5: there and back again misses by more than 1 % of the way
        visible = (miss < 0.01 * length + 0.5).astype(np.float32)
        x, y = there[..., 0], there[..., 1]
        inside = (x >= 0) & (x <= small.shape[1] - 1) & (y >= 0) & (y <= small.shape[0] - 1)
        visible = self.cv2.GaussianBlur(self.cv2.erode(visible * inside, np.ones((3, 3))), (5, 5), 0)
        positions = _grid(height, width) + self._enlarged(backward, height, width)
        visible = self.cv2.resize(visible, (width, height), interpolation=self.cv2.INTER_LINEAR)
        difference = self.cv2.absdiff(now, _warp(before, positions))
        difference = self.cv2.transform(difference, np.full((1, 3), 1 / 3))
        difference = self.cv2.GaussianBlur(difference, (5, 5), 0)
        tolerance = max(STEP, TRUST * min(1.0, float(frame.std()) / CONTRAST))
        trust = visible * np.exp(-0.5 * (difference / tolerance) ** 2)
        return Motion(positions, trust) if trust.mean() >= CUT else None

    def _enlarged(self, flow: np.ndarray, height: int, width: int) -> np.ndarray:
        scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
        return self.cv2.resize(flow, (width, height), interpolation=self.cv2.INTER_LINEAR) * scale

    def _grey(self, frame: Tensor) -> np.ndarray:
        small = resize_long_side(frame, min(FLOW_SIDE, max(frame.shape[-2:])))
        return self.cv2.cvtColor((_array(small) * 255).astype(np.uint8), self.cv2.COLOR_RGB2GRAY)


def _array(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.permute(1, 2, 0).float().numpy())


def _warp(values: np.ndarray, positions: np.ndarray, how: int | None = None) -> np.ndarray:
    """(H, W, C) seen at other positions; how: one of OpenCV's interpolations, None: linear."""
    cv2 = import_cv2()
    method = cv2.INTER_LINEAR if how is None else how
    return cv2.remap(values, positions, None, method, borderMode=cv2.BORDER_REPLICATE)


def _squared_length(vectors: np.ndarray) -> np.ndarray:
    """(H, W, 2) to (H, W); several times as fast as a sum over the last axis."""
    return np.einsum("hwc,hwc->hw", vectors, vectors)


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([columns, rows], axis=-1)
