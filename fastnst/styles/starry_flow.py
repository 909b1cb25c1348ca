"""`starry_flow`: a night sky that turns, in thick strokes of oil over burning fields.

The strokes follow the current of a few eddies; stars are eddies too, painted ring by ring. Large
strokes come first, small bright ones last.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from fastnst.styles.brush import Canvas
from fastnst.styles.flow import whirl
from fastnst.styles.noise import smooth_noise
from fastnst.styles.palette import pigments, ramp
from fastnst.styles.sheet import SHEET, grid, sample, smoothstep, to_image

NIGHT = pigments("0b1030", "13205e", "1c3d96", "2f6cc4", "6fb0e0", "cfe6e4", "f4efc0")
GLOW = pigments("fff6c8", "ffe26a", "f9b92c", "c9a23e", "4f8fb0", "1e4a9c")
HILL = pigments("120a2c", "2c1550", "5c1f5e", "a5353f", "dd7431", "f3bf55")
# x, y, radius, strength
EDDIES = np.array(
    [
        (300.0, 300.0, 118.0, 2.6),
        (520.0, 390.0, 84.0, -2.3),
        (96.0, 470.0, 90.0, -1.7),
        (690.0, 210.0, 80.0, -1.0),
        (140.0, 120.0, 90.0, 1.4),
    ]
)
# x, y, radius of the disc
STARS = (
    (640.0, 118.0, 58.0),
    (92.0, 90.0, 34.0),
    (262.0, 66.0, 24.0),
    (446.0, 150.0, 30.0),
    (706.0, 372.0, 28.0),
    (66.0, 316.0, 28.0),
    (430.0, 510.0, 24.0),
    (214.0, 500.0, 20.0),
    (520.0, 40.0, 18.0),
)


def _sketch(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the strokes look up, on a plan of one sample per sheet unit.

    Returns:
        Unit directions ``(768, 768, 2)``, and ``(768, 768)`` each: brightness of the sky 0..1, place in the
        glow palette (above 1: no glow), and the hill number (0: sky).
    """
    x, y = grid(int(SHEET))
    along_x, along_y = whirl(x, y, EDDIES, drift=0.9)
    along_y += 0.75 * np.cos(x / 92.0 + y / 130.0) + 0.5 * smooth_noise(x, y, 150.0, seed)
    glow = np.full(x.shape, 9.0, np.float32)
    for cx, cy, radius in STARS:
        r = np.hypot(x - cx, y - cy)
        pull = smoothstep(2.7 * radius, 1.3 * radius, r)
        along_x += (-(y - cy) / (r + 1e-3) * 4.0 - along_x) * pull
        along_y += ((x - cx) / (r + 1e-3) * 4.0 - along_y) * pull
        glow = np.minimum(glow, r / (2.25 * radius))

    # Brightness runs in streamers along the current: average noise along it.
    speed = np.hypot(along_x, along_y) + 1e-6
    dx, dy = along_x / speed, along_y / speed
    grain = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, x.shape), 4.0)
    rows, columns = np.mgrid[0 : x.shape[0], 0 : x.shape[1]].astype(np.float32)
    bright = np.zeros(x.shape)
    for sense in (-1.0, 1.0):
        px, py = columns.copy(), rows.copy()
        step_x, step_y = sense * 5.0 * dx, sense * 5.0 * dy
        for _ in range(22):
            at = np.clip(py, 0, 767).astype(np.int64) * x.shape[1] + np.clip(px, 0, 767).astype(np.int64)
            bright += grain.take(at)
            px += step_x.take(at)
            py += step_y.take(at)
    order = np.empty(bright.size)
    order[np.argsort(bright, axis=None, kind="stable")] = np.linspace(0, 1, bright.size)
    bright = order.reshape(bright.shape)
    for cx, cy, radius, strength in EDDIES[:3]:
        r, theta = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
        arm = 0.5 + 0.5 * np.cos(2 * theta - np.sign(strength) * r / 15.0)
        bright += (0.75 * arm + 0.2 - bright) * 0.75 * smoothstep(1.5 * radius, 0.6 * radius, r)

    hill = np.zeros(x.shape, np.int64)
    for number, (level, swing, cell) in enumerate(
        ((590.0, 62.0, 170.0), (654.0, 52.0, 130.0), (722.0, 40.0, 110.0)), 1
    ):
        crest = level + swing * smooth_noise(x, 0.0 * y + 37.0 * number, cell, seed + 30 + number)
        land = y > crest
        hill[land] = number
        slope = np.gradient(crest, axis=1)
        wave = slope + 0.9 * np.sin((y - crest) / 21.0 + x / 57.0 + number)
        along_x, along_y = np.where(land, 1.0, along_x), np.where(land, wave, along_y)
    speed = np.hypot(along_x, along_y) + 1e-6
    # Fewer lights than an even spread would give.
    bright = bright**1.3
    return np.stack([along_x / speed, along_y / speed], -1), bright, glow, hill


