"""Lay pictures out beside each other with small labels: preview grids, contact sheets, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont

from fastnst.errors import InputError
from fastnst.images.resizing import resize
from fastnst.images.tensors import to_pil, to_tensor

_BACKGROUND = (32, 32, 32)
_INK = (230, 230, 230)
_GAP = 4


def labelled_grid(
    rows: Sequence[Sequence[torch.Tensor | None]],
    column_labels: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    cell: int = 256,
) -> torch.Tensor:
    """Lay out pictures in rows; each is fitted into a square cell and never cropped or distorted.

    Args:
        rows: pictures ``(3, H, W)`` in [0, 1] of any size; None leaves a cell empty; rows may differ in length.
        column_labels: one for each column, above; too long ones are shortened.
        row_labels: one for each row, on the left.
        cell: side of a cell in pixels, at least 8.

    Returns:
        ``(3, H, W)`` in [0, 1].

    Raises:
        InputError: no pictures, a cell below 8 pixels, or labels that do not match the grid.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise InputError("a grid without pictures was asked for; give at least one row with one picture")
    if cell < 8:
        raise InputError(f"cells of {cell} pixels are too small to see; give 8 or more")
    for what, labels, count in (("column", column_labels, columns), ("row", row_labels, len(rows))):
        if labels is not None and len(labels) != count:
            raise InputError(f"{len(labels)} {what} labels for {count} {what}s; give one for each")

    font = ImageFont.load_default(size=max(9, min(18, cell // 14)))
    line = sum(font.getmetrics()) + 4 if isinstance(font, ImageFont.FreeTypeFont) else 15
    top = _GAP + (line if column_labels is not None else 0)
    shown = [_shortened(label, font, cell) for label in row_labels or ()]
    left = _GAP + (round(max(font.getlength(label) for label in shown)) + 2 * _GAP if shown else 0)

    step = cell + _GAP
    sheet = Image.new("RGB", (left + columns * step, top + len(rows) * step), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for x, label in enumerate(column_labels or ()):
        middle = left + x * step + cell / 2
        draw.text((middle, top - line / 2), _shortened(label, font, cell), _INK, font, anchor="mm")
    for y, label in enumerate(shown):
        draw.text((_GAP, top + y * step + cell / 2), label, _INK, font, anchor="lm")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            if image is not None:
                picture = _fitted(image, cell)
                offset_x, offset_y = (cell - picture.width) // 2, (cell - picture.height) // 2
                sheet.paste(picture, (left + x * step + offset_x, top + y * step + offset_y))
    return to_tensor(sheet)


def side_by_side(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Put two pictures ``(3, H, W)`` next to each other with a small gap; the second takes the height of the first."""
    height = a.shape[1]
    left = to_pil(a)
    right = to_pil(b)
    right = resize(right, height, max(1, round(right.width * height / right.height)))
    sheet = Image.new("RGB", (left.width + _GAP + right.width, height), _BACKGROUND)
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + _GAP, 0))
    return to_tensor(sheet)


def _fitted(image: torch.Tensor, cell: int) -> Image.Image:
    picture = to_pil(image)
    scale = cell / max(picture.size)
    return resize(picture, max(1, round(picture.height * scale)), max(1, round(picture.width * scale)))


def _shortened(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Cut a label to one line of at most ``width`` pixels."""
    label = " ".join(label.split())
    if font.getlength(label) <= width:
        return label
    while label and font.getlength(label + "...") > width:
        label = label[:-1]
    return label + "..."
