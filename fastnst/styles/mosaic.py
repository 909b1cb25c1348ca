"""`mosaic`: a curling sun over a running sea, laid in glass and gold tesserae.

The sheet is first divided into colour fields. Rows of tesserae then follow the outline of every
field (the *andamento* of the old workshops): their centres lie on level lines of the distance to
the outline, and each tile owns the samples that are nearest to it in a square metric turned along
its row. What lies between two tiles is grout.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import measure

from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import mix, pigments
from fastnst.styles.sheet import SHEET, grid, sample, smoothstep, to_image

ROW = 14.5  # height of a row of tesserae, sheet units
GROUT = pigments("15131a")[0]
SUN = (492.0, 262.0)
WHORLS = ((168.0, 178.0, 1.0), (330.0, 468.0, -0.8), (716.0, 492.0, 0.85))  # x, y, turn

# Every box holds the glass for one kind of field; a tile takes one piece of it.
BOXES = (
    pigments("ffd34d", "f7b52c", "ffe48a", "e79a1c"),  # 0 gold
    pigments("e4572e", "f0792b", "d8401f", "f79a3a"),  # 1 orange
    pigments("b3122a", "c81f33", "8e0f27", "dc3a3a"),  # 2 crimson
    pigments("15277f", "1f37a3", "101d63", "2a4abf"),  # 3 ultramarine
    pigments("0e6f8a", "138aa0", "0b5872", "1fa0ae"),  # 4 teal
    pigments("48c0c4", "6fd3cc", "2faab8", "93e0d6"),  # 5 turquoise
    pigments("f3ead2", "fbf5e6", "e6d6b4", "dfe6dc"),  # 6 ivory
    pigments("2a6fc9", "3b86dc", "1f58b0", "5aa2ea"),  # 7 azure
    pigments("c98a2b", "b87322", "dba544", "9a5a1e"),  # 8 ochre
    pigments("2b2a66", "3a2f7a", "1f1f52", "4a3f96"),  # 9 violet
    pigments("1d7a4f", "2a9a60", "12613f", "5bb56c"),  # 10 emerald
)
GOLD = 0
SKY = (3, 7, 5, 3, 4, 6, 7, 9, 2, 4, 5, 3, 0, 7, 9, 10)
SEA = (6, 5, 4, 3, 7, 3, 7, 2)


def _colour_fields(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the sheet: returns the number of the field and the number of its box, both int ``x.shape``."""
    # Sky: level bands, turned by whorls.
    u, v = x.copy(), y.copy()
    for cx, cy, turn in WHORLS:
        dx, dy = u - cx, v - cy
        angle = turn * 3.4 * np.exp(-(dx**2 + dy**2) / 125.0**2)
        u = cx + dx * np.cos(angle) - dy * np.sin(angle)
        v = cy + dx * np.sin(angle) + dy * np.cos(angle)
    height = v + 0.28 * u + 34.0 * smooth_noise(u, v, 150.0, seed)
    band = np.floor(height / 44.0).astype(np.int64)
    box = np.array(SKY)[band % len(SKY)]
    field = band + 100

    # Sun: rings, then curling flames.
    dx, dy = x - SUN[0], y - SUN[1]
    r, theta = np.hypot(dx, dy), np.arctan2(dy, dx)
    flames = 18
    turned = (theta + 0.55 * np.sin(r / 46.0) + 0.0016 * r) / (2 * np.pi) * flames
    flame = np.floor(turned).astype(np.int64) % flames
    along = turned - np.floor(turned)
    reach = np.where(flame % 2 == 0, 222.0, 176.0) - 46.0 * np.abs(2 * along - 1) ** 1.5
    lit = (r > 88) & (r < reach)
    box = np.where(lit, np.array([0, 2, 1, 3, 0, 2, 8, 3, 0, 2, 1, 3, 0, 2, 8, 3, 1, 2])[flame], box)
    field = np.where(lit, 1000 + flame, field)
    for number, (radius, ring_box) in enumerate(((88, 3), (73, 0), (44, 1), (29, 6))):
        inside = r < radius
        box, field = np.where(inside, ring_box, box), np.where(inside, 1100 + number, field)

    # Sea: three swells with running-dog curls on their crests.
    for layer, (level, length, shift, rise) in enumerate(
        ((560.0, 256.0, 60.0, 46.0), (636.0, 192.0, 150.0, 36.0), (712.0, 256.0, 20.0, 34.0))
    ):
        phase = (x - shift) / length
        # Steep in front, long behind: the swell leans to the right.
        saw = phase - np.floor(phase)
        crest = level - rise * (saw**1.7 * 2.0 - 1.0) - 8.0 * smooth_noise(x, y, 200.0, seed + 5 + layer)
        water = y > crest
        depth = ndimage.distance_transform_edt(np.pad(water, ((0, 0), (60, 60)), mode="edge"))[:, 60:-60]
        depth *= SHEET / x.shape[0]
        strip = np.floor(depth / (1.95 * ROW)).astype(np.int64)
        box = np.where(water, np.array(SEA)[strip % len(SEA)], box)
        field = np.where(water, 2000 + 100 * layer + strip, field)
        for number in range(-1, 6):
            cx, cy = shift + length * number - 14.0, level - rise + 18.0
            dx, dy = x - cx, y - cy
            r, theta = np.hypot(dx, dy), np.arctan2(dy, dx)
            roll = 1.38 * rise
            curl = np.floor(r / (roll / 2.0) - theta / (2 * np.pi)).astype(np.int64) % 2
            inside = r < roll
            box = np.where(inside, np.where(curl == 0, 6 if layer != 1 else 0, (4, 2, 7)[layer]), box)
            field = np.where(inside, 3000 + 200 * layer + 10 * number + curl, field)
    return field, box


