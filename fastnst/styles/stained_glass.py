"""`stained_glass`: a garden against a low sun, in leaded panes of streaky glass.

The sheet is divided into panes by painting shapes over one another (rays and rings of sky, leaves,
blossoms), slivers no glazier could cut are given to a neighbour, and lead is laid along every
remaining seam.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import measure

from fastnst.styles.noise import cloud, smooth_noise
from fastnst.styles.palette import mix, pigments, ramp
from fastnst.styles.sheet import SHEET, grid, smoothstep, to_image, window

PLAN = 1536  # samples along one side of the plan the seams are found on
LEAD_HALF_WIDTH = 2.9  # sheet units
SMALLEST_PANE = 190.0  # square sheet units
SUN = (150.0, 132.0)

SKY = pigments("fffbe0", "ffe680", "ffbe3c", "ff8a3a", "f2647a", "b565c9", "6a6ce0", "2f7fdc", "1c4fae", "142d78")
LEAF = pigments("06331f", "0c6b3a", "2fa552", "9bdc62", "e4f7a0")
BLOSSOMS = (
    pigments("4a0014", "b30b30", "ee3d5e", "ff9fae", "ffe3df"),  # ruby
    pigments("2a0a58", "6429b8", "a866ee", "dfc0ff", "fbefff"),  # violet
    pigments("7a1200", "dd3d0c", "ff8a22", "ffcf5a", "fff3c0"),  # flame
    pigments("5a0646", "c21589", "f559b4", "ffb3da", "ffeef6"),  # magenta
    pigments("04185a", "1448c0", "3f98f4", "a5defd", "effbff"),  # cobalt
)
# x, y, radius, petals, colour
GARDEN = (
    (520.0, 300.0, 158.0, 8, 0),
    (176.0, 500.0, 132.0, 7, 1),
    (430.0, 610.0, 124.0, 8, 2),
    (676.0, 540.0, 118.0, 7, 3),
    (352.0, 118.0, 84.0, 6, 3),
    (690.0, 92.0, 96.0, 7, 1),
    (40.0, 322.0, 76.0, 6, 2),
    (268.0, 748.0, 92.0, 7, 4),
    (600.0, 760.0, 88.0, 6, 1),
    (46.0, 716.0, 84.0, 6, 0),
    (322.0, 372.0, 62.0, 6, 4),
)


def _panes(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay out the panes.

    Returns:
        Pane number (int), palette number (int; 0 sky, 1 leaf, 2.. blossoms) and the place in the
        palette (float), each of the shape of ``x``.
    """
    rng = np.random.default_rng(seed)
    u = x + 26.0 * smooth_noise(x, y, 210.0, seed + 1)
    v = y + 26.0 * smooth_noise(x, y, 210.0, seed + 2)
    dx, dy = u - SUN[0], v - SUN[1]
    r, theta = np.hypot(dx, dy), np.arctan2(dy, dx) / (2 * np.pi) + 0.5
    ring = np.where(r < 44, 0, 1 + np.floor((r - 44) / 62)).astype(np.int64)
    rays = np.array([1, 10, 15, 20, 26, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68])[np.clip(ring, 0, 14)]
    ray = np.floor((theta + 0.37 * ring) * rays).astype(np.int64)
    pane = 1 + ring * 200 + ray % rays
    kind = np.zeros(x.shape, np.int64)
    place = 0.06 + r / 1010.0

    # Leaves: two arcs that meet in points, split by a midrib and slanting veins.
    for leaf in range(46):
        cx, cy, turn = rng.uniform(0, SHEET), rng.uniform(150, SHEET), rng.uniform(0, 2 * np.pi)
        half, width = rng.uniform(62, 104), rng.uniform(22, 34)
        if np.hypot(cx - SUN[0], cy - SUN[1]) < 175:
            continue
        view = window(x, cx - half - 1, cy - half - 1, cx + half + 1, cy + half + 1)
        a = (x[view] - cx) * np.cos(turn) + (y[view] - cy) * np.sin(turn)
        b = -(x[view] - cx) * np.sin(turn) + (y[view] - cy) * np.cos(turn) + 0.0022 * a**2
        outline = width * (1.0 - (a / half) ** 2)
        inside = np.abs(b) < outline
        vein = np.floor((a - 0.8 * np.abs(b)) / 46.0).astype(np.int64)
        tone = 0.22 + 0.14 * (b > 0) + 0.5 * (a / half * 0.5 + 0.5) * rng.uniform(0.6, 1.2)
        pane[view][inside] = (10_000 + 40 * leaf + 2 * (vein + 8) + (b > 0))[inside]
        kind[view][inside] = 1
        place[view][inside] = tone[inside]

    for number, (cx, cy, radius, petals, colour) in enumerate(GARDEN):
        cx, cy = cx + rng.normal(0, 5.0), cy + rng.normal(0, 5.0)
        reach = 1.1 * radius
        view = window(x, cx - reach, cy - reach, cx + reach, cy + reach)
        px, py = x[view], y[view]
        dx, dy = px - cx, py - cy
        r = np.hypot(dx, dy) * (1.0 + 0.05 * smooth_noise(px, py, 60.0, seed + 20 + number)) / radius
        theta = np.arctan2(dy, dx) / (2 * np.pi) * petals + rng.uniform(0, 1)
        for tier, edge in enumerate((1.0, 0.62, 0.3)):
            turned = theta + 0.5 * tier + 0.34 * r * (-1) ** number
            petal, across = np.floor(turned).astype(np.int64) % petals, turned - np.floor(turned)
            rim = edge * (0.72 + 0.28 * np.sin(np.pi * across) ** 0.6)
            inside = r < rim
            second = (across > 0.5) if tier == 0 and radius > 90 else np.zeros(px.shape, bool)
            inner = (0.62, 0.3, 0.1)[tier] * 0.7
            tone = 0.1 + 0.12 * second + 0.8 * (r - inner) / (rim - inner) * (1 - 0.14 * tier)
            pane[view][inside] = (20_000 + 500 * number + 100 * tier + 2 * petal + second)[inside]
            kind[view][inside] = 2 + colour
            place[view][inside] = tone[inside]
        heart = r < (0.15 if radius > 90 else 0.2)
        pane[view][heart] = 20_000 + 500 * number + 400
        kind[view][heart] = 2 + (2 if colour != 2 else 1)
        place[view][heart] = 0.62
    return pane, kind, place.astype(np.float32)


