"""Many styles in one network: rows of the normalisations, picked, mixed, and taken apart."""

import pytest
import torch
import torch.nn.functional as F

from fastnst.errors import InputError
from fastnst.networks import build_network
from fastnst.networks.blocks import InstanceNorm
from fastnst.networks.transformer import MOST_STYLES

STYLES = 3


def network(**arguments):
    torch.manual_seed(0)
    made = build_network("transformer", {"width": 4, "residual_blocks": 2, "styles": STYLES, **arguments})
    with torch.no_grad():
        for norm in made.modules():
            if isinstance(norm, InstanceNorm):
                norm.weight.normal_(1, 0.3)
                norm.bias.normal_(0, 0.3)
    return made.eval()


def test_normalisation_by_hand():
    norm = InstanceNorm(2, styles=STYLES)
    with torch.no_grad():
        norm.weight.copy_(torch.arange(6.0).view(3, 2))
        norm.bias.copy_(torch.arange(6.0, 12.0).view(3, 2))
    x = torch.randn(2, 2, 5, 7)
    found = norm(x, torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]))
    plain = F.instance_norm(x)
    for picture, weight, bias in ((0, (4.0, 5.0), (10.0, 11.0)), (1, (1.0, 2.0), (7.0, 8.0))):
        for channel in range(2):
            expected = plain[picture, channel] * weight[channel] + bias[channel]
            torch.testing.assert_close(found[picture, channel], expected)


@pytest.mark.parametrize("arguments", [{}, {"separable": True, "kernel": 5}, {"upsampling": "transposed"}])
def test_each_picture_in_its_own_style_is_the_network_of_that_style(arguments):
    many, pictures = network(**arguments), torch.rand(STYLES, 3, 24, 31)
    with torch.no_grad():
        together = many(pictures, style=torch.eye(STYLES))
        for number in range(STYLES):
            alone = many.of_style(torch.eye(STYLES)[number])
            assert alone.arguments == {**many.arguments, "styles": None}
            torch.testing.assert_close(alone(pictures[number : number + 1])[0], together[number])
    assert (together[0] - together[1]).abs().max() > 0.05  # the styles differ


def test_a_mixture_is_the_network_of_mixed_rows():
    many, picture, shares = network(), torch.rand(1, 3, 24, 31), torch.tensor([0.2, 0.0, 0.8])
    with torch.no_grad():
        torch.testing.assert_close(many.of_style(shares)(picture), many(picture, style=shares[None]))


def test_a_network_of_one_style_shares_no_memory():
    many = network()
    before = {name: value.clone() for name, value in many.state_dict().items()}
    with torch.no_grad():
        for value in many.of_style(torch.eye(STYLES)[1]).parameters():
            value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in many.state_dict().items())


def test_a_style_costs_its_rows_alone():
    """Twice the channels that are normalised: w, 2w, 4w, two times 4w in a block, 2w, w."""
    count = {styles: sum(p.numel() for p in network(styles=styles).parameters()) for styles in (1, 5)}
    assert count[5] - count[1] == 4 * 2 * (4 + 8 + 16 + 2 * 2 * 16 + 8 + 4)


def test_gradients_reach_the_painted_style_alone():
    many = network()
    many(torch.rand(1, 3, 16, 16), style=torch.eye(STYLES)[1:2]).sum().backward()
    for norm in many.modules():
        if isinstance(norm, InstanceNorm):
            assert norm.bias.grad[1].abs().sum() > 0
            assert norm.weight.grad[[0, 2]].abs().sum() == 0


@pytest.mark.parametrize("styles", [0, -1, MOST_STYLES + 1])
def test_numbers_of_styles_without_meaning(styles):
    with pytest.raises(InputError, match=f"styles={styles}: expected 1 to {MOST_STYLES}"):
        build_network("transformer", {"styles": styles})


def test_a_missing_style_and_one_too_many():
    many, picture = network(), torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"expected the share of each style, \(N, S\)"):
        many(picture)
    with pytest.raises(ValueError, match="expected none"):
        many.of_style(torch.eye(STYLES)[0])(picture, style=torch.eye(STYLES)[:1])
