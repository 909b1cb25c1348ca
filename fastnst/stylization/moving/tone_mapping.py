"""High dynamic range to the range that pictures have: PQ and HLG films, which would look washed out otherwise."""

from __future__ import annotations

import numpy as np

PQ, HLG = 16, 18
"""Transfer functions of SMPTE ST 2084 and ARIB STD-B67, as ITU-T H.273 numbers them."""
BT2020 = 9
"""Primaries and matrix of ITU-R BT.2020, in H.273."""
WHITE = 203.0
"""Candelas per square metre of diffuse white in HDR films (ITU-R BT.2408, section 2.1)."""
PEAK = 1000.0
"""Of HLG's nominal display (ITU-R BT.2100, table 5); what is brighter in PQ is white."""
TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Linear RGB of BT.2020 to that of BT.709 (ITU-R BT.2087, table 2)."""


def pq_light(signal: np.ndarray) -> np.ndarray:
    """Candelas per square metre of a signal in [0, 1] (ITU-R BT.2100, table 4: the reference EOTF)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = np.power(signal, 1 / m2)
    return 10_000 * np.power(np.maximum(root - c1, 0) / (c2 - c3 * root), 1 / m1)


def hlg_light(signal: np.ndarray) -> np.ndarray:
    """Likewise for HLG: the scene's light, before the display's system gamma (ITU-R BT.2100, table 5), 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, np.square(signal) / 3, (np.exp((signal - c) / a) + b) / 12)


def srgb_signal(light: np.ndarray) -> np.ndarray:
    """Of linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)


def to_standard_range(picture: np.ndarray, transfer: int) -> np.ndarray:
    """A frame (H, W, 3) of 16 bits in BT.2020 as one of 8 bits in BT.709.

    The brightest channel follows the curve of Reinhard et al. 2002 (equation 4), so that :data:`PEAK` becomes white and
    diffuse white three quarters of it, and the others keep their part of it.
    """
    codes = np.arange(65536, dtype=np.float64) / 65535
    if transfer == PQ:
        light = np.take(pq_light(codes).astype(np.float32), picture)
    else:
        scene = np.take(hlg_light(codes).astype(np.float32), picture)
        luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = PEAK * scene * np.power(np.maximum(luminance, 1e-6), 0.2)[..., None]  # gamma 1.2 at 1000 cd/m2
    light = light / WHITE
    brightest = light.max(axis=-1, keepdims=True)
    most = PEAK / WHITE
    linear = light * (1 + brightest / most**2) / (1 + brightest)
    signal = srgb_signal(np.clip(linear @ TO_709.T, 0, 1))
    return (255 * signal + 0.5).astype(np.uint8)
