"""Grids: sizes, places and labels, looked at pixel by pixel."""

import pytest
import torch

from fastnst.errors import InputError
from fastnst.images.grids import labelled_grid, side_by_side


def plain(value: float, height: int = 10, width: int = 10) -> torch.Tensor:
    return torch.full((3, height, width), value)


def test_pictures_lie_where_they_should():
    grid = labelled_grid([[plain(1), plain(0.2)], [None, plain(0.6)]], cell=20)
    assert grid.shape == (3, 4 + 2 * 24, 4 + 2 * 24)
    assert grid[:, 4:24, 4:24].min() == 1
    assert (grid[:, 4:24, 28:48] - 0.2).abs().max() < 1e-6
    assert (grid[:, 28:48, 28:48] - 0.6).abs().max() < 1e-6
    background = grid[:, 0, 0]
    assert torch.equal(grid[:, 28:48, 4:24], background[:, None, None].expand(3, 20, 20))  # None leaves it empty


def test_rows_may_differ_in_length():
    assert labelled_grid([[plain(1)], [plain(1)] * 3], cell=16).shape == (3, 4 + 2 * 20, 4 + 3 * 20)


@pytest.mark.parametrize(
    "height, width, shown", [(10, 40, (5, 20)), (40, 10, (20, 5)), (300, 300, (20, 20)), (1, 500, (1, 20))]
)
def test_pictures_are_fitted_never_cropped(height, width, shown):
    grid = labelled_grid([[plain(1, height, width)]], cell=20)
    white = (grid == 1).all(0)
    rows, columns = white.any(1), white.any(0)
    assert (int(rows.sum()), int(columns.sum())) == shown
    middle_y, middle_x = (torch.nonzero(line).float().mean().item() for line in (rows, columns))
    assert abs(middle_y - 13.5) <= 0.5 and abs(middle_x - 13.5) <= 0.5


def test_labels_take_room_of_their_own():
    bare = labelled_grid([[plain(1), plain(1)]], cell=64)
    labelled = labelled_grid(
        [[plain(1), plain(1)]], ["content", "a label much too long for its cell"], ["step 1"], cell=64
    )
    top, left = labelled.shape[1] - bare.shape[1], labelled.shape[2] - bare.shape[2]
    assert top > 8 and left > 20
    assert torch.equal(labelled[:, top:, left:], bare)  # the pictures are untouched: no label runs into them
    ink = labelled > 0.6
    assert ink[:, :top, left : left + 68].any() and ink[:, :top, left + 68 :].any() and ink[:, top:, :left].any()
    assert not ink[:, :top, left + 64 : left + 68].any()  # the long label stays above its own column


def test_calls_that_make_no_grid():
    for rows in ([], [[]]):
        with pytest.raises(InputError, match="without pictures"):
            labelled_grid(rows)
    with pytest.raises(InputError, match="2 column labels for 1"):
        labelled_grid([[plain(1)]], column_labels=["a", "b"])
    with pytest.raises(InputError, match="0 row labels for 1"):
        labelled_grid([[plain(1)]], row_labels=[])
    with pytest.raises(InputError, match="cells of 7"):
        labelled_grid([[plain(1)]], cell=7)


def test_side_by_side():
    pair = side_by_side(plain(1, 20, 30), plain(0.2, 10, 10))
    assert pair.shape == (3, 20, 30 + 4 + 20)
    assert pair[:, :, :30].min() == 1
    assert (pair[:, :, 34:] - 0.2).abs().max() < 1e-6
