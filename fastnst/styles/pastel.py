"""`pastel`: a still life in soft chalk on tinted paper: pots and fruit on a cloth.

Powder is rubbed into the grain first; then come broad strokes with the side of the stick, hatching
that follows the forms, and last the dark accents of the outlines and the lights. Between the
strokes the paper shows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import measure

from fastnst.styles.chalk import Chalk
from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import between, mix, pigments, ramp
from fastnst.styles.sheet import SHEET, smoothstep, to_image, window
from fastnst.styles.sketch import Sketch, along


class Sticks(NamedTuple):
    """One choice of sticks; ramps run from shade to light."""

    paper: np.ndarray
    wall: np.ndarray
    cloth: np.ndarray
    pot: np.ndarray
    second: np.ndarray  # the other pot


CHOICES = tuple(
    Sticks(*(pigments(*codes.split()) for codes in choice))
    for choice in (
        (
            "9a8f86",
            "4f6272 6f8794 93a8ad b7bfb5",
            "7d7f9c a9a6b8 d3c9c4 f0e6d3",
            "27456b 3f6fa0 7fa6c4 d9e4e4",
            "7a3f2c b06a43 d39a68 eccb9e",
        ),
        (
            "7f6a58",
            "6a4a3a 8f6648 b58a5f d0ad7f",
            "8a6f63 b89a80 dcc3a0 f3e4c5",
            "36523f 5b7d58 92a97a d6d9ae",
            "343a55 55608a 8b93b5 cfd0da",
        ),
        (
            "a58b93",
            "7a5a70 9f7c8a c3a0a4 dcc3bb",
            "6f8587 97aaa5 c3ccbf eae8d6",
            "8a4f35 c07f4d dfb078 f3dcb2",
            "3f5d62 63878a 9bb5b1 dde4d8",
        ),
        (
            "6d7479",
            "30434f 48606a 6b8186 95a39f",
            "8f8577 b8aa92 d9cbb0 f3e9d2",
            "8a7a66 b5a48a d8c9ad f5ecd8",
            "702f3a a34d4f cc8473 e8bfa4",
        ),
        (
            "b39d78",
            "8c8a5c a8a46f c4bd89 d9d2a6",
            "9a7f8f bda0a8 dcc4c0 f3e3da",
            "4a4a78 6f6ea0 a09fc4 dcd9e6",
            "9a5f2c c98c45 e4b873 f5deae",
        ),
    )
)
FRUIT = tuple(
    pigments(*codes.split())
    for codes in (
        "5c1a26 a32f30 cf5a40 eda36f",  # red apple
        "5f6a2c 8f9a3f c0c05c e9e3a0",  # green apple
        "8a4a1c cc7428 ea9d45 f7cf8a",  # orange
        "8f7a24 cfae38 ecd25f f8ecae",  # lemon
        "6f6a2e ab9a46 d8bf66 f3dfa0",  # pear
        "2f2244 543c6c 80659a b8a4c6",  # plum
        "9a4a3c d07a58 eba67c f8d6b0",  # peach
    )
)
WARM = np.array([0.045, 0.004, -0.05])  # what a warm stick adds to a colour
APPLES, LEMON, PEAR, PLUM = (0, 1), 3, 4, 5
# Half widths from the foot to the mouth, over the height.
POTS = {
    "jug": (0.24, 0.32, 0.37, 0.37, 0.31, 0.22, 0.17, 0.18, 0.22),
    "bottle": (0.17, 0.18, 0.18, 0.18, 0.17, 0.12, 0.06, 0.055, 0.06),
    "vase": (0.17, 0.25, 0.32, 0.35, 0.33, 0.26, 0.17, 0.13, 0.17),
    "bowl": (0.42, 0.46, 0.62, 0.8, 0.94, 1.05, 1.13, 1.19, 1.24),
}


def _shade(sketch: Sketch, x: float, foot: float, wide: float) -> None:
    """The shadow that a thing casts on the cloth, to the lower right."""
    at = window(sketch.x, x - 2.0 * wide, foot - 0.5 * wide - 10.0, x + 3.5 * wide, foot + 0.5 * wide + 10.0)
    dx, dy = (sketch.x[at] - x - 0.75 * wide) / (1.5 * wide), (sketch.y[at] - foot + 0.02 * wide) / (0.26 * wide + 5.0)
    dark = 0.72 * smoothstep(1.15, 0.45, np.hypot(dx - 0.3 * dy, dy))
    sketch.darken(dark, np.array([0.5, 0.5, 0.66], np.float32), at)


def _pot(
    sketch: Sketch,
    kind: str,
    x: float,
    foot: float,
    height: float,
    stops: np.ndarray,
    sense: float,
    front: bool = False,
) -> None:
    """A vessel turned on the wheel, lit from the upper left.

    Args:
        sketch: where it is laid.
        kind: one of ``POTS``; a jug has a handle on the side ``sense``.
        x: sheet units.
        foot: y of its foot, sheet units.
        height: sheet units.
        stops: its colours.
        sense: -1 or 1.
        front: only the wall below the mouth, to hide what lies in it.
    """
    profile = np.array(POTS[kind])
    wide = 1.1 * max(float(profile.max()), 0.6) * height + 20.0
    at = window(sketch.x, x - wide, foot - 1.3 * height - 20.0, x + wide, foot + 0.2 * height + 20.0)
    px, py = sketch.x[at], sketch.y[at]
    up = (foot - py) / height + 0.05 * profile[0] * (1.0 - ((px - x) / (profile[0] * height)) ** 2).clip(0)
    half = height * ndimage.map_coordinates(profile, [np.clip(up, 0, 1) * 8.0], order=3, mode="nearest")
    side = (px - x) / half
    mouth = float(profile[-1]) * height
    lip = (py - foot + 0.985 * height) / (0.2 * mouth)
    if not front:
        _shade(sketch, x, foot, float(profile.max()) * height)
    if kind == "jug":
        ring = np.hypot((px - x - sense * 0.36 * height) / (0.2 * height), (up - 0.58) / 0.26)
        handle = smoothstep(0.17, 0.13, np.abs(ring - 0.85)) * (sense * (px - x) > 0.1 * height)
        sketch.lay(handle, ramp(stops, 0.75 - 0.5 * ring), along(ring), 0.4, at=at)
    body = np.minimum(np.minimum(1.0 - np.abs(side), 14.0 * up), 14.0 * (1.0 - up))
    if front:
        body = np.minimum(body, lip - np.sqrt(np.clip(1.0 - ((px - x) / mouth) ** 2, 0, 1)))
    tone = 0.9 - 0.8 * np.abs(side + 0.42) ** 1.4 + 0.16 * smoothstep(0.72, 1.0, side)
    tone = tone + 0.1 * (up - 0.5) + 0.06 * smooth_noise(px, py, 40.0, int(x))
    colour = ramp(stops, tone)
    # A glazed band, and the window in the glaze.
    band = smoothstep(0.05, 0.03, np.abs(up - 0.6 - 0.02 * (1 - side**2))) * (kind in ("jug", "vase"))
    colour = mix(colour, colour * 0.72, band)
    colour = mix(colour, np.ones(3), 0.75 * smoothstep(0.17, 0.08, np.hypot(side + 0.45, 1.6 * (up - 0.68))))
    way = np.arctan2(1.0, np.gradient(half, axis=0) * side)
    sketch.lay(smoothstep(-0.02, 0.03, body), colour, way, 0.62, at=at)
    if kind != "bottle" and not front:
        rim = np.hypot((px - x) / mouth, lip)
        sketch.lay(smoothstep(1.02, 0.98, rim), ramp(stops, 0.95 - 0.3 * rim), 0.0, 0.4, at=at)
        sketch.lay(smoothstep(0.88, 0.84, rim), ramp(stops * 0.8, 0.2 + 0.3 * side), 0.1, 0.4, at=at)


def _fruit(
    sketch: Sketch, kind: int, x: float, foot: float, radius: float, rng: np.random.Generator, shadow: bool = True
) -> None:
    """One fruit; ``kind`` is its place in ``FRUIT``."""
    cy, seed = foot - 0.93 * radius, int(rng.integers(1 << 30))
    at = window(sketch.x, x - 1.6 * radius - 20, cy - 2.2 * radius - 20, x + 1.6 * radius + 20, cy + 1.6 * radius + 20)
    px, py = sketch.x[at], sketch.y[at]
    turn = rng.uniform(-0.5, 0.5) if kind in (LEMON, PEAR) else rng.uniform(-0.15, 0.15)
    dx, dy = (px - x) / radius, (py - cy) / radius
    u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    if kind == PEAR:
        v = (v + 0.42) / 1.42
        r = np.hypot(u / (0.98 - 0.46 * smoothstep(0.35, -0.75, v)), v)
    elif kind == LEMON:
        r = np.hypot(u / (1.18 + 0.12 * np.exp(-((v / 0.25) ** 2))), v / 0.86)
    else:
        r = np.hypot(u, v / 0.94) + 0.05 * np.exp(-((u / 0.22) ** 2)) * (v < 0) * (kind != PLUM)
    r = r + 0.015 * smooth_noise(px, py, 30.0, seed)
    if shadow:
        _shade(sketch, x, foot, radius)
    lamp = np.hypot(u + 0.36, v + 0.4)
    tone = 1.02 - 0.7 * lamp + 0.2 * smoothstep(0.8, 1.0, r) * (dx + dy > 0.5)
    blush = smoothstep(-0.1, 0.6, cloud(px, py, 0.9 * radius, seed + 1, 2) + 0.25 * u)
    colour = mix(ramp(FRUIT[kind], tone), ramp(FRUIT[(kind + rng.choice([-1, 1])) % 7], tone), 0.5 * blush)
    colour = mix(colour, np.array([1.0, 0.97, 0.9]), 0.8 * smoothstep(0.2, 0.07, lamp))
    way = along(ndimage.gaussian_filter(r + 0.25 * lamp, 2.0))
    sketch.lay(smoothstep(1.02, 0.98, r), colour, way, 0.3 + radius / 180.0, at=at)
    if kind in APPLES:
        stalk = np.abs(u - 0.12 * np.clip(-0.62 - v, 0, 1)) - 0.045
        stem = smoothstep(0.03, -0.01, stalk) * (np.abs(v + 1.0) < 0.2)
        sketch.lay(stem, pigments("3a2a20")[0], 1.4 + turn, 0.3, at=at)


def _softened(seen: np.ndarray, sigma: float) -> np.ndarray:
    """A mask with soft rims, float32 0..1; only computed close to what is seen."""
    soft = np.zeros(seen.shape, np.float32)
    if seen.any():
        rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
        at = tuple(slice(max(k[0] - 16, 0), k[-1] + 16) for k in (rows, columns))
        soft[at] = ndimage.gaussian_filter(seen[at].astype(np.float32), sigma)
    return soft


def _sketch(seed: int) -> tuple[Sketch, Sticks]:
    """The still life."""
    rng = np.random.default_rng(seed)
    sticks = Sticks(*between(CHOICES, rng))
    s = Sketch()
    x, y = s.x, s.y
    sense = rng.choice([-1.0, 1.0])

    # The wall, lighter where the lamp falls on it; a curtain on one side.
    tone = 0.56 - 0.0011 * sense * (x - 384.0) - 0.0003 * y + 0.42 * cloud(x, y, 230.0, seed + 1, 2)
    s.lay(np.ones(x.shape), ramp(sticks.wall, tone), -0.95 + 0.25 * smooth_noise(x, y, 200.0, seed + 2), 1.25)
    if rng.uniform() < 0.6:
        edge = x if sense > 0 else SHEET - x
        fold = 0.06 * y + 34.0 * smooth_noise(x, 0.5 * y, 120.0, seed + 3)
        tone = 0.5 + 0.42 * np.sin((edge + fold) / 15.0 + 2.0 * smooth_noise(x, 0.4 * y, 70.0, seed + 4))
        drape = smoothstep(-1, 1, rng.uniform(110.0, 190.0) - edge + 0.5 * fold - 0.1 * (y - 300))
        s.lay(drape, ramp(sticks.second * 0.85, tone * 0.8), 1.5 + 0.1 * smooth_noise(x, y, 90.0, seed + 5), 0.9)

    # The table under its cloth.
    back = rng.uniform(410.0, 470.0)
    table = y - back - 0.05 * sense * (x - 384.0) - 4.0 * smooth_noise(x, 0 * y, 120.0, seed + 6)
    crease = cloud(0.7 * x + 0.5 * sense * y, y - 0.3 * sense * x, 150.0, seed + 7, 3)
    fold = np.abs(cloud(x + 0.9 * y * sense, 0.5 * y, 170.0, seed + 8, 2))
    tone = 0.6 + 0.5 * crease - 0.34 * smoothstep(0.12, 0.0, fold)  # a crease is dark, its ridge light
    tone = tone + 0.2 * smoothstep(0.1, 0.2, fold) * smoothstep(0.34, 0.2, fold)
    way = along(ndimage.gaussian_filter(crease + 0.002 * y, 6.0))
    s.lay(smoothstep(-1, 1, table), ramp(sticks.cloth, tone), way, 1.1)

    # At the back the tall things, before them a bowl of fruit, in front what rolled out of it.
    middle = 384.0 + sense * rng.uniform(30.0, 90.0)
    kinds = list(rng.permutation(["jug", "bottle", "vase"]))
    heights = {"jug": 285.0, "bottle": 370.0, "vase": 305.0}
    for kind, place, stops in zip(
        kinds[: int(rng.integers(1, 4))], (0.0, 165.0, -170.0), (sticks.pot, sticks.second, sticks.wall), strict=False
    ):
        foot, at = back + rng.uniform(70.0, 110.0), middle + sense * place + rng.uniform(-18, 18)
        _pot(s, kind, at, foot, heights[kind] * rng.uniform(0.9, 1.15), stops, sense)
    things = rng.permutation(7)
    dish = middle - sense * rng.uniform(90.0, 150.0)
    if rng.uniform() < 0.7:
        foot, tall = back + rng.uniform(150.0, 180.0), rng.uniform(88.0, 108.0)
        stops = sticks.second if rng.uniform() < 0.5 else sticks.pot
        _pot(s, "bowl", dish, foot, tall, stops, sense)
        for dx, lift in ((-62, 0), (58, 0), (0, 6), (-30, 44), (34, 46)):
            _fruit(
                s, int(things[rng.integers(0, 3)]), dish + dx, foot - tall + 22 - lift, rng.uniform(42, 52), rng, False
            )
        _pot(s, "bowl", dish, foot, tall, stops, sense, front=True)
    count = int(rng.integers(4, 7))
    for place, number in zip(np.sort(rng.uniform(back + 190.0, 735.0, count)), rng.permutation(count), strict=True):
        at = 130.0 + 508.0 * (number + rng.uniform(0.2, 0.8)) / count
        _fruit(s, int(things[rng.integers(1, 6)]), at, place, rng.uniform(40.0, 56.0) * (0.7 + 0.0006 * place), rng)
    return s, sticks


def paint(size: int = 768, seed: int = 3) -> Image.Image:
    """Draw the still life; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    sketch, sticks = _sketch(seed)
    chalk = Chalk(size, sticks.paper[0], seed + 50)

    def full(field: np.ndarray) -> np.ndarray:
        """A plan at the size of the sheet of paper."""
        return np.asarray(Image.fromarray(field.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR))

    # spacing, length, width, pressure, share of the places
    passes = ((21.0, 74.0, 22.0, 0.62, 0.9), (11.0, 58.0, 7.5, 0.82, 0.8), (9.0, 34.0, 3.8, 0.95, 0.6))
    soft = [ndimage.gaussian_filter(sketch.colour, (0.3 * w, 0.3 * w, 0)) for _, _, w, _, _ in passes]
    rubbed = np.stack([full(soft[1][..., k]) for k in range(3)], -1)
    strength = 0.5 + 0.9 * smooth_noise(sketch.x, sketch.y, 55.0, seed + 51)
    for area, (scale, _) in enumerate(sketch.strokes):
        seen = sketch.area == area
        before = chalk.colour.copy()
        chalk.rub(rubbed, np.full((size, size), 0.66, np.float32))
        for number, (spacing, length, width, press, share) in enumerate(passes):
            lean = 0.0 if number < 2 else 0.35
            for px, py in np.stack(sketch.places(area, spacing * max(scale, 0.5) / share**0.5, rng), 1):
                at = (int(py), int(px))
                factor = scale * rng.uniform(0.7, 1.2)
                warm = (-1.0, 1.0)[rng.integers(2)] * rng.uniform(0.3, 1.3)
                colour = soft[number][at] * (1.0 + 0.07 * rng.normal()) + warm * WARM
                angle = sketch.angle[at] + lean + 0.09 * rng.normal()
                force = press + 0.1 * rng.normal()
                chalk.stroke(
                    px, py, angle, rng.normal(0, 0.15) / length, length * factor, width * factor**0.5, colour, force
                )
        edge = full(_softened(seen, 1.6))
        cover = smoothstep(0.25, 0.75, edge + 0.3 * (chalk.tooth - 0.5))[..., None]
        chalk.colour = before + (chalk.colour - before) * cover
        if area and scale < 0.9:  # the outline of a thing: broken, in its own dark
            dark = np.percentile(sketch.colour[seen], 4, axis=0) * 0.75 if seen.any() else sticks.paper[0]
            for line in measure.find_contours(_softened(seen, 1.2), 0.5):
                for start in range(0, len(line) - 14, 7):
                    way = line[start + 14] - line[start]
                    (py, px), turn = line[start + 7], np.arctan2(way[0], way[1])
                    weight = strength[int(py), int(px)]
                    if weight > 0.2:
                        chalk.stroke(px, py, turn, 0.0, 18.0, 1.2 + 2.6 * weight, dark, 0.6 + 0.4 * weight)
    return to_image(chalk.colour, size)
