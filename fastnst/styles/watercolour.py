"""`watercolour`: a lake between mountains in transparent washes on rough white paper.

Colour is kept as the density of the pigments on the paper; every wash adds to it and the paper
shines through all of them. A wash dries darker along its edge, its pigment settles in the hollows
of the paper, and where drops of water ran into it there are blooms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import between, pigments
from fastnst.styles.sheet import SHEET, grid, smoothstep, to_image

PAPER = pigments("f8f4ea")[0]


class Box(NamedTuple):
    """The pans of one box of colours, each as it looks in a full wash."""

    sky: np.ndarray
    glow: np.ndarray
    far: np.ndarray
    near: np.ndarray
    leaf: np.ndarray
    earth: np.ndarray
    dark: np.ndarray


BOXES = tuple(
    Box(*pigments(*codes.split()))
    for codes in (
        "6fa3cf f3c58c 6f8fc2 4f7fa0 6f9a58 c08a4e 2f4256",  # morning: cobalt, sap green, raw sienna
        "8f93c9 f5a17c 9a7fb5 77679f 8a7a5f c9754f 45365a",  # evening: rose, violet, burnt sienna
        "7fb9bf f4dd94 6fa7b5 4a8f93 8fae4f d1a24a 27504f",  # turquoise noon
        "a3a9b3 ecd0b0 8d98a8 6a7888 7d8468 a98462 3a404a",  # rain: neutral tint
        "8fb0d8 f7b3b8 b39ac8 7f86b8 a8a85c d58a5a 4a4470",  # autumn rose
    )
)


class Paper:
    """A wet sheet.

    Args:
        size: samples along one side.
        seed: of its grain.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.x, self.y = grid(size)
        self.unit = SHEET / size
        self.seed = seed
        tooth = cloud(self.x, self.y, 3.4, seed, 2) + 0.35 * cloud(self.x, 0.8 * self.y, 9.0, seed + 1, 2)
        self.tooth = tooth / tooth.std()
        self.density = np.zeros((size, size, 3), np.float32)

    def blur(self, field: np.ndarray, width: float) -> np.ndarray:
        """Spread a field by ``width`` sheet units."""
        return ndimage.gaussian_filter(field, width / self.unit, mode="nearest")

    def wash(
        self,
        shape: np.ndarray,
        colour: np.ndarray,
        load: np.ndarray | float = 1.0,
        wet: float = 0.0,
        second: np.ndarray | None = None,
        granulation: float = 0.1,
        edge: float = 0.5,
    ) -> None:
        """Lay one wash.

        Args:
            shape: signed distance to its outline, sheet units, positive inside.
            colour: ``(3,)`` the paint in a full wash on white.
            load: how much paint, one or per sample.
            wet: how far it runs into a wet ground, sheet units; 0 for a dry one.
            second: ``(3,)`` a paint that was dropped in and has run through part of it.
            granulation: how much of the pigment settles in the hollows of the paper.
            edge: how much darker it dries along its outline.
        """
        self.seed += 101
        x, y = self.x, self.y
        shape = shape + (1.6 * smooth_noise(x, y, 14.0, self.seed) + 0.9 * smooth_noise(x, y, 4.0, self.seed + 1))
        inside = smoothstep(-0.7 - wet, 0.7 + wet, shape)
        # Water carries the pigment to the edge while it dries.
        rim = np.exp(-np.clip(shape, 0, None) / 2.2) + 0.35 * np.exp(-np.clip(shape, 0, None) / 11.0)
        dries = (1.0 - 0.12 * edge) + edge * rim * (wet < 4.0) * (0.6 + 0.6 * smooth_noise(x, y, 70.0, self.seed + 2))
        pool = 1.0 + 0.42 * cloud(x, y, 130.0, self.seed + 3, 4)
        grain = 1.0 - granulation * self.tooth * (1.0 + 0.6 * smooth_noise(x, y, 45.0, self.seed + 4))
        amount = inside * load * np.clip(dries, 0.2, None) * pool * np.clip(grain, 0.3, None)
        paint = -np.log(np.clip(colour / PAPER, 0.02, 1.0))
        if second is not None:
            ran = smoothstep(-0.1, 0.5, cloud(x, 0.8 * y, 90.0, self.seed + 5, 3))[..., None]
            paint = paint + (-np.log(np.clip(second / PAPER, 0.02, 1.0)) - paint) * ran
        self.density += (amount[..., None] * paint).astype(np.float32)

    def bloom(self, x: float, y: float, radius: float, strength: float = 0.5) -> None:
        """A drop of water pushes the pigment outwards: pale inside, a dark frayed rim."""
        self.seed += 101
        angle = np.arctan2(self.y - y, self.x - x)
        fray = 0.2 * smooth_noise(60.0 * np.cos(angle), 60.0 * np.sin(angle), 24.0, self.seed)
        fray = fray + 0.2 * cloud(self.x, self.y, 26.0, self.seed + 1, 4)
        r = np.hypot(self.x - x, self.y - y) / radius + fray
        pushed = -strength * smoothstep(1.0, 0.35, r) - 0.25 * strength * smoothstep(1.0, 0.96, r)
        rim = 0.9 * strength * smoothstep(0.97, 1.0, r) * np.exp(-np.clip(r - 1.0, 0, None) * radius / 3.0)
        self.density *= np.clip(1.0 + pushed + rim, 0.2, 2.0)[..., None].astype(np.float32)

    def drawn(self, marks: list[np.ndarray]) -> np.ndarray:
        """Signed distance, sheet units, of polygons ``(n, 2)`` in sheet units."""
        stencil = Image.new("L", self.x.shape)
        pen = ImageDraw.Draw(stencil)
        for mark in marks:
            pen.polygon([tuple(point) for point in mark / self.unit], fill=1)
        mask = np.array(stencil)
        inside = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(1 - mask)
        return (inside * self.unit).astype(np.float32)

    def lift(self, cover: np.ndarray) -> None:
        """Take paint off, down to the paper where ``cover`` is 1."""
        self.density *= (1.0 - cover)[..., None].astype(np.float32)

    def seen(self) -> np.ndarray:
        """The dry sheet in raking light, ``(size, size, 3)``."""
        slope_y, slope_x = np.gradient(self.tooth)
        light = 1.0 - 0.011 * np.clip((slope_x + slope_y) / self.unit, -3, 3)
        return PAPER * np.exp(-self.density) * light[..., None]