def _cut(pane: np.ndarray, unit: float) -> np.ndarray:
    """Number the connected panes 0.. and give slivers to the nearest pane that can be cut.

    Args:
        pane: ``(n, n)`` numbers.
        unit: sheet units per sample.
    """
    pieces = measure.label(pane, background=-1, connectivity=1) - 1
    area = np.bincount(pieces.ravel()) * unit**2
    # A long thin pane vanishes between its leads: judge it by what is left inside them.
    seam = np.zeros(pieces.shape, bool)
    seam[:, 1:] |= pieces[:, 1:] != pieces[:, :-1]
    seam[1:, :] |= pieces[1:, :] != pieces[:-1, :]
    depth = ndimage.maximum(ndimage.distance_transform_edt(~seam) * unit, pieces, np.arange(len(area)))
    sliver = (area < SMALLEST_PANE) | (depth < 1.9 * LEAD_HALF_WIDTH)
    rows, columns = ndimage.distance_transform_edt(sliver[pieces], return_distances=False, return_indices=True)
    return measure.label(pieces[rows, columns], background=-1, connectivity=1) - 1


def paint(size: int = 768, seed: int = 5) -> Image.Image:
    """Paint the window; ``size`` pixels square, the same sheet for the same ``seed``."""
    rng = np.random.default_rng(seed)
    plan_x, plan_y = grid(PLAN)
    unit = SHEET / PLAN
    pane, kind, place = _panes(plan_x, plan_y, seed)
    piece = _cut(pane, unit)
    count = piece.max() + 1

    windows = [piece[:-1, :-1], piece[:-1, 1:], piece[1:, :-1], piece[1:, 1:]]
    seam, joint = np.zeros(piece.shape, bool), np.zeros(piece.shape, bool)
    seam[:-1, :-1] = np.any([w != windows[0] for w in windows[1:]], axis=0)
    # A seam sample where three or more panes meet: the glazier solders here.
    ordered = np.sort(np.stack(windows), axis=0)
    joint[:-1, :-1] = (np.diff(ordered, axis=0) != 0).sum(axis=0) >= 2
    to_seam = ndimage.gaussian_filter(ndimage.distance_transform_edt(~seam) * unit, 1.0).astype(np.float32)
    to_joint = (ndimage.distance_transform_edt(~joint) * unit).astype(np.float32)

    # Inside a merged sliver the palette of the pane that took it holds.
    palettes = 2 + len(BLOSSOMS)
    votes = np.bincount(piece.ravel() * palettes + kind.ravel(), minlength=count * palettes)
    anchor = votes.reshape(count, palettes).argmax(axis=1)
    belongs = anchor[piece] == kind
    own = ndimage.mean(place, np.where(belongs, piece, -1), np.arange(count))
    place = np.where(belongs, place, own[piece]).astype(np.float32)

    x, y = grid(size, 2)
    at = np.stack([y, x]) / unit - 0.5
    nearest = np.clip(np.round(at).astype(np.int64), 0, PLAN - 1)
    tile = piece[nearest[0], nearest[1]]
    place = place[nearest[0], nearest[1]]
    to_seam = ndimage.map_coordinates(to_seam, at, order=1, mode="nearest")
    to_joint = ndimage.map_coordinates(to_joint, at, order=1, mode="nearest")

    # Each pane is cut from its own sheet of glass: own direction of streaks, own strength of colour.
    turn = rng.uniform(0, np.pi, count)[tile].astype(np.float32)
    offset = rng.uniform(0, 400, count)[tile].astype(np.float32)
    a = x * np.cos(turn) + y * np.sin(turn) + offset
    b = -x * np.sin(turn) + y * np.cos(turn) + offset
    streak = cloud(a / 6.5 + 0.6 * smooth_noise(x, y, 30.0, seed + 7), b, 9.0, seed + 8, 3)
    ripple = smooth_noise(a / 2.2, b, 3.6, seed + 9)
    mottle = cloud(x, y, 26.0, seed + 10, 2)
    tone = place + 0.17 * streak + 0.07 * mottle + rng.normal(0, 0.085, count)[tile]
    glass = np.empty((*x.shape, 3), np.float32)
    for number, stops in enumerate((SKY, LEAF, *BLOSSOMS)):
        mask = anchor[tile] == number
        glass[mask] = ramp(stops, tone[mask])
    # Light falls through: strongest in the middle of a pane, held back along the lead.
    glow = 0.66 + 0.42 * smoothstep(1.5, 15.0, to_seam) + 0.05 * ripple + 0.07 * streak
    glass = glass * glow[..., None]
    glint = smoothstep(0.62, 0.9, smooth_noise(a / 3.0, b, 5.0, seed + 12)) * smoothstep(4.0, 9.0, to_seam)
    glass = mix(glass, np.ones(3, np.float32), 0.38 * glint)

    half = LEAD_HALF_WIDTH * (1.0 + 0.16 * smooth_noise(x, y, 40.0, seed + 13)) + 2.1 * smoothstep(9.0, 2.0, to_joint)
    # The came is round: a dull ridge of reflected light runs along its middle.
    ridge = smoothstep(1.7, 0.2, to_seam) * (0.6 + 0.4 * smooth_noise(x, y, 14.0, seed + 14))
    lead = pigments("0d0c11")[0] + 0.2 * ridge[..., None] * pigments("aab0c4")[0]
    cover = smoothstep(half + 0.5, half - 0.5, to_seam)
    return to_image(mix(glass, lead, cover), size)