def _centres(field: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tile centres ``(n, 2)`` as (x, y) and their row directions ``(n,)`` in radians."""
    scale = SHEET / field.shape[0]
    edge = np.zeros(field.shape, bool)
    edge[:, 1:] |= field[:, 1:] != field[:, :-1]
    edge[1:, :] |= field[1:, :] != field[:-1, :]
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(~edge) * scale, 1.2)
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(distance, 2.0))
    found: list[np.ndarray] = []
    for level in np.arange(0.5, distance.max() / ROW):
        for line in measure.find_contours(distance, level * ROW):
            steps = np.hypot(*np.diff(line, axis=0).T) * scale
            length = steps.sum()
            if length < 0.6 * ROW:
                continue
            count = max(round(length / (1.12 * ROW)), 1)
            stops = (np.arange(count) + rng.uniform(0, 1) + rng.normal(0, 0.11, count)) * (length / count)
            place = np.concatenate([[0.0], np.cumsum(steps)])
            found.append(np.stack([np.interp(stops % length, place, line[:, k]) for k in (1, 0)], 1))
    points = np.concatenate(found)
    # Rows of opposite sides meet in the middle of a field: thin out what would overlap.
    points = points[rng.permutation(len(points))]
    close = cKDTree(points * scale).query_pairs(0.62 * ROW, output_type="ndarray")
    keep = np.ones(len(points), bool)
    for first, second in close[np.lexsort((close[:, 1], close[:, 0]))]:
        if keep[first]:
            keep[second] = False
    points = points[keep]
    # Where a field is narrower than a row there is no level line: fill such places one tile at a time.
    lattice = np.stack(np.meshgrid(*(np.arange(0, field.shape[0], 3.0),) * 2), -1).reshape(-1, 2)
    lattice = lattice + rng.uniform(-1.5, 1.5, lattice.shape)
    gap = 0.9 * ROW / scale
    bare = lattice[cKDTree(points).query(lattice)[0] > gap]
    added = np.empty((0, 2))
    while len(bare):
        added = np.concatenate([added, bare[:1]])
        bare = bare[np.hypot(*(bare - bare[0]).T) > gap]
    points = np.concatenate([points, added])
    at = np.clip(np.round(points[:, ::-1]).astype(int), 0, field.shape[0] - 1)
    direction = np.arctan2(slope_x[at[:, 0], at[:, 1]], -slope_y[at[:, 0], at[:, 1]])
    direction += rng.normal(0, 0.06, len(points))
    return (points + 0.5) * scale, direction


def paint(size: int = 768, seed: int = 11) -> Image.Image:
    """Paint the mosaic; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    plan_x, plan_y = grid(int(SHEET))
    field, box = _colour_fields(plan_x, plan_y, seed)
    centres, direction = _centres(field, rng)
    n = len(centres)

    tile_box = sample(box, centres[:, 0], centres[:, 1])
    colour = np.array([BOXES[b][k] for b, k in zip(tile_box, rng.integers(0, 4, n), strict=True)])
    stray = rng.uniform(size=n) < 0.035
    colour[stray] = BOXES[GOLD][rng.integers(0, 4, stray.sum())]
    gold = stray | (tile_box == GOLD)
    colour = colour * np.exp(rng.normal(0, 0.13, (n, 1))) + rng.normal(0, 0.018, (n, 3))
    tilt = rng.normal(0, 1.0, (n, 2)) * np.where(gold, 0.017, 0.008)[:, None]

    x, y = grid(size, 2)
    tree = cKDTree(centres)
    cosine, sine = np.cos(direction), np.sin(direction)
    rgb = np.empty((*x.shape, 3), np.float32)
    for rows in np.array_split(np.arange(x.shape[0]), 8):  # in strips, to keep the neighbour lists small
        px, py = x[rows], y[rows]
        wobble = 1.3
        qx = px + wobble * smooth_noise(px, py, 9.0, seed + 1)
        qy = py + wobble * smooth_noise(px, py, 9.0, seed + 2)
        _, near = tree.query(np.stack([qx.ravel(), qy.ravel()], 1), k=7)
        dx, dy = qx.ravel()[:, None] - centres[near, 0], qy.ravel()[:, None] - centres[near, 1]
        along = np.abs(dx * cosine[near] + dy * sine[near]) / 1.12
        across = np.abs(-dx * sine[near] + dy * cosine[near])
        # A high norm instead of the maximum keeps the corners a little rounded.
        reach = (along**6 + across**6) ** (1 / 6)
        order = np.argsort(reach, axis=1, kind="stable")[:, :2]
        best = np.take_along_axis(reach, order, 1)
        tile = np.take_along_axis(near, order[:, :1], 1)[:, 0].reshape(px.shape)
        first, gap = best[:, 0].reshape(px.shape), (best[:, 1] - best[:, 0]).reshape(px.shape)
        # Distance from the rim of the tile: to the neighbour, and to the largest tile there is glass for.
        rim = np.minimum(0.5 * gap, 0.62 * ROW - first)

        streak = smooth_noise(px + 3.1 * tile % 97, py * 1.0 + 5.7 * tile % 89, 7.0, seed + 3)
        face = colour[tile] * (1.0 + 0.07 * streak + 0.05 * smooth_noise(px, py, 2.2, seed + 4))[..., None]
        light = tilt[tile, 0] * (px - centres[tile, 0]) + tilt[tile, 1] * (py - centres[tile, 1])
        # Bevel: the upper left rim catches light, the lower right one is in shade.
        lean = -((px - centres[tile, 0]) + (py - centres[tile, 1])) / (1.41 * ROW)
        light += 0.34 * lean * smoothstep(2.6, 1.0, rim)
        face = face * (1.0 + light)[..., None] + (0.5 * np.maximum(light, 0.0) * gold[tile])[..., None]
        mortar = GROUT * (1.0 + 0.5 * cloud(px, py, 6.0, seed + 6, 2))[..., None]
        rgb[rows] = mix(mortar, face, smoothstep(0.75, 1.35, rim))
    return to_image(rgb, size)