def _firs(rng: np.random.Generator, foot: float, places: np.ndarray, heights: np.ndarray) -> list[np.ndarray]:
    """Outlines of firs: a stem, and boughs that get shorter to the tip, each a drop of the brush."""
    marks = []
    for place, height in zip(places, heights, strict=True):
        low, lean = foot + rng.uniform(-3, 4), rng.normal(0, 0.03)
        stem = 0.012 * height + 0.7
        marks.append(np.array([(place - stem, low), (place + lean * height, low - height), (place + stem, low)]))
        up = 0.1
        while up < 0.97:
            for sense in (-1.0, 1.0):
                reach = sense * height * (0.24 * (1.0 - up) ** 0.8 + 0.012) * rng.uniform(0.55, 1.2)
                cx, cy = place + lean * up * height, low - up * height
                sag, thick = rng.uniform(0.1, 0.45) * abs(reach), 0.028 * height * (1.2 - up) + 1.0
                bough = [(cx, cy - thick), (cx + 0.6 * reach, cy + 0.3 * sag - 0.4 * thick), (cx + reach, cy + sag)]
                marks.append(np.array([*bough, (cx + 0.5 * reach, cy + 0.6 * sag + 0.7 * thick), (cx, cy + thick)]))
            up += rng.uniform(0.035, 0.065)
    return marks


