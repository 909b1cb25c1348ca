"""`woodcut`: hills under a low sun, cut in wood and printed on warm paper in a tint and a dark colour.

The dark block is carved as a cutter does it: every mark of the gouge follows the form, begins and
ends in a point and is the wider the more light falls there. What stands between the marks prints.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import between, mix, pigments
from fastnst.styles.sheet import SHEET, grid, smoothstep, to_image, window
from fastnst.styles.sketch import EVERYWHERE, Sketch, Window, along, lit

RIM = 12.0
# paper, tint, its second colour where the block is wiped, dark block
INKS = tuple(
    pigments(*codes.split())
    for codes in (
        "f0e4c9 d9a35f c9764e 39424f",
        "efe6d0 9db7a4 d3b277 2f4650",
        "f1e2cb dc8f72 e6bb7f 4a3a4e",
        "ece3cf a9b8c4 d8a98f 36405c",
        "f0e5c6 c3b06a 8fa878 43412f",
    )
)


class Block(Sketch):
    """A sketch whose colours are light (0 prints solid, 1 is cut away), tint and the tint's second colour, 0..1.

    Attributes:
        inks: for every area, how heavily it is inked, 0..1, and whether its marks print on cleared ground.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inks: list[tuple[float, bool]] = []

    def cut(
        self,
        cover: np.ndarray,
        light: np.ndarray | float,
        tint: np.ndarray | float,
        angle: np.ndarray | float,
        spacing: float,
        length: float,
        second: np.ndarray | float = 0.0,
        ink: float = 1.0,
        printed: bool = False,
        at: Window = EVERYWHERE,
    ) -> None:
        """Draw one area on the block; ``spacing`` and ``length`` of its marks are in sheet units."""
        plan = np.stack([np.broadcast_to(v, cover.shape) for v in (light, tint, second)], -1)
        self.lay(cover, plan, angle, spacing, length, at)
        self.inks.append((ink, printed))


def _marks(block: Block, rng: np.random.Generator) -> list[tuple[np.ndarray, bool]]:
    """All marks: outlines ``(n, 2)`` in sheet units, and whether they print or are cut away."""
    angle, area, light = block.angle, block.area, block.colour[..., 0]
    taken = Image.new("1", (int(SHEET), int(SHEET)))
    pen, busy = ImageDraw.Draw(taken), taken.getpixel
    last = int(SHEET) - 1
    marks = []
    for x0, y0 in rng.uniform(0, last, (26000, 2)).tolist():
        at = (int(y0), int(x0))
        home = area[at]
        (spacing, length), printed = block.strokes[home], block.inks[home][1]
        if busy(at[::-1]) or abs(light[at] - printed) < 0.04:
            continue
        halves = []
        for back in (0.0, np.pi):
            x, y, way, path = x0, y0, float(angle[at]) + back, []
            for _ in range(int(0.25 * length * rng.uniform(0.4, 1.5))):
                turn = float(angle[int(y), int(x)]) - way
                way += (turn + np.pi / 2) % np.pi - np.pi / 2  # the field has no sense: go on, do not turn back
                x, y = x + 2.0 * np.cos(way), y + 2.0 * np.sin(way)
                if not (0 <= x < last and 0 <= y < last) or area[int(y), int(x)] != home or busy((int(x), int(y))):
                    break
                path.append((x, y))
            halves.append(path)
        line = np.array([*halves[1][::-1], (x0, y0), *halves[0]])
        if len(line) < 4:
            continue
        pen.line([tuple(p) for p in line], fill=1, width=max(int(1.5 * spacing), 1))
        t = np.linspace(0.0, 1.0, len(line)) if rng.uniform() < 0.5 else np.linspace(1.0, 0.0, len(line))
        glow = np.abs(light[line[:, 1].astype(int), line[:, 0].astype(int)] - printed)
        # In fast, out slowly, as the gouge goes.
        half = 0.5 * spacing * (0.08 + 1.1 * glow) * np.sin(np.pi * t**0.75) ** 0.7 * rng.uniform(0.85, 1.1)
        way = np.gradient(line, axis=0)
        normal = np.stack([-way[:, 1], way[:, 0]], 1) / np.hypot(*way.T)[:, None]
        half = (half * (1.0 + 0.12 * rng.normal(0, 1, len(line))))[:, None]
        marks.append((np.concatenate([line + half * normal, (line - half * normal)[::-1]]), printed))
    return marks