def paint(size: int = 768, seed: int = 3) -> Image.Image:
    """Paint the night; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    direction, bright, glow, hill = _sketch(seed)
    angles = np.arctan2(direction[..., 1], direction[..., 0])
    # How fast the direction turns along the stroke.
    turn_y, turn_x = (np.stack(np.gradient(direction[..., k])) for k in (1, 0))
    dx, dy = direction[..., 0], direction[..., 1]
    bends = dx * (dx * turn_y[1] + dy * turn_y[0]) - dy * (dx * turn_x[1] + dy * turn_x[0])
    bends = ndimage.gaussian_filter(bends, 3.0)

    canvas = Canvas(size, pigments("0a0f2a")[0])
    # spacing, length, width, brightness added
    for spacing, length, width, lift in ((13.0, 62.0, 15.0, -0.12), (10.5, 46.0, 9.5, 0.0), (10.0, 34.0, 6.2, 0.07)):
        count = int((SHEET / spacing) ** 2)
        xs, ys = rng.uniform(-8, SHEET + 8, (2, count))
        # Stroke by stroke from dark to light, so that the lights stay on top.
        rank = np.argsort(sample(bright, xs, ys) + rng.normal(0, 0.25, count), kind="stable")
        for x, y in zip(xs[rank], ys[rank], strict=True):
            row, column = (min(max(int(v), 0), int(SHEET) - 1) for v in (y, x))
            mound, shine = hill[row, column], glow[row, column]
            tone = bright[row, column] + lift + rng.normal(0, 0.1)
            size_factor = rng.uniform(0.75, 1.2)
            if mound:
                stops, tone = HILL, 0.72 * max(tone, 0.0) + 0.05 * mound
            elif shine < 1.0:
                stops, tone = GLOW, shine + 0.07 * rng.normal() + (0.16 if rng.uniform() < 0.3 else 0.0)
                size_factor *= 0.72
            else:
                stops = NIGHT
                if rng.uniform() < 0.06:
                    stops, tone = GLOW, rng.uniform(0.2, 0.6) if tone > 0.55 else rng.uniform(0.7, 1.0)
            colour = ramp(stops, np.array(tone)) * np.exp(rng.normal(0, 0.06, 3))
            second = ramp(stops, np.array(tone + rng.choice([-0.2, 0.16]))) * 0.9
            bend = min(max(float(bends[row, column]), -0.06), 0.06)
            stroke_length = min(length * size_factor, 1.5 / (abs(bend) + 1e-3))
            canvas.stroke(
                x,
                y,
                angles[row, column] + rng.normal(0, 0.07),
                bend,
                stroke_length,
                width * size_factor,
                colour.astype(np.float32),
                second.astype(np.float32),
                rng.uniform(0.0, 1.0, max(int(width * 0.9), 5)).astype(np.float32),
            )
    for x, y, radius in STARS:  # a ring has no stroke at its own centre: press the brush there
        for number in range(5):
            angle = 1.3 * number
            canvas.stroke(
                x + 0.16 * radius * np.cos(angle),
                y + 0.16 * radius * np.sin(angle),
                angle + 1.57,
                0.05,
                0.62 * radius,
                0.26 * radius,
                ramp(GLOW, np.array(rng.uniform(0.0, 0.12))),
                ramp(GLOW, np.array(0.25)),
                rng.uniform(0.0, 1.0, 9).astype(np.float32),
            )
    return to_image(canvas.lit(), size)
