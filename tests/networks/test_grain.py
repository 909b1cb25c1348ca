"""The grain: fixed, of the deviation asked for, the same wherever a tile starts, and in no file."""

import torch

from fastnst.networks import build_network
from fastnst.networks.grain import Grain


def test_no_amplitude_changes_nothing():
    x = torch.rand(2, 3, 20, 30)
    torch.testing.assert_close(Grain(0.0)(x), x, rtol=0, atol=0)


def test_mean_and_deviation():
    added = Grain(0.05)(torch.zeros(1, 3, 600, 500))
    assert abs(added.std().item() - 0.05) < 0.005
    assert abs(added.mean().item()) < 0.005
    assert torch.equal(added[0, 0], added[0, 1])  # grey, as film grain is


def test_it_is_the_same_every_time_and_for_every_picture():
    first, second = Grain(0.1)(torch.zeros(2, 3, 40, 50)), Grain(0.1)(torch.zeros(1, 3, 40, 50))
    torch.testing.assert_close(first[1:], second, rtol=0, atol=0)


def test_a_tile_gets_its_part_of_the_pattern():
    grain = Grain(0.1)
    whole = grain(torch.zeros(1, 3, 300, 200))
    torch.testing.assert_close(grain(torch.zeros(1, 3, 50, 60), (170, 90)), whole[..., 170:220, 90:150], rtol=0, atol=0)


def test_it_enters_no_state_dict():
    assert not Grain(0.1).state_dict()
    plain, grainy = build_network("transformer", {"width": 4}), build_network("transformer", {"width": 4, "grain": 0.1})
    assert list(plain.state_dict()) == list(grainy.state_dict())


def test_a_flat_picture_gets_something_to_grow_on():
    torch.manual_seed(0)
    flat = torch.full((1, 3, 48, 48), 0.5)
    network = build_network("transformer", {"width": 4, "residual_blocks": 1, "grain": 0.03})
    assert network(flat)[..., 16:32, 16:32].std() > 0.02
