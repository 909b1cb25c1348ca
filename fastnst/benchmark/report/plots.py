"""Plots of a benchmark's figures as pictures, by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.tensors import to_tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 900, 540
"""In pixels."""
MARKERS = "osD^v<>PX*hp"


class Line(NamedTuple):
    """A curve: positive ``x`` and ``y``, or one ``y`` alone for a level line across."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


class Point(NamedTuple):
    """A contender's figures in one discipline: colours tell contenders apart, markers disciplines."""

    contender: str
    discipline: str
    x: float
    y: float


def plot(title: str, x_label: str, lines: Sequence[Line], log_x: bool = False) -> Tensor:
    """Draw curves, y on a logarithmic axis.

    Args:
        lines: at least one with an x.
        log_x: the x axis too is logarithmic.

    Returns:
        (3, HEIGHT, WIDTH) in [0, 1].
    """
    figure, axes = _axes(title)
    for line in lines:
        if line.x:
            axes.plot(line.x, line.y, label=line.label, marker="o" if len(line.x) <= 5 else None)
        else:
            axes.axhline(line.y[0], label=line.label, linestyle="--", color=f"C{len(axes.lines)}")
    axes.set(xlabel=x_label, yscale="log", xscale="log" if log_x else "linear")
    axes.legend()
    return _picture(figure)


def scatter(title: str, x_label: str, y_label: str, points: Sequence[Point]) -> Tensor:
    """Draw points, with a legend for the contenders and one for the disciplines.

    Returns:
        (3, HEIGHT, WIDTH) in [0, 1].
    """
    figure, axes = _axes(title)
    contenders = list(dict.fromkeys(point.contender for point in points))
    disciplines = list(dict.fromkeys(point.discipline for point in points))
    colours = {name: f"C{number % 10}" for number, name in enumerate(contenders)}
    markers = {name: MARKERS[number % len(MARKERS)] for number, name in enumerate(disciplines)}
    for point in points:
        axes.plot(point.x, point.y, markers[point.discipline], color=colours[point.contender], alpha=0.8)
    for name in contenders:
        axes.plot([], [], "s", color=colours[name], label=name)
    for name in disciplines:
        axes.plot([], [], markers[name], color="grey", label=name)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
    return _picture(figure)


def _axes(title: str) -> tuple[Figure, Axes]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("plots need matplotlib: pip install 'fastnst[plots]'") from None
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title)
    axes.grid(alpha=0.4)
    return figure, axes


def _picture(figure: Figure) -> Tensor:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return to_tensor(Image.open(buffer).convert("RGB"))
