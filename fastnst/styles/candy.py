"""`candy`: curls and lollipops, thick as piped icing, on a plum-dark ground.

Lollipops of every size are packed until hardly any ground is left; curls of striped candy are laid
over them, each a stem that rolls up at its end.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import mix, pigments
from fastnst.styles.sheet import SHEET, grid, smoothstep, to_image, window

GROUND = pigments("2b0f33", "43164a")
OUTLINE = pigments("1a0820")[0]
SUGAR = pigments("ff4f9a", "ff8a1f", "19c3b8", "ffd23c", "fff4e2", "e8263f", "8f4fd6", "ff9fc4", "7fdc5a", "2a8df0")
# Colours that go together on one sweet, light against strong.
PAIRS = ((0, 4), (1, 3), (2, 4), (5, 4), (0, 3), (6, 7), (2, 3), (1, 7), (5, 3), (9, 4), (8, 3), (0, 2), (6, 3), (1, 4))


def _pack(rng: np.random.Generator) -> np.ndarray:
    """Circles that do not overlap, the large first: ``(n, 3)`` rows of x, y, radius in sheet units."""
    circles = np.empty((0, 3))
    sizes = (
        (92, 30),
        (72, 90),
        (56, 260),
        (44, 700),
        (34, 1200),
        (26, 1800),
        (19, 2400),
        (13, 3200),
        (9, 3600),
        (6, 3600),
    )
    for radius, tries in sizes:
        for x, y in rng.uniform(-0.5 * radius, SHEET + 0.5 * radius, (tries, 2)):
            if not len(circles):
                room = float(radius)
            else:
                room = float((np.hypot(circles[:, 0] - x, circles[:, 1] - y) - circles[:, 2]).min()) - 2.0
            if room >= radius:
                circles = np.concatenate([circles, [[x, y, min(room, 1.18 * radius)]]])
    return circles


def _shine(cover: np.ndarray, dx: np.ndarray, dy: np.ndarray, radius: float) -> np.ndarray:
    """A window reflected in glazed sugar: a bent streak at the upper left; 0..1."""
    r, theta = np.hypot(dx, dy) / radius, np.arctan2(dy, dx)
    bow = smoothstep(0.085, 0.05, np.abs(r - 0.76)) * smoothstep(0.62, 0.5, np.abs(theta + 2.35))
    dot = smoothstep(0.085, 0.06, np.hypot(dx / radius + 0.02, dy / radius + 0.76))
    return cover * np.maximum(bow, dot)


def _lollipop(
    rgb: np.ndarray, x: np.ndarray, y: np.ndarray, circle: np.ndarray, rng: np.random.Generator, seed: int
) -> None:
    """Paint one sweet into ``rgb``."""
    cx, cy, radius = circle
    view = window(x, cx - radius - 2, cy - radius - 2, cx + radius + 2, cy + radius + 2)
    kind, pair = rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)), PAIRS[rng.integers(len(PAIRS))]
    first, second, third = (SUGAR[i] for i in (*pair, rng.integers(len(SUGAR))))
    turn, sense, arms = rng.uniform(0, 2 * np.pi), rng.choice([-1.0, 1.0]), int(rng.integers(4, 8))
    dx, dy = x[view] - cx, y[view] - cy
    if dx.size == 0:
        return
    r = np.hypot(dx, dy)
    wobble = 1.0 + 0.045 * smooth_noise(x[view], y[view], 34.0, seed)
    q, theta = r * wobble / radius, np.arctan2(dy, dx)
    line = 1.5 + 0.012 * radius
    period = max(0.23, 6.0 / radius)
    if kind == 0:  # pinwheel: arms that bend with the root of the radius
        wave = (arms * sense * theta + turn) / (2 * np.pi) + 1.6 * np.sqrt(np.maximum(q, 1e-4)) * sense * arms / 4
        width = 2 * np.pi * r / arms / np.sqrt(1.0 + (0.8 * arms * np.sqrt(q) * np.pi / 2 / arms) ** 2)
    elif kind == 1:  # one rope rolled up
        wave = q / period + sense * theta / (2 * np.pi) + turn
        width = np.full(r.shape, period * radius)
    elif kind == 2:  # rings
        wave = q / (1.25 * period) + 0.05 * np.sin(3 * theta + turn)
        width = np.full(r.shape, 1.25 * period * radius)
    else:  # segments of a ring round a heart
        wave = np.where(q > 0.48, arms * 1.5 * theta / np.pi + turn, q / 0.3)
        width = np.where(q > 0.48, 2 * np.pi * r / arms / 1.5, 0.3 * radius)
    part = wave - np.floor(wave)
    near = np.minimum(np.abs(part - 0.5), np.minimum(part, 1.0 - part)) * width
    sugar = np.where((part < 0.5)[..., None], first, second)
    if kind in (1, 2):
        sugar = np.where(((np.floor(wave) % 3 == 0) & (part < 0.5))[..., None], third, sugar)
    # Every stripe is a rounded bead of sugar.
    bead = smoothstep(0.0, 0.16, np.abs((2 * part) % 1.0 - 0.5) * -1 + 0.5)
    sugar = sugar * (0.80 + 0.24 * bead)[..., None]
    sugar = mix(sugar, OUTLINE, 0.92 * smoothstep(0.62 * line, 0.25 * line, near))
    ball = 1.08 - 0.34 * smoothstep(0.45, 1.0, q) * smoothstep(-0.4, 0.9, (dx + dy) / (1.41 * radius))
    sugar = sugar * ball[..., None]
    edge = radius * (1.0 - q)
    sugar = mix(sugar, OUTLINE, smoothstep(2.4 + 0.02 * radius, 1.6 + 0.02 * radius, edge))
    cover = smoothstep(-0.6, 0.6, edge)
    sugar = mix(sugar, np.ones(3), 0.75 * _shine(cover, dx, dy, radius) * (radius > 12))
    rgb[view] = mix(rgb[view], sugar, cover)


def _curl(
    rgb: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator, at: np.ndarray, scale: float
) -> None:
    """Lay one curl of candy whose roll is centred at ``at`` and ``scale`` sheet units wide."""
    turns, sense, start = rng.uniform(1.5, 1.9), rng.choice([-1.0, 1.0]), rng.uniform(0, 2 * np.pi)
    phi = np.linspace(0.0, 2 * np.pi * turns, 260)
    r = scale * (0.16 + 0.84 * phi / phi[-1])
    roll = np.stack([r * np.cos(start + sense * phi), r * np.sin(start + sense * phi)], 1)
    heading = roll[-1] - roll[-2]
    angle, step = np.arctan2(heading[1], heading[0]), float(np.hypot(*heading))
    # The stem leaves the roll along its tangent and straightens, then bends the other way.
    count = int(rng.uniform(2.6, 4.2) * scale / step)
    bend = sense * step / scale * np.linspace(1.0, -0.75, count)
    angles = angle + np.cumsum(bend)
    stem = roll[-1] + step * np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), axis=0)
    path = np.concatenate([roll, stem]) + at
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    half = 0.19 * scale * np.interp(walked / walked[-1], [0, 0.12, 0.5, 1.0], [0.75, 1.0, 1.25, 0.35])

    view = window(x, *(path.min(0) - half.max() - 4), *(path.max(0) + half.max() + 4))
    px, py = x[view], y[view]
    if px.size == 0:
        return
    near, index = cKDTree(path).query(np.stack([px.ravel(), py.ravel()], 1), distance_upper_bound=half.max() + 8)
    index = np.minimum(index, len(path) - 1)
    tangent = np.gradient(path, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    ox, oy = px.ravel() - path[index, 0], py.ravel() - path[index, 1]
    side = (tangent[index, 0] * oy - tangent[index, 1] * ox).reshape(px.shape)
    near, width = near.reshape(px.shape), half[index].reshape(px.shape)
    s = (walked[index] + tangent[index, 0] * ox + tangent[index, 1] * oy).reshape(px.shape)
    with np.errstate(invalid="ignore"):
        level = np.clip(1.0 - (near / width) ** 2, 0.0, 1.0)
    pair = PAIRS[rng.integers(len(PAIRS))]
    pitch = 0.62 * scale
    wave = (s + 1.1 * side) / pitch
    part = wave - np.floor(wave)
    sugar = np.where((part < 0.5)[..., None], SUGAR[pair[0]], SUGAR[pair[1]])
    border = np.minimum(np.abs(part - 0.5), np.minimum(part, 1.0 - part)) * pitch / 1.5
    sugar = sugar * (0.62 + 0.42 * np.sqrt(level))[..., None]
    sugar = mix(sugar, OUTLINE, 0.85 * smoothstep(1.5, 0.6, border))
    lamp = (side * np.sign(-1.0) * (tangent[index, 0] - tangent[index, 1]).reshape(px.shape)) / width
    sugar = mix(sugar, np.ones(3), 0.7 * smoothstep(0.16, 0.08, np.abs(lamp - 0.62)))
    rim = 2.4 + 0.026 * scale
    cover = smoothstep(rim + 0.6, rim - 0.6, near - width)
    shadow = 0.45 * smoothstep(rim + 6.0, rim, near - width)
    rgb[view] = rgb[view] * (1.0 - shadow)[..., None]
    sugar = mix(sugar, OUTLINE, smoothstep(-0.6, 0.6, near - width))
    rgb[view] = mix(rgb[view], sugar, cover)


def paint(size: int = 768, seed: int = 4) -> Image.Image:
    """Paint the sweets; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    x, y = grid(size, 2)
    swirl = np.sin(0.21 * (x + 26 * smooth_noise(x, y, 70.0, seed)) + 0.1 * y)
    rgb = mix(np.broadcast_to(GROUND[0], (*x.shape, 3)), GROUND[1], smoothstep(-0.1, 0.1, swirl))
    for number, circle in enumerate(_pack(rng)):
        _lollipop(rgb, x, y, circle, rng, seed + number)
    spots = rng.permutation(np.stack(np.meshgrid(*(np.linspace(70, 700, 4),) * 2), -1).reshape(-1, 2))
    for at, scale in zip(spots + rng.normal(0, 34, spots.shape), np.tile((62.0, 40.0, 50.0, 30.0), 4), strict=True):
        _curl(rgb, x, y, rng, at, scale * rng.uniform(0.85, 1.15))
    # Painted, not printed: brush drag and canvas.
    drag = cloud(x + 0.4 * y, 0.3 * y - 0.12 * x, 5.0, seed + 5, 2)
    return to_image(rgb * (1.0 + 0.07 * drag)[..., None], size)
