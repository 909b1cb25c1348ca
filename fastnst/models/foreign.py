"""State dictionaries of other people's fast-style networks, rewritten for ours.

All six share our architecture and differ in names and in the units of their pictures. Whatever the units, the first
and the last convolution absorb them (:func:`rewrite_units`), so that what is loaded takes and gives RGB in [0, 1].
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.networks import TransformerNetwork

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Layout(NamedTuple):
    """Names of a network's parts, in our order.

    Attributes:
        convolutions: 16 prefixes: three down, two for each of five residual blocks, two up, one to RGB.
        norms: 15 prefixes, likewise without the last.
        affine: what the two parameters of a norm are called.
        transposed: it goes up by transposed convolutions.
    """

    convolutions: list[str]
    norms: list[str]
    affine: tuple[str, str] = ("weight", "bias")
    transposed: bool = False

    def names(self) -> dict[str, str]:
        """Our name for each of theirs."""
        conv, norm = (0, 1) if self.transposed else (1, 2)  # nearest upsampling stands before them
        places = [(f"encoder.{i}.0", f"encoder.{i}.1") for i in range(3)]
        places += [(f"residual.{i}.body.{k}", f"residual.{i}.body.{k + 1}") for i in range(5) for k in (0, 3)]
        places += [(f"decoder.{i}.{conv}", f"decoder.{i}.{norm}") for i in range(2)]
        ours = [convolution for convolution, _ in places] + ["to_rgb"]
        renamed = {f"{t}.{kind}": f"{o}.{kind}" for t, o in zip(self.convolutions, ours, strict=True) for kind in KINDS}
        for theirs, (_, place) in zip(self.norms, places, strict=True):
            renamed |= {f"{theirs}.{name}": f"{place}.{kind}" for name, kind in zip(self.affine, KINDS, strict=True)}
        return renamed


KINDS = ("weight", "bias")
RESIDUAL = [(block, half) for block in range(1, 6) for half in (1, 2)]
JOHNSON_NORMS = ["in1", "in2", "in3", *(f"res{block}.in{half}" for block, half in RESIDUAL), "in4", "in5"]
JOHNSON_DOWN = ["conv1.conv2d", "conv2.conv2d", "conv3.conv2d", *(f"res{b}.conv{h}.conv2d" for b, h in RESIDUAL)]
JOHNSON = [*JOHNSON_DOWN, "deconv1.conv2d", "deconv2.conv2d", "deconv3.conv2d"]
RRMINA = ["ConvBlock.0", "ConvBlock.2", "ConvBlock.4", *(f"ResidualBlock.{b - 1}.conv{h}" for b, h in RESIDUAL)]
ERIK = ["model.0", "model.1", "model.2", *(f"model.{b + 2}.block.{h - 1}" for b, h in RESIDUAL), "model.8", "model.9"]

LAYOUTS = {
    "pytorch/examples": Layout(JOHNSON, JOHNSON_NORMS),
    "abhiskk": Layout(JOHNSON, JOHNSON_NORMS, affine=("scale", "shift")),
    "gordicaleksa": Layout([*JOHNSON_DOWN, "up1.conv2d.conv2d", "up2.conv2d.conv2d", "up3.conv2d"], JOHNSON_NORMS),
    "rrmina": Layout(
        [f"{name}.conv_layer" for name in RRMINA]
        + ["DeconvBlock.0.conv_transpose", "DeconvBlock.2.conv_transpose", "DeconvBlock.4.conv_layer"],
        [f"{name}.norm_layer" for name in (*RRMINA, "DeconvBlock.0", "DeconvBlock.2")],
        transposed=True,
    ),
    "eriklindernoren": Layout([f"{name}.block.1" for name in (*ERIK, "model.10")], [f"{name}.norm" for name in ERIK]),
}
"""By whose published code wrote them. ceshine's have the names of pytorch/examples and other units."""