def _tree(block: Block, rng: np.random.Generator, x: float, foot: float, height: float, kind: str) -> None:
    """One tree, ``round`` or ``fir``, lit from the upper left."""
    seed = int(rng.integers(1 << 30))
    wide = 0.65 * height + 20.0
    at = window(block.x, x - wide, foot - 1.2 * height - 20.0, x + wide, foot + 0.1 * height + 20.0)
    plain_x, plain_y = block.x[at], block.y[at]
    px = plain_x + 0.035 * height * smooth_noise(plain_x, plain_y, 0.11 * height + 4, seed)
    py = plain_y + 0.035 * height * smooth_noise(plain_x, plain_y, 0.11 * height + 4, seed + 1)
    up = (foot - py) / height
    trunk = (0.03 + 0.03 * smoothstep(0.1, 0.0, up)) * height - np.abs(px - x)
    trunk = np.where((up > -0.01) & (up < 0.6), trunk, -9.0)
    shine = 0.6 * smoothstep(0, -0.04 * height, px - x)
    block.cut(smoothstep(-1, 1, trunk), shine, 0.7, 1.57, 0.02 * height + 2, 40.0, at=at)
    spacing = 3.4 + 0.008 * height
    if kind == "fir":
        tier = (5.0 * up + 0.2 * smooth_noise(px, py, 20.0, seed + 2)) % 1.0
        half = 0.27 * height * np.clip(1.02 - up, 0, 1) * (1.0 - 0.42 * tier)
        inside = np.where((up > 0.13) & (up < 1.0), half - np.abs(px - x), -9.0)
        light = 0.42 - 0.5 * (px - x) / (half + 4.0) * 0.7 - 0.3 * (1.0 - tier) * (tier > 0.5)
        way = np.arctan2(0.9, 0.9 * np.sign(px - x))
        block.cut(smoothstep(-1, 1, inside), np.clip(light, 0.0, 0.6), 0.8, way, spacing, 0.16 * height, at=at)
        return
    lobes = [(0.0, 0.66, 0.3)] + [
        (rng.uniform(-0.24, 0.24), rng.uniform(0.45, 0.86), rng.uniform(0.14, 0.22)) for _ in range(8)
    ]
    for cx, cy, r in sorted(lobes, key=lambda lobe: -lobe[1]):
        dx, dy = (px - x - cx * height) / (r * height), (py - foot + cy * height) / (0.88 * r * height)
        ball = np.hypot(dx, dy)
        light = np.clip(0.34 - 0.42 * dx - 0.5 * dy, 0.0, 0.9) * smoothstep(1.05, 0.8, ball)
        way = along(ndimage.gaussian_filter(np.hypot(dx + 1.1, dy + 1.4), 2.0))
        block.cut(smoothstep(1.02, 0.98, ball), light, 0.75, way, spacing, 0.13 * height + 8, at=at)


def _house(block: Block, x: float, foot: float, width: float) -> None:
    """A house with a lit wall, dark windows and a roof of tiles."""
    at = window(block.x, x - width, foot - width, x + width, foot + 0.1 * width)
    px, py = (block.x[at] - x) / width, (foot - block.y[at]) / width
    wall = np.minimum(0.5 - np.abs(px), np.minimum(py, 0.5 - py))
    pane = np.minimum(np.abs(np.abs(px) - 0.22) - 0.07, 9.0)
    pane = np.maximum(pane, np.abs(py - 0.26) - 0.09)
    lime = smoothstep(-0.01, 0.02, pane) * (0.95 - 0.45 * (px > 0.2))
    block.cut(smoothstep(-0.01, 0.01, wall), lime, 0.1, 0.0, 4.5, 30.0, at=at)
    roof = np.minimum(0.6 - 0.5 * (py - 0.44) - np.abs(px), np.minimum(py - 0.44, 0.82 - py))
    block.cut(smoothstep(-0.01, 0.01, roof), 0.5 - 0.35 * (px > 0.15), 1.0, 1.2, 4.5, 16.0, 1.0, at=at)


