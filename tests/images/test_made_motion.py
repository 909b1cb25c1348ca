"""Made motion against slices, numpy's turns and a camera's arithmetic done by hand."""

import math

import numpy as np
import pytest
import torch

from fastnst.images.made_motion import GAIN, NOISE, SHIFT, TURN, ZOOM, MadeMotion


def picture(height: int = 24, width: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_whole_pixels_are_slices():
    content = picture()
    motion = MadeMotion(shift=(5, -3))  # right by 5, up by 3
    moved, visible = motion.carry(content), motion.visible(24, 32)[0, 0]
    torch.testing.assert_close(moved[..., :-3, 5:], content[..., 3:, :-5], atol=1e-4, rtol=0)
    assert visible[:-3, 5:].all() and visible.sum() == 21 * 27


def test_a_quarter_turn_is_numpys():
    content = picture(24, 24)
    turned = MadeMotion(turn=math.pi / 2).carry(content)
    expected = np.rot90(content.numpy(), -1, axes=(2, 3)).copy()  # clockwise
    torch.testing.assert_close(turned, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_any_motion_of_a_plane_by_hand():
    """A bilinear brightness at every visible pixel is that at the place which the motion takes there."""
    height, width = 40, 60
    rows, columns = np.mgrid[:height, :width].astype(float)
    plane = torch.from_numpy(0.3 * columns / width + 0.5 * rows / height).float()[None, None]
    motion = MadeMotion(shift=(2.3, -1.6), zoom=1.1, turn=0.2)
    x, y = (columns - (width - 1) / 2 - 2.3) / 1.1, (rows - (height - 1) / 2 + 1.6) / 1.1
    from_x = math.cos(0.2) * x + math.sin(0.2) * y + (width - 1) / 2
    from_y = -math.sin(0.2) * x + math.cos(0.2) * y + (height - 1) / 2
    inside = (from_x >= 0) & (from_x <= width - 1) & (from_y >= 0) & (from_y <= height - 1)
    np.testing.assert_array_equal(motion.visible(height, width)[0, 0].numpy() > 0, inside)
    deep = (from_x >= 1) & (from_x <= width - 2) & (from_y >= 1) & (from_y <= height - 2)  # cubic looks farther
    expected = 0.3 * from_x / width + 0.5 * from_y / height
    np.testing.assert_allclose(motion.carry(plane)[0, 0].numpy()[deep], expected[deep], atol=2e-3)


def test_light_and_noise():
    grey = torch.full((1, 3, 64, 64), 0.4)
    filmed = MadeMotion(gain=1.1, noise=0.02, seed=5).film(grey)
    assert filmed.mean().item() == pytest.approx(0.44, abs=1e-3) and filmed.std().item() == pytest.approx(0.02, rel=0.1)
    coarse = MadeMotion(noise=0.02, grain=4, seed=5).film(grey)
    assert torch.equal(coarse[..., ::4, ::4], coarse[..., 3::4, 3::4]) and len(coarse.unique()) > 100
    assert torch.equal(coarse, MadeMotion(noise=0.02, grain=4, seed=5).film(grey))
    assert MadeMotion(gain=3.0).film(grey).max() == 1


def test_standing_still_changes_nothing_and_shows_everything():
    content = picture()
    torch.testing.assert_close(MadeMotion().film(content), content, atol=1e-4, rtol=0)
    assert MadeMotion().visible(24, 32).all()


def test_drawn_motions_stay_in_their_ranges_and_follow_from_the_seed():
    drawn = [MadeMotion.draw(np.random.default_rng((0, step))) for step in range(200)]
    assert drawn[7] == MadeMotion.draw(np.random.default_rng((0, 7))) and len(set(drawn)) == 200
    for values, most in (
        ([math.hypot(*one.shift) for one in drawn], SHIFT),
        ([abs(one.zoom - 1) for one in drawn], ZOOM),
        ([abs(one.turn) for one in drawn], TURN),
        ([abs(one.gain - 1) for one in drawn], GAIN),
        ([one.noise for one in drawn], NOISE),
    ):
        assert 0.9 * most < max(values) <= most and min(values) < 0.1 * most