def paint(size: int = 768, seed: int = 28) -> Image.Image:
    """Paint the lake; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    box = Box(*between(BOXES, rng))
    paper = Paper(size, seed)
    x, y = paper.x, paper.y
    line = x[0]
    shore = rng.uniform(410.0, 530.0)
    # White paper all round: no wash goes to the edge of the sheet.
    frame = np.minimum(np.minimum(x, SHEET - x), np.minimum(y, SHEET - y)) - 19.0 + 14.0 * cloud(x, y, 90.0, seed + 10)

    # Sky: wet in wet, clouds left white, a glow above the mountains.
    heap = cloud(x, 1.5 * y, rng.uniform(130.0, 200.0), seed + 11, 3)
    blue = smoothstep(-0.1, 0.5, heap + 0.25 - 0.55 * y / shore)
    low = smoothstep(0.1 * shore, 0.9 * shore, y) * (1.0 - 0.85 * smoothstep(shore - 10.0, shore + 50.0, y))
    paper.wash(frame, box.glow, 0.85 * low + 0.06, granulation=0.03)
    paper.wash(frame, box.sky, 1.25 * blue, granulation=0.12)
    veil = smoothstep(0.1, 0.6, cloud(x, 2.4 * y, 130.0, seed + 12, 3)) * smoothstep(shore - 60.0, shore - 200.0, y)
    paper.wash(frame, box.far, 0.6 * veil, granulation=0.14)
    sun_x, sun_y, disc = rng.uniform(180.0, 588.0), rng.uniform(0.3, 0.55) * shore, rng.uniform(18.0, 30.0)
    if rng.uniform() < 0.6:
        from_sun = np.hypot(x - sun_x, y - sun_y) + 2.0 * smooth_noise(x, y, 14.0, seed + 13)
        paper.lift(
            np.maximum(
                0.55 * np.exp(-((from_sun / (2.6 * disc)) ** 2)), 0.95 * smoothstep(disc + 3, disc - 3, from_sun)
            )
        )
        paper.wash(disc - from_sun, box.glow, 1.5, 2.0, granulation=0.02)
    for _ in range(int(rng.integers(2, 5))):
        paper.bloom(rng.uniform(60, 708), rng.uniform(40, 0.7 * shore), rng.uniform(30, 80), rng.uniform(0.3, 0.55))

    # Mountains, each range nearer, darker and warmer; mist at their feet.
    ranges = int(rng.integers(2, 5))
    crests = []
    for number in range(ranges):
        near = number / (ranges - 1)
        level, height = shore - 150.0 + 120.0 * near, rng.uniform(110.0, 190.0) * (1.0 - 0.68 * near)
        shape = cloud(line, 0 * line + 83.0 * number, rng.uniform(140.0, 240.0), seed + 20 + number, 5)
        peak = 0.7 * np.exp(-(((line - rng.uniform(100, 668)) / rng.uniform(80, 180)) ** 2))
        crests.append(level - height * (0.6 * shape + peak))
        below = (y - crests[-1]) * 0.8
        shape = np.minimum(np.minimum(below, shore + 3.0 - y), frame)
        mist = 0.2 + 0.8 * np.exp(-np.clip(below, 0, None) / rng.uniform(45.0, 80.0))
        colour = box.far + (box.near - box.far) * near
        paper.wash(
            shape, colour, (0.5 + 0.6 * near) * mist, second=box.leaf if near > 0.6 else box.glow, granulation=0.16
        )
        # Shadow sides, brushed on when the first wash was damp.
        flank = cloud(x + 0.75 * y, 0.4 * y, 58.0, seed + 30 + number, 4) - 0.1
        paper.wash(np.minimum(46.0 * flank, shape - 3.0), colour, 0.55 * mist, 1.5, box.dark, 0.2, 0.4)

    # Firs on the far shore.
    side = rng.choice([-1.0, 1.0])
    places, heights = [], []
    for stand in rng.uniform(0, SHEET, int(rng.integers(2, 5))):
        n = int(rng.integers(3, 9))
        places += list(stand + rng.normal(0, 42.0, n))
        heights += list(rng.uniform(34.0, 76.0, n) * rng.uniform(0.8, 1.5))
    firs = paper.drawn(_firs(rng, shore, np.array(places), np.array(heights)))
    paper.wash(np.minimum(firs, frame), box.leaf, 1.35, 0.3, box.dark, 0.14, 0.3)
    bushes = cloud(line, 0 * line, 46.0, seed + 40, 3)
    scrub = np.minimum(y - shore + 9.0 + 16.0 * bushes, shore + 4.0 + 3.0 * bushes - y)
    paper.wash(np.minimum(scrub, frame), box.earth, 0.9, 0.6, box.leaf, 0.2)

    # The lake: the sky again, then what hangs down from the shore, broken by the wind.
    water = np.minimum(y - shore - 6.0, frame)
    depth = np.clip((y - shore) / (SHEET - shore), 0.0, 1.0)
    wind = cloud(0.12 * x, y / (0.25 + depth), 26.0, seed + 50, 2)
    white = smoothstep(0.16, 0.3, wind - 0.14 + 0.2 * np.exp(-(((x - sun_x) / 130.0) ** 2)))
    paper.wash(water, box.glow, 0.45 * (1 - depth) * (1 - white), granulation=0.05)
    paper.wash(water, box.sky, (0.2 + 0.9 * depth) * (1 - white), 0.0, box.far, 0.14)
    sway = 16.0 * smooth_noise(0.2 * x, y, 9.0, seed + 51) * (0.12 + depth)
    rows = np.clip(((2.0 * shore - y) / paper.unit).astype(np.int64), 0, size - 1)
    columns = np.clip(((x + sway) / paper.unit).astype(np.int64), 0, size - 1)
    far = np.clip(2.0 * shore - y - np.min(crests, axis=0)[columns], -60, 30)
    paper.wash(np.minimum(paper.blur(far, 5.0), water), box.far, 0.5 * (1 - white), 6.0, box.near)
    hanging = np.minimum(firs, frame)[rows, columns] - 4.0 * smoothstep(0.2, 0.7, depth)
    paper.wash(np.minimum(hanging, water), box.leaf, 0.9 * (1 - white), 0.8, box.dark, 0.14, 0.3)
    paper.wash(np.minimum(-30.0 * (wind + 0.36), water), box.near, 0.3 + 0.5 * depth, 0.6, box.far, 0.15, 0.6)

    if rng.uniform() < 0.6:  # a boat: sails of bare paper, a dark hull
        bx, by, k = rng.uniform(200.0, 568.0), shore + rng.uniform(24.0, 80.0), rng.uniform(0.8, 1.5)
        place = np.array([bx, by])
        sails = [np.array([(0, -62), (0, -6), (30, -8)]), np.array([(-4, -54), (-4, -8), (-22, -7)])]
        mirror = [place + k * mark * (1, -0.7) for mark in sails]
        paper.lift(0.95 * smoothstep(-0.5, 0.8, paper.drawn([place + k * mark for mark in sails])))
        paper.lift(0.5 * smoothstep(-2.5, 2.0, paper.drawn(mirror) + 3.0 * wind))
        paper.wash(paper.drawn([place + k * (sails[0] * (0.4, 1))]), box.glow, 0.6, 0.6, box.far)
        hull = np.array([(-26, -4), (32, -5), (24, 5), (-20, 5)])
        paper.wash(paper.drawn([place + k * hull]), box.dark, 1.3, 0.3, box.earth, 0.1)
        paper.wash(paper.drawn([place + k * (hull * (0.9, 0.8) + (0, 11))]) + 4.0 * wind, box.dark, 0.5, 1.0)

    # Close by: a bank, and blades of grass with a few darker accents.
    edge = x if side < 0 else SHEET - x
    crest = SHEET + 30.0 - 190.0 * np.exp(-((edge / 360.0) ** 2)) - 12.0 * smooth_noise(x, 0 * y, 50.0, seed + 60)
    bank = np.minimum(y - crest, frame)
    paper.wash(bank, box.earth, 0.85, 1.0, box.leaf, 0.2, 0.6)
    paper.wash(np.minimum(bank - 12.0, 40.0 * cloud(x, 0.7 * y, 60.0, seed + 61)), box.leaf, 0.9, 4.0, box.near, 0.2)
    for colour, count in ((box.leaf, 130), (box.dark, 60)):
        blades = []
        for _ in range(count):
            px = 384.0 + side * (384.0 - abs(rng.normal(0, 190.0)))
            py = SHEET + 10.0 - 170.0 * np.exp(-(((384.0 - side * (px - 384.0)) / 360.0) ** 2)) + rng.exponential(40.0)
            tall, lean = rng.uniform(18.0, 64.0), rng.normal(0, 0.3)
            bow = [(px + lean * tall * t**1.8, py - tall * t, 1.5 * (1 - t) + 0.35) for t in np.linspace(0, 1, 6)]
            blades.append(np.array([(u - w, v) for u, v, w in bow] + [(u + w, v) for u, v, w in bow[::-1]]))
        paper.wash(np.minimum(paper.drawn(blades), frame), colour, 1.0, 0.2, box.earth, 0.1, 0.2)
    for _ in range(int(rng.integers(2, 5))):
        paper.bloom(rng.uniform(60, 708), rng.uniform(shore + 40, 740), rng.uniform(20, 60), rng.uniform(0.25, 0.45))
    spatter = np.full(x.shape, -9.0)
    for px, py, r in zip(*rng.uniform(40, 728, (2, 40)), rng.exponential(1.3, 40) + 0.5, strict=True):
        spatter = np.maximum(spatter, r - np.hypot(x - px, y - py))
    paper.wash(spatter - 0.8, box.earth, 0.5, 0.2, box.dark, 0.1)
    return to_image(paper.seen(), size)
