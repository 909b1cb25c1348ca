"""`oil`: a river landscape in soft strokes, as the impressionists painted outdoors.

A sketch says what is where: sky, hills, trees, water that mirrors them, banks with flowers. The
strokes follow its forms, area by area from back to front, in each first the large ones and last
the small ones; no two have quite the same colour, and warm ones lie beside cool ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from fastnst.styles.brush import Canvas
from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import between, mix, pigments, ramp
from fastnst.styles.sheet import SHEET, sample, smoothstep, to_image, window
from fastnst.styles.sketch import Sketch, along, lit


class Hour(NamedTuple):
    """The colours of one hour of one season; ramps run from shade to light."""

    ground: np.ndarray
    sky: np.ndarray  # from the zenith to the horizon
    clouds: np.ndarray
    far: np.ndarray
    fields: np.ndarray
    leaves: np.ndarray
    bank: np.ndarray
    flowers: np.ndarray


SHADOW = np.array([0.55, 0.62, 0.78], np.float32)  # what a shadow leaves of the colour under it

WARM, OTHER = np.array([0.034, 0.004, -0.04]), np.array([1.0, 0.9, 0.7])  # how two strokes of one colour differ


def _hour(*ramps: str) -> Hour:
    return Hour(*(pigments(*codes.split()) for codes in ramps))


HOURS = (
    _hour(  # a morning in June
        "b08d6a",
        "6f9cc4 8fb4d0 b4cbd6 dcd8c6 ecd9bb",
        "8d9bb4 b3b5c0 dcd3c9 f3e8d6 f7efe0",
        "5f7899 7e94a8 a5aeb0",
        "5b7a55 7f9a5c a9b46c cdbf78 d9c98c",
        "2f4a44 466a48 6d8c4c 9fae5c c9c473",
        "43623f 66854a 93a554 bcbd67 d8cb86",
        "e7b7b4 d9726a f1e3c0 e6c24e b98fb8",
    ),
    _hour(  # an evening in September
        "8a5a4a",
        "6b7fa6 9a8fae cf9f98 eab27c f4cd84",
        "7a6c8e a98598 d99a86 f0b983 f8d9a0",
        "5a5880 7d6d8c a9838a",
        "6a6045 96804c c39a55 ddb062 ebc981",
        "38403f 5c5a3c 8d753f bf9548 e0b65d",
        "4b4a3c 756542 a5824a cf9f57 e6bb74",
        "d8803f c65a3c efcb6a f1dfae a75a78",
    ),
    _hour(  # noon by the sea of corn
        "a8895c",
        "4f86bb 74a3cb a2c2d6 cfd9d2 e6e0c8",
        "93a8c0 bcc6cd e2e0d6 f5f0e2 fbf7ec",
        "6283a0 86a0ab b0b9ac",
        "8a8446 b49f4d d6b75a e6c96e efd98f",
        "2e4b3b 43683f 628646 8fa352 b9b863",
        "7a7a3e a8964a cfb157 e4c56d efd891",
        "c9513c d97b4c f0e6c8 6f83b5 e9d06a",
    ),
    _hour(  # grey spring, blossom
        "9a8f8c",
        "8fa2b8 a9b6c3 c5c9cb dad5cb e6dccd",
        "98a0ae b7bac0 d5d1ce eae3da f3ece2",
        "7488a0 92a0ac b4b6b4",
        "6d8468 8f9f74 b3b487 d0c49a dfd2b0",
        "56706a 8a9a86 c3a9ae e2c3c2 f2dfda",
        "587456 7d9463 a6ae76 c7c08d dccfa6",
        "efd3d6 e0a7b0 f5ecdc d8c16a a99cc4",
    ),
    _hour(  # snow, late sun
        "7d7f94",
        "7f93b8 a0a9c6 c9bccb ecccbc f6dcb8",
        "8088a8 a79fb8 d2b8c0 efd2c2 f9e6cf",
        "6a78a0 8c92b2 b3abbd",
        "8f9cc0 aeb5d0 cfcbdb e8dcd9 f6ebde",
        "4a4a5c 6d6168 94807a bda08c dcc3a6",
        "8c9ac2 adb6d4 cfcfe0 ebe0dd f8eee2",
        "c98a5c a86a50 f6e2c4 8f84ac e4b68e",
    ),
)


def _tree(
    sketch: Sketch, hour: Hour, rng: np.random.Generator, x: float, foot: float, height: float, slim: float
) -> None:
    """One tree: trunk, crown of many small clumps of leaves, shadow on the ground.

    Args:
        sketch: where it is laid.
        hour: its colours.
        rng: its shape.
        x: sheet units.
        foot: y of its foot, sheet units.
        height: sheet units.
        slim: half width of the crown over its height: 0.1 a poplar, 0.35 an oak, 0.6 a bush without a trunk.
    """
    seed, trunk = int(rng.integers(1 << 30)), 0.0 if slim > 0.5 else 0.16 + 0.25 * slim
    wide, low = (1.6 * slim + 0.3) * height + 50.0, foot + 0.1 * height + 20.0
    at = window(sketch.x, x - wide, foot - 0.8 * height - 20.0, x + wide, low)
    px, py = sketch.x[at], sketch.y[at]
    shade = np.hypot((px - x - 0.2 * height) / (1.3 * slim * height + 8), (py - foot - 2) / (0.05 * height + 4))
    sketch.darken(0.55 * smoothstep(1.2, 0.4, shade) * (py > foot - 0.12 * height), SHADOW, at)
    if trunk:
        lean = x + 0.05 * (foot - py) * np.sin(seed) + 3.0 * smooth_noise(py, 0 * py, 50.0, seed)
        width = (0.006 + 0.03 * slim) * height * (1.0 + 0.8 * smoothstep(foot - 0.12 * height, foot, py))
        wood = smoothstep(width + 0.8, width - 0.8, np.abs(px - lean))
        wood = wood * ((py < foot) & (py > foot - 0.75 * height))
        bark = ramp(hour.leaves * [0.85, 0.66, 0.66], 0.4 - 0.45 * (px - lean) / (width + 1))
        sketch.lay(wood, bark, 1.5, 0.6, at=at)

    # Where leaves may be: an outline with lobes, filled with clumps, the lower ones in front.
    n = int(60 + 130 * min(slim, 0.4))
    t, place = rng.uniform(0.0, 1.0, n), rng.uniform(-1.0, 1.0, n)
    outline = slim * height * np.sqrt(np.clip(1.0 - np.abs(2.0 * t**1.1 - 0.9) ** 2.4, 0.02, 1.0))
    outline = outline * (0.78 + 0.3 * smooth_noise(9.0 * t, 4.0 * np.sign(place), 1.6, seed))
    cx = x + place * outline + 0.05 * height * np.sin(seed) * (t + trunk)
    cy = foot - height * (trunk + (1.0 - trunk) * t)
    radius = rng.uniform(0.55, 1.35, n) * (0.13 + 0.06 * slim) * np.sqrt(slim) * height + 2.0
    most = 3.0 * radius.max() + 50.0  # never empty, though a tree may stand outside of the sheet
    crown = window(sketch.x, cx.min() - most, cy.min() - most, cx.max() + most, cy.max() + most)
    plain_x, plain_y = sketch.x[crown], sketch.y[crown]
    px, py = sketch.x.astype(np.float64), sketch.y.astype(np.float64)
    px[crown] += 0.35 * radius.mean() * smooth_noise(plain_x, plain_y, 9.0, seed + 1)
    py[crown] += 0.35 * radius.mean() * smooth_noise(plain_x, plain_y, 9.0, seed + 2)
    cover, tone = np.zeros(px.shape, np.float32), np.zeros(px.shape, np.float32)
    for i in np.argsort(cy):
        far = 2.2 * radius[i]
        at = window(px, cx[i] - far, cy[i] - far, cx[i] + far, cy[i] + far)
        dx, dy = (px[at] - cx[i]) / radius[i], (py[at] - cy[i]) / (0.8 * radius[i])
        inside = smoothstep(1.04, 0.94, np.hypot(dx, dy))
        whole = 0.5 - 0.34 * place[i] + 0.4 * (t[i] - 0.5)
        ball = 0.6 * whole + 0.4 * np.minimum(np.maximum(0.5 - 0.42 * dx - 0.55 * dy, 0.0), 1.0)
        cover[at] = np.maximum(cover[at], inside)
        tone[at] += (ball - tone[at]) * inside
    angle = (
        -0.9 + 1.1 * smooth_noise(plain_x, plain_y, 24.0, seed + 3)
        if slim > 0.15
        else -1.4 + 0.4 * smooth_noise(plain_x, plain_y, 20.0, seed + 3)
    )
    tint = ramp(hour.leaves, 1.7 * tone[crown] - 0.32) * (1.0 + rng.normal(0, 0.04, 3))
    sketch.lay(cover[crown], tint.astype(np.float32), angle, 0.34 + 0.0006 * height, 0.62, at=crown)


def _house(sketch: Sketch, hour: Hour, x: float, foot: float, width: float, roof: np.ndarray) -> None:
    """A cottage with a lit wall, a shaded gable, windows and a roof of the colour ``roof``."""
    px, py = (sketch.x - x) / width, (foot - sketch.y) / width
    wall = (np.abs(px) < 0.5) & (py > 0) & (py < 0.42)
    side = np.where(px[..., None] > 0.18, hour.clouds[-1] * 0.72 + hour.far[1] * 0.12, hour.clouds[-1])
    for pane in (-0.3, -0.02, 0.33):
        side = np.where(((np.abs(px - pane) < 0.05) & (np.abs(py - 0.22) < 0.08))[..., None], hour.far[0] * 0.8, side)
    sketch.lay(wall.astype(np.float32), side, 1.5, 0.5)
    top = (py >= 0.38) & (py < 0.78) & (np.abs(px) < 0.62 - 0.55 * (py - 0.38))
    sketch.lay(top.astype(np.float32), np.where(px[..., None] > 0.2, roof * 0.8, roof), 0.08, 0.5)


def _sketch(seed: int) -> tuple[Sketch, Hour, np.ndarray]:
    """The landscape, its colours, and the last dabs: ``(n, 8)`` rows of x, y, angle, length, width and colour."""
    rng = np.random.default_rng(seed)
    hour = Hour(*between(HOURS, rng))
    view = rng.choice(["river", "lake", "path"], p=[0.5, 0.25, 0.25])
    side = rng.choice([-1.0, 1.0])  # the near bank and its tree: 1 on the left
    horizon = rng.uniform(210.0, 420.0)
    shore = horizon + rng.uniform(45.0, 75.0)
    s = Sketch()
    x, y = s.x, s.y

    # Sky and clouds.
    heap = cloud(0.62 * x + 0.15 * y, y, rng.uniform(120.0, 180.0), seed + 1, 4) + 0.3 - 0.25 * y / horizon
    heap = ndimage.gaussian_filter(heap, 3.0)
    sky = ramp(hour.sky, y / horizon + 0.09 * smooth_noise(x, y, 120.0, seed + 2))
    lump = lit(heap, 38.0) + 0.25 * smoothstep(0.0, 0.8, heap)
    sky = mix(sky, ramp(hour.clouds, lump), 0.9 * smoothstep(0.02, 0.34, heap))
    s.lay(np.ones(x.shape), sky, along(ndimage.gaussian_filter(heap, 14.0) + 0.008 * y + 0.001 * x), 1.2, 1.15)

    # Ranges of hills, the far ones pale.
    ranges = int(rng.integers(2, 4))
    for number in range(ranges):
        near, start = number / (ranges - 1), seed + 10 * number
        crest = cloud(x, 0 * y + 50.0 * number, rng.uniform(170.0, 300.0), start + 10)
        crest = horizon - 52.0 + 62.0 * near - rng.uniform(26.0, 58.0) * crest
        relief = cloud(x + 0.6 * y, 1.5 * y, 130.0, start + 11, 3)
        tone = lit(relief, 24.0) + 0.12 * smooth_noise(x, y, 60.0, start + 12)
        patch = np.floor(3.0 * (cloud(x, 2.6 * y, 110.0, start + 13, 2) + 1)) / 5.0
        green = ramp(hour.fields, 0.55 * tone + 0.45 * patch)
        land = mix(ramp(hour.far, tone), green, np.full(x.shape, 0.15 + 0.75 * near))
        way = along(ndimage.gaussian_filter(crest - y + 12.0 * relief, 4.0))
        s.lay(smoothstep(-0.8, 0.8, y - crest), land, way, 0.75)

    # The far bank: cottages, bushes, a row of poplars.
    meadow = shore - 34.0 - 14.0 * smooth_noise(x, 0 * y, 130.0, seed + 50)
    tone = 0.55 + 0.4 * smooth_noise(x, 4.0 * y, 90.0, seed + 51)
    s.lay(smoothstep(-0.8, 0.8, y - meadow), ramp(hour.fields, tone), 0.06 * smooth_noise(x, y, 60.0, seed + 52), 0.7)
    centre = rng.uniform(220.0, 548.0)
    for place in centre + np.cumsum(rng.uniform(44.0, 80.0, int(rng.integers(0, 4)))):
        roof = hour.flowers[1] + rng.uniform(0.1, 0.5) * (hour.leaves[0] - hour.flowers[1])
        _house(s, hour, place, shore - rng.uniform(6.0, 18.0), rng.uniform(34.0, 56.0), roof)
    for place in np.arange(-20.0, SHEET + 20.0, 46.0):
        if rng.uniform() < 0.62:
            foot, height = shore + rng.uniform(-20, 4), rng.uniform(24, 62)
            _tree(s, hour, rng, place + rng.uniform(-22, 22), foot, height, rng.choice([0.62, 0.8, 0.4]))
    row, step = 384.0 + side * rng.uniform(30.0, 120.0), side * rng.uniform(34.0, 52.0)
    for number in range(int(rng.integers(3, 7)) if rng.uniform() < 0.75 else 0):
        tall = rng.uniform(120.0, 200.0) * (1.0 - 0.07 * number)
        _tree(s, hour, rng, row + step * number + rng.uniform(-9, 9), shore + rng.uniform(-8, 4), tall, 0.11)

    # Water with what it mirrors, or a path through the meadow.
    depth = np.clip((y - shore) / (SHEET - shore), 0.0, 1.0)
    bend = 384.0 + side * (120.0 * np.sin(4.4 * depth**0.7 + 0.5) - 40.0 * depth)
    half = {"river": 60.0 + 300.0 * depth**1.2, "lake": 900.0, "path": 9.0 + 120.0 * depth**1.3}[view]
    flat = smoothstep(-1.0, 1.0, y - shore - 5.0 * smooth_noise(x, 0 * y, 60.0, seed + 60))
    tone = 0.5 + 0.36 * cloud(x, 2.4 * y, 100.0, seed + 61, 3) + 0.12 * smooth_noise(x, y, 20.0, seed + 65)
    rise = -1.57 + 0.4 * np.sign(x - bend) + 0.7 * smooth_noise(x, y, 70.0, seed + 62)
    s.lay(flat, ramp(hour.bank, tone + 0.16 * (depth - 0.4)), rise, 0.85)
    wet = half - np.abs(x - bend) + (4.0 + 24.0 * depth) * smooth_noise(x, 2.0 * y, 50.0, seed + 63)
    if view == "path":
        sand = ramp(0.35 * hour.bank + 0.65 * hour.clouds[-2], 0.3 + 0.5 * tone)
        s.lay(flat * smoothstep(-2.0, 2.0, wet), sand, along(np.abs(x - bend) / half + 0.006 * y), 0.8)
    else:
        ripple = 9.0 * smooth_noise(0.3 * x, 2.2 * y, 26.0, seed + 64) * (0.3 + depth)
        mirrored = sample(s.colour, x + 2.5 * ripple, np.clip(2.0 * shore - y + ripple, 0.0, SHEET - 1))
        sheen = smoothstep(0.25, 0.8, smooth_noise(0.22 * x, 1.7 * y, 34.0, seed + 66))
        water = mix(0.86 * mirrored + 0.05 * hour.sky[0], ramp(hour.sky, 0.1 + 0.8 * depth), 0.12 + 0.5 * sheen)
        brink = smoothstep(-2.0, 2.0, wet)
        s.colour = s.colour * (1.0 - 0.35 * smoothstep(-26.0, 0.0, wet) * (wet < 0) * flat)[..., None]
        s.lay(flat * brink, water, 0.05 * smooth_noise(x, y, 80.0, seed + 67), 0.9, 1.1)

    water_area = len(s.strokes) - 1

    # Close by: a bank in one corner, and a tree that frames the view.
    edge = x if side > 0 else SHEET - x
    brow = SHEET + 30.0 - 190.0 * smoothstep(560.0, 0.0, edge) - 20.0 * smooth_noise(x, 0 * y, 70.0, seed + 70)
    tone = 0.38 + 0.5 * cloud(x, y, 70.0, seed + 71, 3)
    s.lay(smoothstep(-2, 2, y - brow), ramp(hour.bank, tone), -1.5 + 0.9 * smooth_noise(x, y, 60.0, seed + 72), 0.85)
    ground_area = len(s.strokes) - 1
    if rng.uniform() < 0.65:
        place = 384.0 - side * rng.uniform(230.0, 300.0)
        _tree(s, hour, rng, place, rng.uniform(650.0, 700.0), rng.uniform(430.0, 600.0), rng.uniform(0.24, 0.36))

    # Flowers in drifts on land, larger close by; glints on water.
    dabs = []
    drift = cloud(x, 1.6 * y, 90.0, seed + 90, 2)
    for px, py in rng.uniform((0, shore), (SHEET, SHEET), (2600, 2)):
        at, close = (int(py), int(px)), (py - shore) / (SHEET - shore)
        if s.area[at] in (water_area - 1, ground_area) and drift[at] + rng.normal(0, 0.12) > 0.16:
            kind = hour.flowers[int(2.5 * (drift[at] * 7 % 1) + 2.5 * rng.uniform()) % 5]
            dabs.append((px, py, rng.uniform(-2.4, -0.7), 4.0 + 9.0 * close, 3.0 + 5.0 * close, *kind))
        elif s.area[at] == water_area and view != "path" and rng.uniform() < 0.2 * (drift[at] > 0.1):
            dabs.append((px, py, rng.normal(0, 0.05), 9.0 + 16.0 * close, 2.2 + 2.4 * close, *hour.clouds[-1]))
    return s, hour, np.array(dabs)


def paint(size: int = 768, seed: int = 6) -> Image.Image:
    """Paint the landscape; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    sketch, hour, dabs = _sketch(seed)
    detail = sketch.detail()
    warmth = cloud(sketch.x, sketch.y, 60.0, seed + 80, 2)
    canvas = Canvas(size, hour.ground[0])

    def brush(
        x: float,
        y: float,
        angle: float,
        length: float,
        width: float,
        colour: np.ndarray,
        warm: float,
        pointed: bool = False,
    ) -> None:
        """One stroke, warmer or cooler than ``colour``."""
        colour = colour * (1.0 + 0.05 * rng.normal()) + warm * WARM + rng.normal(0, 0.012, 3)
        second = colour + (-0.06, 0.06)[rng.integers(2)] * OTHER
        bristles = rng.uniform(0.0, 1.0, max(int(0.8 * width), 5)).astype(np.float32)
        bend = rng.normal(0, 0.25) / length
        canvas.stroke(
            x, y, angle, bend, length, width, colour.astype(np.float32), second.astype(np.float32), bristles, pointed
        )

    # spacing, length, width, share of the places
    passes = ((13.0, 64.0, 20.0, 1.0), (10.5, 40.0, 11.0, 0.85), (7.5, 25.0, 5.5, 0.3))
    soft = [ndimage.gaussian_filter(sketch.colour, (0.2 * w, 0.2 * w, 0)) for _, _, w, _ in passes]
    for area, (scale, long) in enumerate(sketch.strokes):
        for number, (spacing, length, width, share) in enumerate(passes):
            for x, y in np.stack(sketch.places(area, spacing * scale, rng), 1):
                at = (int(y), int(x))
                if rng.uniform() > share + (number == 2) * 0.6 * detail[at]:
                    continue
                factor = scale * rng.uniform(0.7, 1.25)
                angle, warm = sketch.angle[at] + rng.normal(0, 0.14), 0.5 * warmth[at] + 0.6 * rng.normal()
                brush(x, y, angle, length * factor * long, width * factor, soft[number][at], warm)
    for x, y, angle, length, width, *colour in dabs:
        brush(x, y, angle, length, width, np.array(colour), 0.5 * rng.normal(), pointed=True)
    return to_image(canvas.lit(0.12, 0.06), size)
