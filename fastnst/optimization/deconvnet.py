"""What a channel looks at: back from one activation to pixels through a deconvnet (Zeiler & Fergus 2014, section 2).

Forward through VGG, remember where each maximum of the pooling came from (the switches), keep one activation, then
back: unpool into the switches, ReLU, convolve with the transposed filters, layer by layer down to pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.errors import InputError
from fastnst.features import VGG


class Trace(NamedTuple):
    """One picture's way through VGG.

    Attributes:
        layer: where it ends.
        activations: (C, h, w) there.
        switches: for each block after the first, where the maxima of the pooling before it were, as
            ``torch.nn.functional.max_pool2d`` gives them: (1, C, h, w) positions in the flattened map before pooling.
        sizes: (height, width) of the map before that pooling, by block.
    """

    layer: str
    activations: Tensor
    switches: dict[str, Tensor]
    sizes: dict[str, tuple[int, int]]


class Patch(NamedTuple):
    """One activation and what fires it.

    Attributes:
        channel: of the layer, from 0.
        value: of the activation.
        reconstruction: (3, h, w), what the deconvnet projects down; zero is neutral.
        patch: (3, h, w) in [0, 1], the same piece of the picture.
        box: top, left, bottom, right of that piece in the picture, pixels.
    """

    channel: int
    value: float
    reconstruction: Tensor
    patch: Tensor
    box: tuple[int, int, int, int]


@torch.no_grad()
def forward_with_switches(vgg: VGG, picture: Tensor, layer: str) -> Trace:
    """Activations of ``layer``, and the switches on the way there.

    Args:
        vgg: built with a layer at least as deep as ``layer``; max pooling.
        picture: (3, H, W) in [0, 1], at least one pixel in size at ``layer``.

    Raises:
        InputError: average pooling (it has no switches), or the picture is too small.
    """
    if vgg.pooling != "max":
        raise InputError("a deconvnet needs the switches of max pooling: use pooling=max.")
    smallest = 2 ** (int(layer[4]) - 1)
    if min(picture.shape[-2:]) < smallest:
        height, width = picture.shape[-2:]
        raise InputError(f"the picture is {width}x{height}: {layer} needs at least {smallest}x{smallest} pixels.")
    x = (picture[None] - vgg.mean) / vgg.std
    switches: dict[str, Tensor] = {}
    sizes: dict[str, tuple[int, int]] = {}
    block = "1"
    for name, convolution in vgg.convolutions.items():
        if name[4] != block:
            block = name[4]
            sizes[block] = (x.shape[-2], x.shape[-1])
            x, switches[block] = F.max_pool2d(x, 2, return_indices=True)
        x = convolution(x)
        if layer == name:
            break
        x = F.relu(x)
        if layer == "relu" + name[4:]:
            break
    return Trace(layer, x[0], switches, sizes)


@torch.no_grad()
def project_to_pixels(vgg: VGG, trace: Trace, activations: Tensor) -> Tensor:
    """Back from activations to pixels.

    Biases are left out, as in the paper: what comes down is what the kept activations ask for.

    Args:
        activations: (N, C, h, w) of ``trace.layer``, usually zero but for one channel or one place.

    Returns:
        (N, 3, H, W) in units of the network's normalised input; zero is neutral.
    """
    names = list(vgg.convolutions)
    names = names[: names.index("conv" + trace.layer[4:]) + 1]
    x = activations
    for position in reversed(range(len(names))):
        name = names[position]
        weight = vgg.convolutions[name].get_parameter("weight")
        x = F.conv_transpose2d(F.relu(x), weight, padding=1)
        before = names[position - 1] if position > 0 else name
        if before[4] != name[4]:
            switches = trace.switches[name[4]].expand(len(x), -1, -1, -1)
            x = F.max_unpool2d(x, switches, [2, 2], output_size=trace.sizes[name[4]])
    return x


def receptive_field(layer: str, architecture_blocks: tuple[int, ...]) -> tuple[float, int, int]:
    """Which pixels an activation sees.

    Args:
        layer: such as ``"relu3_3"``.
        architecture_blocks: convolutions in each block, from ``fastnst.features.architecture.CONVOLUTIONS_PER_BLOCK``.

    Returns:
        Centre of the first activation's field, distance between neighbours, and side of the field, in pixels; the pixel
        in the corner has its centre at 0.
    """
    centre, step, side = 0.0, 1, 1
    block, index = int(layer[4]), int(layer[6])
    for number, count in enumerate(architecture_blocks[:block], start=1):
        if number > 1:  # pooling 2x2
            centre += 0.5 * step
            side += step
            step *= 2
        side += 2 * step * (index if number == block else count)  # 3x3 convolutions, padded: the centre stays
    return centre, step, side


def strongest_channels(activations: Tensor, count: int) -> list[int]:
    """The ``count`` channels of (C, h, w) with the highest single activations, highest first."""
    return activations.flatten(1).amax(dim=1).topk(min(count, len(activations))).indices.tolist()


@torch.no_grad()
def patches_that_fire(
    vgg: VGG, picture: Tensor, trace: Trace, channel: int, count: int, blocks: tuple[int, ...]
) -> list[Patch]:
    """The strongest activations of one channel, apart from each other, each projected down by itself.

    Args:
        picture: the (3, H, W) that ``trace`` was made from.
        count: at most so many; fewer where the channel fires in fewer places.
        blocks: convolutions in each block of the network.
    """
    found: list[Patch] = []
    centre, step, side = receptive_field(trace.layer, blocks)
    left_over = trace.activations[channel].clone()
    width = left_over.shape[1]
    height_pixels, width_pixels = picture.shape[-2:]
    apart = max(1, side // (2 * step))
    while len(found) < count and left_over.max() > 0:
        y, x = divmod(int(left_over.argmax()), width)
        kept = torch.zeros_like(trace.activations)
        kept[channel, y, x] = trace.activations[channel, y, x]
        pixels = project_to_pixels(vgg, trace, kept[None])[0]
        top, left = (round(centre + step * place - (side - 1) / 2) for place in (y, x))
        box = (max(0, top), max(0, left), min(height_pixels, top + side), min(width_pixels, left + side))
        piece = (slice(None), slice(box[0], box[2]), slice(box[1], box[3]))
        found.append(Patch(channel, kept[channel, y, x].item(), pixels[piece].cpu(), picture[piece].cpu(), box))
        left_over[max(0, y - apart) : y + apart + 1, max(0, x - apart) : x + apart + 1] = 0
    return found


def shown(reconstruction: Tensor) -> Tensor:
    """A reconstruction (3, H, W) as a picture in [0, 1]: grey where it is zero, stretched to its largest value."""
    return (0.5 + 0.5 * reconstruction / reconstruction.abs().max().clamp_min(1e-12)).clamp(0, 1)
