"""Where a training starts: with the weights of a trained model, its colours and contrast adapted to the new style."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.losses import PerceptualLoss
from fastnst.models.model_file import BASE, find_model, load_model
from fastnst.networks import OwnNetwork, TransformerNetwork
from fastnst.networks.blocks import InstanceNorm
from fastnst.networks.transformer import OUTPUT_RANGE
from fastnst.training.module import StyleTransferModule

CONTRASTS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
"""Tried in turn, in units of the style picture's own contrast."""


def freeze_convolutions(network: TransformerNetwork) -> None:
    """Leave only the scales and shifts of the normalisations to be learnt (Dumoulin et al. 2017, section 3.3)."""
    network.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.requires_grad_(True)


def begin_from(
    module: StyleTransferModule, model: str, styles: Sequence[Tensor], content: Tensor, frozen: bool = False
) -> None:
    """Take the weights of a trained model, of these styles or others, as the first ones.

    Where the numbers of styles differ, every style begins as the mean of the model's. ``base``, with which some
    experiments begin by themselves, is left out where the network is another one.

    Args:
        model: a model file, or the name of one in ``checkpoints/``.
        styles: the style pictures, (3, H, W) in [0, 1].
        content: some photographs (N, 3, H, W) in [0, 1] to adapt the output on.
        frozen: the convolutions stay the model's to the bit, the last one, too, and the network must be its in all.

    Raises:
        InputError: it cannot be read, or its network is another one.
    """
    network = module.network
    if not frozen and model == BASE and _arguments(network) != _arguments(load_model(find_model(BASE)).network):
        print("This network begins with random weights: initial=base is of the default network.", flush=True)
        return
    if isinstance(network, OwnNetwork):
        network.load_state_dict(load_model(find_model(model), deepcopy(network.body)).network.state_dict())
        return
    given = load_model(find_model(model)).network
    grain = (given.arguments["grain"], network.arguments["grain"])
    if _arguments(given) != _arguments(network) or (frozen and grain[0] != grain[1]):
        raise InputError(
            f"initial={model}: its network is {given.arguments}, this run's is {network.arguments}: give a model of "
            "the same network, or network.arguments that are its own."
        )
    if given.arguments["styles"] != network.arguments["styles"] and (rows := given.arguments["styles"]):
        given = given.of_style(torch.full((rows,), 1 / rows))
    own = network.state_dict()
    network.load_state_dict({name: value.expand_as(own[name]) for name, value in given.state_dict().items()})
    if not frozen and network.arguments["output"] == "tanh" and not module.styles:
        adapt_output(network, module.loss, styles[0], content)


def _arguments(network: TransformerNetwork | OwnNetwork) -> dict[str, object] | None:
    """What two networks must have in common for the one's weights to fit the other; the grain has none."""
    return None if isinstance(network, OwnNetwork) else {**network.arguments, "styles": None, "grain": None}


@torch.no_grad()
def adapt_output(network: TransformerNetwork, loss: PerceptualLoss, style: Tensor, content: Tensor) -> None:
    """Give the network's pictures the colours of ``style`` and the contrast that the objective likes best.

    A model of an energetic painting is so far from a quiet one that descending from there would first turn everything
    grey, and its strokes would have to be learnt again. Only the last convolution changes; it stays as it is where no
    contrast is better.
    """
    z = network.preactivation(content).float()
    targets = loss.content_features(content)
    deviation, mean = torch.std_mean(z, dim=(0, 2, 3))
    pixels = ((style.to(z) - 0.5) / OUTPUT_RANGE).atanh().flatten(1)  # before the tanh; the range is wider than [0, 1]
    wanted_deviation, wanted_mean = torch.std_mean(pixels, dim=1)

    def objective(scale: Tensor, shift: Tensor) -> float:
        stylized = network.to_unit_range(z * scale[:, None, None] + shift[:, None, None])
        return loss(stylized, targets).total.item()

    best = objective(torch.ones_like(mean), torch.zeros_like(mean))
    weight, bias = network.to_rgb.weight.clone(), network.to_rgb.bias.clone()  # type: ignore[union-attr]
    for contrast in CONTRASTS:
        scale = contrast * wanted_deviation / deviation
        shift = wanted_mean - mean * scale
        if (value := objective(scale, shift)) < best:
            best = value
            network.to_rgb.weight.copy_(weight * scale[:, None, None, None])
            network.to_rgb.bias.copy_(bias * scale + shift)  # type: ignore[union-attr]
