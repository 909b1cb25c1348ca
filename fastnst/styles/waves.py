"""`waves`: breaking seas as a colour woodblock print: key lines, flat blues, fingers of foam.

Every swell is one outline that leans the more the higher it stands, so its crests hang over. The
swells are printed from back to front: stripes that climb the face, foam along the crest, and drops
of spray, each with a key line round it.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import mix, pigments, ramp
from fastnst.styles.sheet import SHEET, grid, smoothstep, to_image

KEY = pigments("13204a")[0]  # the dark block the outlines are cut in
CREAM = pigments("f6ebcd")[0]
SHADE = pigments("a9cfd0")[0]  # pale blue inside the foam
SKY = pigments("c9785f", "e3a680", "efcfa4", "f1e0bd", "e9dcbc")
CLOUD = pigments("f6ebcd", "f1e0bd", "b6d2cf", "5d93ab", "dd8f6c")
FACE = pigments("14285c", "1f4b86", "6fa9bd", "14285c", "2c6798", "dfe6cf")
BACK = pigments("2d6a9c", "7fb6c2", "1b3b77", "cfdfcf", "16305f")
# level of the trough, height of the crests, distance between crests, shift, lean
SWELLS = (
    (300.0, 150.0, 330.0, 262.0, 118.0),
    (352.0, 118.0, 236.0, 70.0, 84.0),
    (452.0, 172.0, 404.0, 196.0, 150.0),
    (506.0, 112.0, 258.0, 20.0, 88.0),
    (600.0, 160.0, 366.0, 330.0, 132.0),
    (664.0, 116.0, 250.0, 120.0, 84.0),
    (752.0, 132.0, 318.0, 40.0, 104.0),
    (800.0, 92.0, 214.0, 180.0, 66.0),
)


def _crest(level: float, height: float, length: float, shift: float, lean: float, seed: int) -> np.ndarray:
    """The outline of one swell: ``(n, 3)`` rows of x, y (sheet units) and how high the place is, 0..1."""
    t = np.arange(-1.2 * length - 60, SHEET + 1.2 * length, 1.5)
    tall = 1.0 + 0.16 * smooth_noise(t, 0 * t + 11.0 * level, 190.0, seed)
    rise = np.exp(2.1 * (np.cos(2 * np.pi * (t - shift) / length) - 1.0)) * tall
    x = t + lean * np.clip(rise, 0, None) ** 2.4
    y = level - height * rise + 2.0 * smooth_noise(t, 0 * t + 5.0 * level, 30.0, seed + 1)
    return np.stack([x, y, np.clip(rise, 0, 1)], 1)


def _foam(crest: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Discs of foam along a crest and drops of spray before it; each ``(n, 3)``: x, y, radius in sheet units."""
    tangent = np.gradient(crest[:, :2], axis=0)
    tangent /= np.hypot(*tangent.T)[:, None] + 1e-9
    outward = np.stack([tangent[:, 1], -tangent[:, 0]], 1)
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(crest[:, :2], axis=0).T))])
    discs: list[tuple[float, float, float]] = []
    drops: list[tuple[float, float, float]] = []
    place = 0.0
    while place < walked[-1]:
        i = int(np.searchsorted(walked, place))
        x, y, high = crest[i]
        radius = rng.uniform(4.0, 7.5) * (0.45 + 0.85 * high)
        discs.append((x - 0.5 * radius * outward[i, 0], y - 0.5 * radius * outward[i, 1], radius))
        place += 1.15 * radius
        if high > 0.3 and rng.uniform() < 0.62:
            # A finger: discs that get smaller on a path that curls back, sometimes forked.
            for fork in range(1 + (rng.uniform() < 0.6)):
                angle = np.arctan2(outward[i, 1], outward[i, 0]) + rng.normal(0.25, 0.4) + 0.9 * fork
                turn = rng.uniform(0.12, 0.42) * (1 if rng.uniform() < 0.8 else -1)
                fx, fy, fr = x, y, 0.62 * radius
                for _ in range(rng.integers(5, 10)):
                    fx, fy = fx + 0.95 * fr * np.cos(angle), fy + 0.95 * fr * np.sin(angle)
                    discs.append((fx, fy, fr))
                    angle, turn, fr = angle + turn, 1.12 * turn, 0.9 * fr
        if high > 0.5 and rng.uniform() < 0.35:
            away = rng.uniform(12, 66)
            drops.append((x + away * outward[i, 0], y + away * outward[i, 1] + rng.normal(0, 9), rng.uniform(1.2, 3.4)))
    return np.array(discs), np.array(drops)


def _stamp(discs: np.ndarray, samples: int) -> np.ndarray:
    """Mask ``(samples, samples)`` of a union of discs."""
    sheet = Image.new("1", (samples, samples))
    draw, k = ImageDraw.Draw(sheet), samples / SHEET
    for x, y, r in discs:
        draw.ellipse(((x - r) * k, (y - r) * k, (x + r) * k, (y + r) * k), fill=1)
    return np.array(sheet)


def _signed(mask: np.ndarray, unit: float) -> np.ndarray:
    """Distance to the outline of a mask, sheet units, positive inside."""
    distance = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    return (distance * unit).astype(np.float32)


