"""`ink`: crags, clouds and water cut in line, with a red sun and a brushed pine.

Tone is made as an engraver makes it: by lines that swell where it is dark and are crossed by a
second and a third set where it is darker still. The lines bend over the relief and so show its form.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import mix, pigments
from fastnst.styles.sheet import SHEET, grid, smoothstep, to_image

INK, SEPIA, VERMILION = pigments("16110f", "5a3a24", "cf321a")
PAPER = pigments("efdcb6", "f7ead0", "dcc193")
SUN = (548.0, 176.0, 88.0)  # x, y, radius
# level of the foot, height, width of a peak, seed offset
CRAGS = (
    (300.0, 190.0, 120.0, 0),
    (392.0, 210.0, 150.0, 1),
    (486.0, 200.0, 170.0, 2),
    (590.0, 210.0, 140.0, 3),
)
SHORE = 612.0


def _lines(phase: np.ndarray, spacing: float, dark: np.ndarray, unit: float) -> np.ndarray:
    """Cover (0..1) of a set of lines.

    Args:
        phase: sheet units across the lines.
        spacing: sheet units from line to line.
        dark: share of the paper the lines shall hide; below 0.06 the line ends.
        unit: sheet units per sample.
    """
    part = phase / spacing
    across = np.abs(part - np.floor(part) - 0.5) * spacing
    # The phase is bent by the relief: measure across the line, not along the axis.
    slope = np.hypot(*np.gradient(phase)) / unit
    across = across / np.maximum(slope, 0.35)
    half = 0.5 * spacing * np.clip(dark, 0.0, 0.92) / np.maximum(slope, 0.35) ** 0.5
    return smoothstep(half + 0.45, half - 0.45, across) * smoothstep(0.04, 0.09, dark)


def _ridge(x: np.ndarray, y: np.ndarray, cell: float, seed: int) -> np.ndarray:
    """Sharp-edged relief, about 0..1: folded noise in four octaves."""
    total = np.zeros(np.shape(x), np.float32)
    for octave in range(4):
        fold = 1.0 - np.abs(smooth_noise(x, y, cell / 1.9**octave, seed + 31 * octave)) / 0.55
        total += fold / 2.1**octave
    return total / 1.75


def _pine(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A leaning pine: cover of its wood, of its dark needles and of its red ones, each ``(samples, samples)`` 0..1."""
    rng = np.random.default_rng(seed)
    k = samples / SHEET
    wood, needles, red = (Image.new("L", (samples, samples)) for _ in range(3))
    pens = [ImageDraw.Draw(sheet) for sheet in (wood, needles, red)]
    tips: list[tuple[float, float]] = []

    def grow(x: float, y: float, angle: float, width: float, length: float) -> None:
        """Draw one branch as a chain of discs; forks on the way."""
        bend, walked = rng.normal(0, 0.012), 0.0
        while walked < length:
            if rng.uniform() < 0.05:
                bend = rng.normal(0, 0.03)
            angle += bend + rng.normal(0, 0.02)
            x, y, walked = x + 2 * np.cos(angle), y + 2 * np.sin(angle), walked + 2
            r = 0.5 * width * (1.0 - 0.7 * walked / length) * (1 + 0.12 * rng.normal())
            pens[0].ellipse(((x - r) * k, (y - r) * k, (x + r) * k, (y + r) * k), fill=255)
            if width > 4 and walked > 0.15 * length and rng.uniform() < 0.045:
                grow(
                    x,
                    y,
                    angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1),
                    0.48 * width,
                    length * rng.uniform(0.25, 0.5),
                )
            if width < 18 and rng.uniform() < 0.09:
                tips.append((x, y))
        tips.append((x, y))

    grow(40.0, 790.0, -1.35, 34.0, 560.0)
    grow(790.0, 640.0, -2.5, 26.0, 360.0)
    tufts: list[tuple[float, float]] = []
    for x, y in tips:
        if any(np.hypot(x - u, y - v) < 25.0 for u, v in tufts):
            continue
        tufts.append((x, y))
        blood = rng.uniform() < 0.26
        pen = pens[2] if blood else pens[1]
        facing, reach = rng.uniform(-2.4, -0.7), rng.uniform(19, 31)
        for angle in rng.normal(facing, 0.85, 24):
            length = reach * rng.uniform(0.6, 1.1)
            end = ((x + length * np.cos(angle)) * k, (y + length * np.sin(angle)) * k)
            pen.line(((x * k, y * k), end), fill=255, width=max(1, round(1.2 * k)))
    return tuple(ndimage.gaussian_filter(np.asarray(s, np.float32) / 255.0, 0.35 * k) for s in (wood, needles, red))


