"""Line plots on logarithmic axes, drawn with Pillow: a picture of the curves without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fastnst.images.files import to_tensor

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 34, 46
BACKGROUND, INK, GRID = (255, 255, 255), (30, 30, 30), (225, 225, 225)
COLOURS = ((31, 119, 180), (214, 90, 40), (44, 140, 60), (150, 80, 170), (120, 90, 60), (90, 90, 90))


class Line(NamedTuple):
    """A curve: positive ``x`` and ``y``, or one ``y`` alone for a level line across."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


def plot(title: str, x_label: str, lines: Sequence[Line], log_x: bool = False) -> Tensor:
    """Draw curves, y on a logarithmic axis.

    Args:
        lines: at least one with an x.
        log_x: the x axis too is logarithmic.

    Returns:
        (3, HEIGHT, WIDTH) in [0, 1].
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=13)

    def across(value: float) -> float:
        return math.log10(max(value, 1e-12)) if log_x else value

    x_values = [across(x) for line in lines for x in line.x]
    y_values = [math.log10(max(y, 1e-12)) for line in lines for y in line.y]
    x_low, x_high = min(x_values), max(max(x_values), min(x_values) + 1e-9)
    y_low, y_high = min(y_values) - 0.05, max(y_values) + 0.05

    def place(x: float, y: float) -> tuple[float, float]:
        """Of values on the (possibly logarithmic) axes."""
        return (
            LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM),
        )

    for tick in _log_ticks(y_low, y_high):
        _, level = place(x_low, math.log10(tick))
        draw.line([(LEFT, level), (WIDTH - RIGHT, level)], GRID)
        draw.text((LEFT - 6, level), f"{tick:g}", INK, font, anchor="rm")
    ticks = [math.log10(tick) for tick in _log_ticks(x_low, x_high)] if log_x else _even_ticks(x_low, x_high)
    for position in ticks:
        column, _ = place(position, y_low)
        draw.line([(column, TOP), (column, HEIGHT - BOTTOM)], GRID)
        draw.text((column, HEIGHT - BOTTOM + 5), f"{10**position if log_x else position:.5g}", INK, font, anchor="ma")
    draw.rectangle([(LEFT, TOP), (WIDTH - RIGHT, HEIGHT - BOTTOM)], outline=INK)
    draw.text((WIDTH / 2, TOP / 2), title, INK, font, anchor="mm")
    draw.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12), x_label, INK, font, anchor="mm")
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        heights = [math.log10(max(y, 1e-12)) for y in line.y]
        pairs = zip(map(across, line.x), heights, strict=True) if line.x else ((x, heights[0]) for x in (x_low, x_high))
        points = [place(x, y) for x, y in pairs]
        draw.line(points, colour, 2)
        if len(points) <= 5:
            for column, level in points:
                draw.ellipse([(column - 3, level - 3), (column + 3, level + 3)], fill=colour)
        label = TOP + 10 + 17 * number
        draw.line([(WIDTH - RIGHT - 190, label), (WIDTH - RIGHT - 166, label)], colour, 3)
        draw.text((WIDTH - RIGHT - 160, label), line.label, INK, font, anchor="lm")
    return to_tensor(image)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two decimal logarithms; only the powers where there are many."""
    steps = (1, 2, 5) if high - low < 3 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [step * 10.0**power for power in powers for step in steps if low <= math.log10(step * 10.0**power) <= high]


def _even_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step + 1e-9) + 1)]