def _print_swell(rgb: np.ndarray, x: np.ndarray, y: np.ndarray, number: int, seed: int) -> None:
    """Print one swell over what is there; changes ``rgb``."""
    level, height, length, shift, lean = SWELLS[number]
    rng = np.random.default_rng(seed + 100 * number)
    samples, unit = x.shape[0], SHEET / x.shape[0]
    crest = _crest(level, height, length, shift, lean, seed + 3 * number)
    sheet = Image.new("1", (samples, samples))
    outline = [(px / unit, py / unit) for px, py, _ in crest]
    below = [(crest[-1, 0] / unit, 2 * samples), (crest[0, 0] / unit, 2 * samples)]
    ImageDraw.Draw(sheet).polygon(outline + below, fill=1)
    discs, drops = _foam(crest, rng)

    top = max(int((crest[:, 1].min() - 40) / unit), 0)
    bottom = min(int((level + 250) / unit), samples)
    window = slice(top, bottom)
    px, py, view = x[window], y[window], rgb[window]
    water = _signed(np.array(sheet)[window], unit)
    foam = _signed(_stamp(discs, samples)[window], unit)
    soft = 0.5

    # Undo the lean to find the place along the swell, then fan the stripes towards the crest.
    rise = np.clip((level - py) / height, 0.0, 1.0)
    # Below, the face sweeps forward into the trough.
    sweep = np.clip((level + 0.25 * height - py) / height, -1.2, 1.0)
    t = px - lean * rise**2.4 - 0.2 * length * (1.0 - sweep) ** 2
    phase = (t - shift) / length
    saddle = phase - np.floor(phase + 0.5)
    face = saddle > 0
    sway = 0.35 * smooth_noise(px, py, 70.0, seed + 7)
    climb = saddle * length / 15.0 / (1.0 - 0.45 * rise) + sway
    depth = ndimage.gaussian_filter(water, 9.0 / unit) / 13.5 + 0.5 * sway + 0.02 * t / 15.0
    stripe = np.where(face, climb, depth)
    index = np.floor(stripe).astype(np.int64)
    part = stripe - np.floor(stripe)
    flat = np.where(face[..., None], FACE[index % len(FACE)], BACK[index % len(BACK)])
    # Bokashi: the block is wiped so that the colour pales towards the trough.
    flat = mix(flat, SHADE, 0.35 * smoothstep(20.0, 190.0, water))
    period = np.where(face, 15.0 * (1.0 - 0.45 * rise), 13.5)
    rim = np.minimum(part, 1.0 - part) * period
    weight = 0.75 + 0.35 * smooth_noise(px, py, 25.0, seed + 8)
    flat = mix(flat, KEY, smoothstep(weight + soft, weight - soft, rim))
    hair = np.abs(part - 0.5) * period
    flat = mix(flat, CREAM, 0.75 * smoothstep(1.0, 0.3, hair) * (index % 3 == 1))
    view[:] = mix(view, flat, smoothstep(-soft, soft, water))
    view[:] = mix(view, KEY, smoothstep(1.5 + soft, 1.5 - soft, np.abs(water)))

    white = mix(np.broadcast_to(CREAM, view.shape), SHADE, smoothstep(2.2, 2.8, foam) * smoothstep(4.0, 3.4, foam))
    view[:] = mix(view, white, smoothstep(-soft, soft, foam))
    view[:] = mix(view, KEY, smoothstep(0.95 + soft, 0.95 - soft, np.abs(foam + 0.6)))
    if len(drops):
        spray = _signed(_stamp(drops, samples)[window], unit)
        view[:] = mix(view, CREAM, smoothstep(-soft, soft, spray))
        view[:] = mix(view, KEY, 0.8 * smoothstep(0.6 + soft, 0.6 - soft, np.abs(spray + 0.5)))


def paint(size: int = 768, seed: int = 8) -> Image.Image:
    """Print the waves; ``size`` pixels square, the same sheet for the same ``seed``."""
    x, y = grid(size, 2)
    # Evening sky: wiped from coral to paper, with bars of cloud.
    drift = y + 9.0 * smooth_noise(x, y, 160.0, seed + 1)
    rgb = ramp(SKY, drift / 330.0 + 0.04 * smooth_noise(x, y, 60.0, seed + 2))
    bar = smooth_noise(0.26 * x, y, 38.0, seed + 3) + 0.22 * smooth_noise(0.4 * x, y, 15.0, seed + 9)
    bar = (bar + 0.004 * y) * 3.1
    tint = np.floor(bar).astype(np.int64)
    rgb = mix(rgb, CLOUD[tint % len(CLOUD)], 0.82 * (tint % len(CLOUD) != 1))
    slope = np.hypot(*np.gradient(bar)) * x.shape[0] / SHEET + 1e-4
    rgb = mix(rgb, KEY, smoothstep(1.15, 0.45, np.abs(bar - np.round(bar)) / slope))
    for number in range(len(SWELLS)):
        _print_swell(rgb, x, y, number, seed)
    # The grain of the plank and the tooth of the paper.
    plank = smooth_noise(0.07 * x + 3.0 * smooth_noise(x, y, 200.0, seed + 4), y, 2.6, seed + 5)
    rgb = rgb * (1.0 + 0.045 * plank + 0.03 * cloud(x, y, 3.0, seed + 6, 2))[..., None]
    return to_image(rgb, size)
