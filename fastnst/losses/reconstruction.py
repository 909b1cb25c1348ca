"""The objective of enlarging: pixels, features of a loss network, total variation, and the lattice."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.features import LossNetwork
from fastnst.losses import functional
from fastnst.losses.perceptual import CONTENT_DISTANCES, Objective

PIXEL_DISTANCES = {
    "l1": lambda difference: difference.abs().mean(),
    "squared": lambda difference: difference.square().mean(),
}
WINDOW = 4
"""Side of a window of :func:`lattice` in pixels before enlargement: a lattice changes with the brightness below it, and
over a whole crop black and white cancel."""


def lattice(difference: Tensor, factor: int) -> Tensor:
    """How far the ``factor`` x ``factor`` phases of an error differ in the means of windows: their variance.

    Sub-pixel convolution makes every phase with weights of its own; what their means have apart shows as a lattice, of
    which features after a pooling see little. Ours.

    Args:
        difference: (N, C, H, W), height and width multiples of ``factor``.
    """
    phases = F.pixel_unshuffle(difference, factor)
    height, width = (min(side, WINDOW) for side in phases.shape[-2:])
    means = F.avg_pool2d(phases, (height, width)).unflatten(1, (difference.shape[1], -1))
    return means.var(dim=2, correction=0).mean()


class ReconstructionLoss(nn.Module):
    """How far an enlarged picture is from its original (Johnson, Alahi & Fei-Fei 2016, sections 3.2 and 4.2).

    Args:
        vgg: loss network with all layers named below; None where features count nothing.
        feature_layers: ``{layer: weight}``.
        pixel_weight, feature_weight, tv_weight, lattice_weight: weight of each term, at least 0.
        pixel_distance: ``"l1"``: mean absolute difference (as Lim et al. 2017 train EDSR); ``"squared"``: the paper's.
        feature_distance: of :data:`~fastnst.losses.perceptual.CONTENT_DISTANCES`; ``"squared"`` is the paper's.
        factor: of enlargement, for :func:`lattice`.

    Raises:
        InputError: a weight is negative, nothing counts, or a layer is missing.
    """

    def __init__(
        self,
        vgg: LossNetwork | None,
        feature_layers: Mapping[str, float],
        pixel_weight: float,
        feature_weight: float,
        tv_weight: float,
        pixel_distance: str = "l1",
        feature_distance: str = "squared",
        lattice_weight: float = 0.0,
        factor: int = 4,
    ) -> None:
        super().__init__()
        self.weights = {
            "pixel": pixel_weight, "feature": feature_weight, "total_variation": tv_weight, "lattice": lattice_weight,
        }  # fmt: skip
        self.factor = factor
        if any(not 0 <= value < math.inf for value in (*self.weights.values(), *feature_layers.values())):
            raise InputError(f"loss weights {self.weights}, {dict(feature_layers)}: expected numbers of at least 0.")
        self.feature_layers = {layer: float(weight) for layer, weight in feature_layers.items() if weight > 0}
        if not pixel_weight and not (feature_weight and self.feature_layers):
            raise InputError("loss.pixel_weight and loss.feature_weight are both zero: give one of them more.")
        if pixel_distance not in PIXEL_DISTANCES or feature_distance not in CONTENT_DISTANCES:
            raise InputError(
                f"loss.pixel_distance={pixel_distance!r}, loss.feature_distance={feature_distance!r}: expected one of "
                f"{', '.join(PIXEL_DISTANCES)}, and one of {', '.join(CONTENT_DISTANCES)}."
            )
        self.vgg = vgg
        self.compare_pixels, self.compare_features = (
            PIXEL_DISTANCES[pixel_distance],
            CONTENT_DISTANCES[feature_distance],
        )

    def forward(self, enlarged: Tensor, original: Tensor) -> Objective:
        """Compare pictures (N, 3, H, W), RGB in [0, 1] (values outside are measured as they are)."""
        terms, layers = {"pixel": self.compare_pixels(enlarged - original)}, {}
        if self.vgg is not None and self.weights["feature"]:
            with torch.no_grad():
                targets = self.vgg(original)
            features, terms["feature"] = self.vgg(enlarged), enlarged.new_zeros(())
            for layer, weight in self.feature_layers.items():
                layers[f"feature/{layer}"] = self.compare_features(features[layer], targets[layer])
                terms["feature"] = terms["feature"] + weight * layers[f"feature/{layer}"]
        terms["total_variation"] = functional.total_variation(enlarged)
        if self.weights["lattice"]:
            terms["lattice"] = lattice(enlarged - original, self.factor)
        weighted = {name: self.weights[name] * value for name, value in terms.items()}
        return Objective(sum(weighted.values(), enlarged.new_zeros(())), terms, weighted, layers)
