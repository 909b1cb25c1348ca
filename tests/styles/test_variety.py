"""Style pictures drawn at random: each from its seed alone, no two alike, loud and quiet ones."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from fastnst.styles.variety import painting, recoloured, turn_hue
from tests.conftest import run_script

SEEDS = (1, 3, 4, 5, 7, 11, 16, 21)
"""Of eight painters: ink, pastel, watercolour, oil, woodcut, stained_glass, candy, waves."""


@pytest.fixture(scope="module")
def some():
    return [painting(seed, 96) for seed in SEEDS]


def test_a_picture_follows_from_its_seed(some):
    assert all(picture.size == (96, 96) and picture.mode == "RGB" for picture in some)
    assert np.array_equal(painting(SEEDS[0], 96), some[0])
    for one, other in combinations(some, 2):
        assert np.abs(np.asarray(one, float) - np.asarray(other, float)).mean() > 15


def test_there_are_loud_and_quiet_ones(some):
    deviations = [np.asarray(picture, float).std() for picture in some]
    assert min(deviations) < 35 < 50 < max(deviations)


def test_a_third_of_a_turn_exchanges_red_green_and_blue():
    np.testing.assert_allclose(turn_hue(2 * np.pi / 3) @ [1, 0.2, 0], [0, 1, 0.2], atol=1e-12)
    np.testing.assert_allclose(turn_hue(1.0) @ turn_hue(-1.0), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turn_hue(0.7) @ [0.3, 0.3, 0.3], [0.3, 0.3, 0.3], atol=1e-12)


def test_recolouring_keeps_what_is_where():
    """A colour becomes one colour: the picture is a linear function of the old one."""
    picture = np.linspace(0, 1, 5 * 7 * 3).reshape(5, 7, 3) ** 2
    changed = recoloured(picture, np.random.default_rng(2)).reshape(-1, 3)
    columns = np.column_stack([picture.reshape(-1, 3), np.ones(35)])
    solution, *_ = np.linalg.lstsq(columns, changed, rcond=None)
    np.testing.assert_allclose(columns @ solution, changed, atol=1e-9)


def test_the_script_paints_them_and_does_not_overwrite(tmp_path):
    call = ("paint_styles", "--random", "2", "--size", "64", "--output", "varied")
    assert run_script(*call, cwd=tmp_path).code == 0
    with Image.open(tmp_path / "varied" / "varied_0001.jpg") as picture:
        assert picture.size == (64, 64)
    assert "varied_0000.jpg is already there" in run_script(*call, cwd=tmp_path).error()
    assert "--random=0: expected a whole number" in run_script("paint_styles", "--random", "0", cwd=tmp_path).error()