def _draw(seed: int) -> Block:
    """The drawing on the block."""
    rng = np.random.default_rng(seed)
    block = Block()
    x, y = block.x, block.y
    side = rng.choice([-1.0, 1.0])
    horizon = rng.uniform(300.0, 420.0)
    valley = rng.uniform() < 0.5  # fields, otherwise a lake

    # Sky: bands of cloud round a sun or moon with rings of light.
    sun = np.array([384.0 + side * rng.uniform(40.0, 230.0), horizon * rng.uniform(0.3, 0.62)])
    radius = rng.uniform(36.0, 64.0)
    from_sun = np.hypot(x - sun[0], y - sun[1])
    drift = y + 26.0 * smooth_noise(x, y, 190.0, seed + 1) + 8.0 * smooth_noise(x, y, 70.0, seed + 2)
    rings = smoothstep(4.5 * radius, 1.4 * radius, from_sun)
    way = along(ndimage.gaussian_filter(drift * (1 - rings) + 1.2 * from_sun * rings, 3.0))
    light = (
        0.6 + 0.4 * smoothstep(0.0, 0.9 * horizon, y) + 0.12 * rings + 0.16 * smooth_noise(0.4 * x, y, 90.0, seed + 3)
    )
    wiped = smoothstep(0.1 * horizon, 0.95 * horizon, y)
    block.cut(np.ones(x.shape), np.clip(light, 0.4, 1.0), 0.85 - 0.3 * wiped, way, 12.0, 170.0, wiped, 0.8, True)
    for _ in range(int(rng.integers(2, 6))):
        cx, cy, wide = rng.uniform(0, SHEET), rng.uniform(0.1, 0.8) * horizon, rng.uniform(70.0, 190.0)
        dx, dy = (x - cx) / wide, (y - cy) / (0.2 * wide)
        puff = (
            1.0
            - np.hypot(dx, np.where(dy > 0, 2.2 * dy, dy))
            + 0.45 * cloud(x, 0 * y + cy, 0.5 * wide, seed + int(cx), 3)
        )
        block.cut(
            smoothstep(-0.02, 0.02, puff),
            1.0 - 0.5 * smoothstep(-0.1, 0.6, dy),
            0.04,
            0.1 * np.sin(dx * 5),
            7.5,
            70.0,
            0.5,
            0.8,
            True,
        )
    disc = radius - from_sun + 1.2 * smooth_noise(x, y, 16.0, seed + 4)
    block.cut(smoothstep(-1, 1, disc), 1.0, float(rng.uniform() < 0.6), 0.0, 9.0, 200.0, 1.0, 1.0, True)

    # Mountains: the gouge runs down the slopes.
    for number in range(int(rng.integers(1, 4))):
        start = seed + 20 * (number + 1)
        crest = cloud(x, 0 * y + 60.0 * number, rng.uniform(130.0, 230.0), start, 3) - 0.25 * np.abs(
            smooth_noise(x, 0 * y, 50.0, start + 1)
        )
        crest = horizon - 40.0 + 30.0 * number - rng.uniform(60.0, 130.0) * (crest + 0.3) / (1 + 0.5 * number)
        relief = cloud(x + 0.5 * (y - crest), 0.35 * y, rng.uniform(70.0, 110.0), start + 2, 3)
        light = lit(ndimage.gaussian_filter(relief, 3.0), 26.0)
        light = np.clip(1.25 * light - 0.12 + 0.3 * smoothstep(20.0, 140.0, y - crest), 0.03, 0.95)
        way = 1.57 - 0.75 * np.tanh(60.0 * np.gradient(ndimage.gaussian_filter(relief, 6.0), axis=1))
        block.cut(smoothstep(-1, 1, y - crest), light, 0.95, way, 8.0, 64.0, 0.25, 0.5 + 0.1 * number)

    # Hills: marks along the contour, strips of field between hedges.
    for number in range(int(rng.integers(2, 4))):
        start = seed + 200 + 20 * number
        crest = (
            horizon
            + 24.0
            + 46.0 * number
            - rng.uniform(16.0, 34.0) * smooth_noise(x, 0 * y + 9.0 * number, rng.uniform(170, 300), start)
        )
        dome = ndimage.gaussian_filter(crest - y + 16.0 * smooth_noise(x, y, 120.0, start + 1), 3.0)
        strip = (
            np.floor((x + 1.4 * side * (y - crest) + 24 * smooth_noise(x, y, 90.0, start + 2)) / rng.uniform(60, 120))
            % 3
        )
        light = np.clip(0.26 + 0.26 * strip + 0.2 * smooth_noise(x, y, 100.0, start + 3), 0.05, 0.95)
        light = light * smoothstep(-1.0, 9.0, y - crest)
        way = np.where(strip == 1, along(dome) + 0.85 * side, along(dome))
        block.cut(
            smoothstep(-1, 1, y - crest),
            light,
            0.5 + 0.2 * strip,
            way,
            6.5 + number,
            76.0,
            0.15 + 0.35 * (strip == 2),
            0.72 + 0.08 * number,
        )
    ground = horizon + 40.0 + 46.0 * number
    for place in 384.0 - side * rng.uniform(-60, 240) + np.arange(int(rng.integers(1, 4))) * rng.uniform(52.0, 80.0):
        _house(block, place, ground + rng.uniform(-6, 16), rng.uniform(42.0, 62.0))
    kind = rng.choice(["round", "fir"])
    for place in rng.uniform(0, SHEET, int(rng.integers(4, 9))):
        _tree(block, rng, place, ground + rng.uniform(0.0, 26.0), rng.uniform(60.0, 120.0), kind)

    # In front: furrows that run to one point, or water that carries the light.
    front = ground + 30.0 + 6.0 * smooth_noise(x, 0 * y, 90.0, seed + 300)
    depth = np.clip((y - front) / (SHEET - front), 0.0, 1.0)
    if valley:
        aim = 384.0 + side * 160.0
        way = np.arctan2(y - front + 60.0, x - aim) + 0.12 * smooth_noise(x, y, 120.0, seed + 301)
        row = np.sin(26.0 * np.arctan2(x - aim, y - front + 60.0))
        light = 0.48 + 0.34 * row + 0.16 * smooth_noise(x, y, 140.0, seed + 302)
        block.cut(
            smoothstep(-1, 1, y - front), np.clip(light, 0.05, 0.95), 0.8, way, 9.5, 100.0, 0.3 + 0.4 * depth, 0.85
        )
    else:
        path = np.exp(-(((x - sun[0]) / (50.0 + 160.0 * depth)) ** 2))
        swell = smooth_noise(0.3 * x, y, 30.0, seed + 303)
        way = 0.16 * smooth_noise(0.5 * x, y, 40.0, seed + 304)
        light = np.clip(0.66 + 0.36 * swell + 0.4 * path - 0.12 * depth, 0.3, 1.0)
        block.cut(smoothstep(-1, 1, y - front), light, 0.9 - 0.7 * path, way, 9.5, 110.0, 0.6 * path, 0.85, True)
    # Near trees frame the view.
    edge = x if side > 0 else SHEET - x
    mound = y - (
        SHEET + 20.0 - 110.0 * np.exp(-((edge / 300.0) ** 2)) - 10.0 * smooth_noise(x, 0 * y, 60.0, seed + 310)
    )
    light = np.clip(0.34 + 0.4 * smooth_noise(x, y, 60.0, seed + 311), 0.04, 0.8)
    block.cut(smoothstep(-1, 1, mound), light, 0.9, -1.35 + 0.6 * smooth_noise(x, y, 70.0, seed + 312), 6.5, 34.0, 0.2)
    for number in range(int(rng.integers(1, 3))):
        place = 384.0 - side * (rng.uniform(230.0, 270.0) + 90.0 * number)
        _tree(
            block, rng, place, 700.0 + 30.0 * number, rng.uniform(380.0, 520.0), "fir" if kind == "round" else "round"
        )
    return block