class Units(NamedTuple):
    """What a network's pictures are: ``value = (rgb - mean) / std``, then the order of the channels."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


BYTES = Units((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
BYTES_BGR = BYTES._replace(bgr=True)
IMAGENET = Units(IMAGENET_MEAN, IMAGENET_STD)

UNITS = {
    "pytorch/examples": BYTES,
    "abhiskk": BYTES_BGR,
    "rrmina": BYTES_BGR,  # pictures come from OpenCV
    "gordicaleksa": IMAGENET,
    "eriklindernoren": IMAGENET,
}

LARGEST_NORMALISED = 8.0
"""Deviation of the last convolution's values over a picture: about 1 in ImageNet's units or before a tanh, some 50 in
0..255; between them lie a network of 0..255 that paints in greys a pixel value or two apart, and nothing else."""


def from_foreign(content: Any, source: str | os.PathLike) -> tuple[TransformerNetwork, dict[str, Any]]:
    """Recognise a state dictionary and build our network with its weights.

    Args:
        content: what a checkpoint file held: the dictionary itself, or one that has it as ``state_dict``.
        source: the file's name, for messages and the style's name.

    Returns:
        The network, RGB in [0, 1] in and out, and a card that says where it came from.

    Raises:
        InputError: no state dictionary, or one of a network that is not ours; says what was recognised and what not.
    """
    source = os.fspath(source)
    weights = state_dictionary(content, source)
    layout, renamed = rename(weights, source)
    arguments: dict[str, Any] = {"output": "linear"}
    if LAYOUTS[layout].transposed:
        arguments["upsampling"] = "transposed"
    if layout == "abhiskk":
        arguments["epsilon"] = 1e-9  # its own instance normalisation; the others have torch's 1e-5
    network = TransformerNetwork(**arguments)
    try:
        network.load_state_dict(renamed)
    except RuntimeError as error:
        difference = str(error).splitlines()[1].strip()
        raise InputError(f"{source} has the names of {layout}, but not its network: {difference}") from None
    units = UNITS[layout]
    if units.std == BYTES.std and output_deviation(network) < LARGEST_NORMALISED:
        if layout == "pytorch/examples":
            layout, units = "ceshine", IMAGENET
        elif layout == "rrmina":
            layout, arguments["output"] = "rrmina (tanh)", "dark_tanh"
    network = TransformerNetwork(**arguments)
    network.load_state_dict(rewrite_units(renamed, units, affine_output=arguments["output"] == "linear"))
    card = {
        "network": {"name": network.name, "arguments": dict(network.arguments)},
        "style": {"name": Path(source).stem},
        "layout": layout,
    }
    return network.eval().requires_grad_(False), card


def state_dictionary(content: Any, source: str) -> dict[str, Tensor]:
    """The weights by name: unwrapped, without DataParallel's prefix, without running statistics (torch before 0.4)."""
    wrapped = content.get("state_dict") if isinstance(content, dict) else None
    weights = wrapped if isinstance(wrapped, dict) else content
    if not (isinstance(weights, dict) and weights) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise InputError(f"{source} is not a fastnst model file: expected the model.ckpt of a training.")
    return {
        re.sub(r"^module\.", "", name): value.float()
        for name, value in weights.items()
        if not name.endswith((".running_mean", ".running_var", ".num_batches_tracked"))
    }


def rename(weights: dict[str, Tensor], source: str) -> tuple[str, dict[str, Tensor]]:
    """The layout that was recognised, and the weights under our names.

    Raises:
        InputError: names of no layout, or of one beside others.
    """
    known = {layout: description.names() for layout, description in LAYOUTS.items()}
    layout = max(known, key=lambda candidate: len(known[candidate].keys() & weights.keys()))
    names = known[layout]
    shared = names.keys() & weights.keys()
    if 2 * len(shared) < len(names):
        raise InputError(
            f"{source} is not a fastnst model file: it holds {len(weights)} weights of an unknown network "
            f"({shorten(list(weights))}); expected the model.ckpt of a training, or a network of "
            f"{', '.join(LAYOUTS)} or ceshine."
        )
    missing, more = sorted(names.keys() - shared), sorted(weights.keys() - shared)
    if missing or more:
        parts = [f"{what} {shorten(keys)}" for what, keys in (("lacks", missing), ("has also", more)) if keys]
        raise InputError(
            f"{source} looks like a network of {layout} ({len(shared)} of its {len(names)} names) but "
            f"{' and '.join(parts)}: only its standard network can be read."
        )
    order, residual = list(weights), RRMINA[3]
    if layout == "rrmina" and order.index(f"{residual}.norm_layer.weight") < order.index(
        f"{residual}.conv_layer.weight"
    ):
        raise InputError(
            f"{source} looks like TransformerNetworkV2 of rrmina, which normalises before it convolves: only its "
            "TransformerNetwork can be read."
        )
    return layout, {ours: weights[theirs] for theirs, ours in names.items()}


def shorten(names: list[str]) -> str:
    """The first three names."""
    return ", ".join(f"{name!s:.60}" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@torch.no_grad()
def output_deviation(network: TransformerNetwork) -> float:
    """How far the last convolution's values spread over a picture of noise, in the network's own units.

    Instance normalisation cancels the units of the input, so that the question can be asked before they are known.
    """
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return network.eval().preactivation(picture).std().item()


def rewrite_units(weights: dict[str, Tensor], units: Units, affine_output: bool) -> dict[str, Tensor]:
    """Weights that do the same to RGB in [0, 1] as ``weights`` do to pictures in ``units``.

    Our network hands 2 rgb - 1 to its first convolution. Padding by reflection commutes with an affine map of the
    colours, so that the first convolution absorbs it exactly; the last one likewise.
    """
    rewritten = dict(weights)
    mean, std = torch.tensor(units.mean, dtype=torch.float64), torch.tensor(units.std, dtype=torch.float64)
    first, bias = (weights[f"encoder.0.0.{kind}"].double() for kind in ("weight", "bias"))
    last, last_bias = (weights[f"to_rgb.{kind}"].double() for kind in ("weight", "bias"))
    if units.bgr:
        first, last, last_bias = first.flip(1), last.flip(0), last_bias.flip(0)
    scale, shift = 0.5 / std, (0.5 - mean) / std  # theirs = scale * (2 rgb - 1) + shift
    rewritten["encoder.0.0.weight"] = (first * scale[:, None, None]).float()
    rewritten["encoder.0.0.bias"] = (bias + (first * shift[:, None, None]).sum(dim=(1, 2, 3))).float()
    if affine_output:
        last, last_bias = last * std[:, None, None, None], last_bias * std + mean
    rewritten["to_rgb.weight"], rewritten["to_rgb.bias"] = last.float(), last_bias.float()
    return rewritten
