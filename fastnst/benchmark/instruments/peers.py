"""Other people's programs, to be measured in the same run: ``pastiche`` and the network of pytorch/examples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.features import VGG, load_vgg_weights
from fastnst.losses import PerceptualLoss
from fastnst.optimization import optimize_picture

PASTICHE_CONTENT = {"relu4_2": 0.01}
"""Its default content layer and weight (pastiche 1.6.0: mean squared difference of features)."""
PASTICHE_STYLE = {
    f"relu{block}_1": 10 / channels**2 for block, channels in enumerate((64, 128, 256, 512, 512), start=1)
}
"""Its default style layers and weights: 10/C^2 times the mean squared difference of Gram matrices divided by H*W, which
is 10/C^2 times our sum of squared differences of Gram matrices divided by C*H*W."""


class ExamplesNetwork(nn.Sequential):
    """The network of pytorch/examples' fast_neural_style as its README and Johnson et al. describe it, for timing only.

    The layers are those of Johnson et al. with instance normalisation, every convolution after a reflection padding of
    half its size, and nearest-neighbour upsampling before the last but one and two; no tanh; 0..255 in and out.
    """

    def __init__(self) -> None:
        def convolution(inner: int, outer: int, size: int, stride: int = 1) -> list[nn.Module]:
            return [nn.ReflectionPad2d(size // 2), nn.Conv2d(inner, outer, size, stride)]

        def block(inner: int, outer: int, size: int, stride: int = 1) -> list[nn.Module]:
            return [*convolution(inner, outer, size, stride), nn.InstanceNorm2d(outer, affine=True), nn.ReLU()]

        def up(inner: int, outer: int) -> list[nn.Module]:
            return [nn.Upsample(scale_factor=2, mode="nearest"), *block(inner, outer, 3)]

        super().__init__(
            *block(3, 32, 9),
            *block(32, 64, 3, 2),
            *block(64, 128, 3, 2),
            *(_Residual(*block(128, 128, 3), *block(128, 128, 3)[:-1]) for _ in range(5)),
            *up(128, 64),
            *up(64, 32),
            *convolution(32, 3, 9),
        )


class _Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def pastiche_objective(style: Tensor) -> PerceptualLoss:
    """Our objective with pastiche's layers, weights, formulas and VGG19.

    Raises:
        InputError: pastiche is not installed.
    """
    require_pastiche()
    vgg = VGG([*PASTICHE_CONTENT, *PASTICHE_STYLE], load_vgg_weights("pastiche", "vgg19"), "vgg19")
    return PerceptualLoss(vgg, style[None], PASTICHE_CONTENT, PASTICHE_STYLE, 1.0, 1.0, 0.0, 0.0, "squared", "squared")


def compare_with_pastiche(content_file: Path, style_file: Path, size: int, iterations: int) -> dict[str, Any]:
    """The same picture, size, layers, weights, start (the content) and iterations of L-BFGS with both programs.

    Both read the two files themselves, which therefore are exactly ``size`` x ``size``. Both results are measured with
    our implementation of the one objective, clamped to [0, 1].

    Returns:
        Seconds per iteration (median) and objective of each, and the objective of the content picture.
    """
    require_pastiche()
    from pastiche.pastiche import VGG_MEAN, PasticheArtist

    from fastnst.images.reading import read_image

    content, style = read_image(content_file), read_image(style_file)
    loss = pastiche_objective(style)
    ours: list[float] = [time.perf_counter()]
    result = optimize_picture(
        loss, content, content, iterations, stall_tolerance=0, callback=lambda *_: ours.append(time.perf_counter())
    )
    artist = PasticheArtist(
        str(content_file), [str(style_file)], optimizer="lbfgs", device="cpu", size=size, style_size=size
    )
    theirs = _times(artist.draw, iterations)
    bgr = artist.pastiche.detach()[0] + torch.tensor(VGG_MEAN).view(3, 1, 1)
    with torch.no_grad():
        theirs_objective = loss((bgr.flip(0) / 255).clamp(0, 1)[None], content[None]).total.item()
    return {
        "size": size,
        "iterations": iterations,
        "objective_start": result.curve[0],
        "fastnst_seconds": statistics.median(b - a for a, b in pairwise(ours[2:-1])),
        "fastnst_objective": result.objective,
        "pastiche_seconds": statistics.median(theirs[1:]),
        "pastiche_objective": theirs_objective,
    }


def require_pastiche() -> None:
    """Raises InputError where pastiche is not installed."""
    if find_spec("pastiche") is None:
        raise InputError("--against pastiche: it is not installed; pip install pastiche")


def _times(call: Callable[[], object], count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return seconds