def paint(size: int = 768, seed: int = 8) -> Image.Image:
    """Cut and print the block; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    paper, tint, second, dark = np.concatenate(between([(inks,) for inks in INKS], rng))
    block = _draw(seed)
    x, y = grid(size, 2)
    samples = x.shape[0]

    def full(field: np.ndarray, side: int = samples) -> np.ndarray:
        """A plan with ``side`` samples along a side; its rim is cut off, where no mark can begin."""
        rim = (RIM, RIM, SHEET - RIM, SHEET - RIM)
        picture = Image.fromarray(field.astype(np.float32))
        return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, rim))

    inked, printed = np.array(block.inks).T
    fine = max(samples, 2 * int(SHEET))  # polygons grow by part of a sample: never cut with coarse ones
    stencil = Image.fromarray(full(printed[block.area], fine) < 0.5)
    pen = ImageDraw.Draw(stencil)
    for mark, prints in _marks(block, rng):
        pen.polygon([tuple(point) for point in (mark - RIM) * fine / (SHEET - 2 * RIM)], fill=int(prints))
    stands = smoothstep(0.3, 0.7, ndimage.gaussian_filter(np.array(stencil, np.float32), 0.5 * fine / SHEET))
    stands = np.asarray(Image.fromarray(stands).resize((samples, samples), Image.Resampling.BOX))

    # Ink takes unevenly: the grain of the plank, specks that the roller missed.
    plank = cloud(0.05 * x + 3.0 * smooth_noise(x, y, 240.0, seed + 400), y, 5.0, seed + 401, 3)
    speck = smooth_noise(x, y, 2.4, seed + 402) + 0.5 * smooth_noise(x, y, 40.0, seed + 403)
    sheet = paper * (1.0 + 0.02 * cloud(x, y, 4.0, seed + 404, 2) + 0.02 * cloud(x, y, 150.0, seed + 405, 2))[..., None]
    amount, other = (ndimage.gaussian_filter(block.colour[..., k], 1.0) for k in (1, 2))
    wash = mix(np.broadcast_to(tint, sheet.shape), second, full(other))
    sheet = mix(sheet, wash, full(amount) * np.clip(0.84 + 0.2 * plank - 0.25 * smoothstep(0.5, 1.0, speck), 0.0, 1.0))
    takes = np.clip(0.9 + 0.16 * plank - 0.5 * smoothstep(0.62, 1.1, speck), 0.0, 1.0)
    takes = takes * full(ndimage.gaussian_filter(inked[block.area], 0.7))
    return to_image(mix(sheet, dark, stands * takes), size)