def paint(size: int = 768, seed: int = 6) -> Image.Image:
    """Draw the landscape; ``size`` pixels square, the same sheet for the same ``seed``."""
    x, y = grid(size, 2)
    unit = SHEET / x.shape[0]
    hand = 1.1 * smooth_noise(x, y, 22.0, seed)  # no line is ruled
    rgb = mix(np.broadcast_to(PAPER[0], (*x.shape, 3)), PAPER[1], smoothstep(-0.3, 0.5, cloud(x, y, 190.0, seed + 1)))
    rgb = mix(rgb, PAPER[2], 0.5 * smoothstep(0.1, 0.8, cloud(x, y, 110.0, seed + 2)))

    # Sky: clouds as whorls of line round a height field, the sun behind them.
    billow = cloud(x, y, 130.0, seed + 3, 2)
    shade = np.gradient(billow, axis=0) * (40.0 / unit)
    sx, sy, radius = SUN
    from_sun = np.hypot(x - sx, y - sy)
    disc = smoothstep(radius + 0.6, radius - 0.6, from_sun + 1.5 * smooth_noise(x, y, 12.0, seed + 4))
    dry = smooth_noise(x + 0.5 * y, 0.16 * y - 0.1 * x, 3.0, seed + 5)
    rgb = mix(rgb, VERMILION * np.float32(1.0), disc * smoothstep(-0.95, -0.45, dry))
    tone = np.clip(0.30 + 0.55 * shade, 0.07, 0.62)
    rgb = mix(rgb, INK, _lines(150.0 * billow + 0.35 * y + hand, 7.2, tone * (1.0 - 0.55 * disc), unit))
    rgb = mix(rgb, SEPIA, 0.85 * _lines(y + 0.5 * x + hand, 5.6, (tone - 0.30) * (1 - disc), unit))

    # Crags, the far ones paler.
    for level, height, cell, number in CRAGS:
        start = seed + 50 + 17 * number
        crest = level - height * (_ridge(x[0], 0 * x[0] + 91.0 * number, cell, start) - 0.12)
        rows = slice(int(max(crest.min() - 8.0, 0.0) / unit), int((SHORE + 16.0) / unit))
        px, py, pen, dash, view = x[rows], y[rows], hand[rows], dry[rows], rgb[rows]
        below = py - crest
        relief = _ridge(px + 0.25 * py, 0.6 * py, 0.62 * cell, start + 5)
        light = np.gradient(relief, axis=1) / unit * 22.0
        near = 0.72 + 0.1 * number
        mist = smoothstep(235.0, 70.0, below)
        tone = np.clip((0.46 + 0.75 * light + 0.1 * (1 - relief)) * near, 0.0, 1.0) * (0.28 + 0.72 * mist)
        land = smoothstep(-0.5, 0.5, below)
        rock = mix(np.broadcast_to(PAPER[0], view.shape), PAPER[1], 0.8 * (1 - tone))
        rock = mix(rock, SEPIA, 0.30 * smoothstep(0.45, 0.8, tone))  # a wash under the deepest shade
        fall = px + 30.0 * relief + 0.12 * py + pen
        rock = mix(rock, INK, _lines(fall, 6.6, 0.15 + 0.55 * tone, unit))
        rock = mix(rock, INK, _lines(0.8 * py - 0.6 * px + 14.0 * relief + pen, 6.0, 0.9 * (tone - 0.34), unit))
        rock = mix(rock, SEPIA, _lines(0.75 * py + 0.66 * px + pen, 5.2, 1.1 * (tone - 0.52), unit))
        rock = mix(rock, INK, smoothstep(0.86, 0.98, tone + 0.16 * dash))
        # The crest is one brush stroke, now wet, now dry.
        weight = 2.6 + 2.8 * smooth_noise(px, 0 * py, 46.0, start + 9) + 1.1 * smooth_noise(px, py, 6.0, start + 10)
        slope = np.hypot(*np.gradient(below)) / unit
        view[:] = mix(view, rock, land)
        view[:] = mix(
            view, INK, smoothstep(weight + 0.8, weight - 0.8, np.abs(below) / slope) * smoothstep(-0.9, -0.5, dash)
        )

    # Water: long lines that lie closer towards the shore, red where the sun stands over them.
    depth = y - SHORE - 10.0 * smooth_noise(x, 0 * y, 120.0, seed + 6)
    swell = 15.0 * smooth_noise(0.5 * x, 1.6 * y, 44.0, seed + 7) + 5.0 * smooth_noise(x, 2 * y, 22.0, seed + 8)
    tone = np.clip(0.42 + 0.62 * smooth_noise(0.45 * x, 1.5 * y, 44.0, seed + 9), 0.08, 0.8)
    water = mix(np.broadcast_to(PAPER[1], rgb.shape), PAPER[0], tone)
    path = smoothstep(110.0, 50.0, np.abs(x - sx + 30.0 * smooth_noise(x, y, 40.0, seed + 10)))
    drawn = _lines(y + swell + hand, 8.0, tone, unit)
    water = mix(water, mix(np.broadcast_to(INK, rgb.shape), VERMILION, path), drawn)
    water = mix(water, SEPIA, 0.9 * _lines(0.8 * y - 0.7 * x + hand, 5.6, (tone - 0.44) * (1 - path), unit))
    rgb = mix(rgb, water, smoothstep(-0.5, 0.5, depth))
    rgb = mix(rgb, INK, smoothstep(2.6, 1.4, np.abs(depth) + 1.2 * dry))

    wood, needles, red = _pine(x.shape[0], seed)
    halo = np.clip(3.0 * ndimage.gaussian_filter(wood + needles + red, 2.6 * x.shape[0] / SHEET), 0, 1)
    rgb = mix(rgb, PAPER[0], 0.72 * smoothstep(0.15, 0.8, halo))
    bark = smoothstep(-0.75, -0.35, smooth_noise(0.3 * x + 0.2 * y, 1.3 * y - 0.6 * x, 3.4, seed + 11))
    rgb = mix(rgb, INK, wood * (0.25 + 0.75 * bark))
    rgb = mix(rgb, VERMILION, red)
    rgb = mix(rgb, INK, needles)
    # Laid paper: the mesh of the mould and its fibres.
    fibre = cloud(x, y, 4.0, seed + 12, 2)
    return to_image(rgb * (1.0 + 0.035 * fibre)[..., None] + 0.012 * fibre[..., None], size)
