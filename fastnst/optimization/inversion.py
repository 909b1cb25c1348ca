"""What a layer keeps: a picture again from its features alone, a texture again from Gram matrices alone.

Both are the optimisation of a picture with one weight zero (Mahendran & Vedaldi 2015 and Johnson et al. 2016, figure 3;
Gatys, Ecker & Bethge 2015, "Texture Synthesis Using Convolutional Neural Networks", arXiv 1505.07376).
"""

from __future__ import annotations

from torch import Tensor

from fastnst.features import VGG
from fastnst.features.architecture import layer_names
from fastnst.losses import PerceptualLoss
from fastnst.optimization.gatys import Callback, Result, optimize_picture
from fastnst.optimization.starts import starting_picture

SMOOTHNESS = 1e-2
"""Weight of total variation against a relative feature distance of 1: enough against the checkerboards that pooling
hides from a layer, too little to blur (measured on relu1_2 to relu4_3 at 128 pixels)."""


def reconstruct_features(
    vgg: VGG, picture: Tensor, layer: str, steps: int = 200, seed: int = 0, callback: Callback | None = None
) -> Result:
    """A picture whose features at ``layer`` are those of ``picture`` (3, H, W), from noise."""
    loss = PerceptualLoss(vgg, picture[None], {layer: 1.0}, {}, 1.0, tv_weight=SMOOTHNESS, content_distance="relative")
    start = starting_picture("noise", picture, picture, seed)
    return optimize_picture(loss, picture, start, steps, callback=callback)


def texture_layers(layer: str, architecture: str) -> list[str]:
    """The layers that describe a texture down to ``layer``: the first of each block before its own, and itself.

    Gatys et al. compare conv1_1 and the pooling layers up to one; the first layer of each block is what their later
    style transfer compares.
    """
    kind, block = layer[:4], int(layer[4])
    names = [f"{kind}{number}_1" for number in range(1, block + 1)]
    names = [name for name in names if name != layer] + [layer]
    return sorted(names, key=layer_names(architecture).index)


def synthesise_texture(
    vgg: VGG, picture: Tensor, layer: str, steps: int = 200, seed: int = 0, callback: Callback | None = None
) -> Result:
    """A picture with the Gram matrices of ``picture`` (3, H, W) at all layers down to ``layer``, from noise."""
    layers = dict.fromkeys(texture_layers(layer, vgg.architecture), 1.0)
    loss = PerceptualLoss(
        vgg, picture[None], {}, layers, style_weight=1.0, moments_weight=0.0, tv_weight=0.0, style_distance="relative"
    )
    start = starting_picture("noise", picture, picture, seed)
    return optimize_picture(loss, picture, start, steps, callback=callback)
