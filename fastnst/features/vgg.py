"""VGG16 and VGG19 as loss networks: named layers, cut after the deepest one asked for, frozen for good."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.convolution import Conv2d
from fastnst.errors import InputError
from fastnst.features.architecture import CHANNELS_PER_BLOCK, CONVOLUTIONS_PER_BLOCK, convolution_indices, layer_names
from fastnst.features.weights import VGGWeights

AVERAGE_POOLING_GAIN = 2.0
"""Average pooling is multiplied by this, so that the activations keep about the size that max pooling gives them
(crowsonkb/style-transfer-pytorch rescales by the same factor)."""


class VGG(nn.Module):
    """The convolutions of VGG up to the deepest of ``layers``, frozen.

    Args:
        layers: names from :func:`layer_names`.
        weights: from :func:`fastnst.features.load_vgg_weights`; they bring their input normalisation with them.
        architecture: ``"vgg16"`` or ``"vgg19"``.
        pooling: ``"max"`` or ``"average"`` (Gatys et al. 2015 found average pooling smoother).

    Raises:
        InputError: no layers, an unknown layer, pooling or architecture, or weights of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, layers: Sequence[str], weights: VGGWeights, architecture: str = "vgg16", pooling: str = "max"
    ) -> None:
        super().__init__()
        if architecture not in CONVOLUTIONS_PER_BLOCK:
            raise InputError(f"unknown loss network {architecture!r}: expected 'vgg16' or 'vgg19'.")
        names = layer_names(architecture)
        unknown = [layer for layer in layers if layer not in names]
        if unknown or not layers:
            raise InputError(
                f"{architecture} has no layer {', '.join(map(repr, unknown)) or '(none was named)'}: expected names "
                f"like relu2_2 or conv4_2; its layers are {', '.join(name for name in names if name[0] == 'r')}, "
                "and conv... likewise."
            )
        if pooling not in ("max", "average"):
            raise InputError(f"loss network pooling {pooling!r}: expected 'max' or 'average'.")
        self.architecture = architecture
        self.pooling = pooling
        self.layers = sorted(set(layers), key=names.index)
        deepest = names.index(self.layers[-1])
        self.convolutions = nn.ModuleDict()
        in_channels = 3
        for name in names[: deepest + 1]:
            if name.startswith("conv"):
                out_channels = CHANNELS_PER_BLOCK[int(name[4]) - 1]
                self.convolutions[name] = Conv2d(in_channels, out_channels, 3, padding=1, device="meta")  # see _load
                in_channels = out_channels
        self.register_buffer("mean", torch.tensor(weights.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(weights.std).view(3, 1, 1))
        self._load(weights)
        self.requires_grad_(False)
        self.eval()

    def _load(self, weights: VGGWeights) -> None:
        try:
            for name, index in convolution_indices(self.architecture).items():
                if name in self.convolutions:
                    kept = {key: weights.state[f"features.{index}.{key}"] for key in ("weight", "bias")}
                    self.convolutions[name].load_state_dict(kept, assign=True)
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"the loss network weights do not fit {self.architecture} ({str(error).splitlines()[0]}): "
                "expected torchvision's names, features.0.weight and so on."
            ) from None

    def train(self, mode: bool = True) -> VGG:
        """A loss network never trains: an outer ``.train()`` leaves it in evaluation mode."""
        return super().train(False)

    @property
    def minimum_size(self) -> int:
        """Smallest height and width, in pixels, of which the deepest layer still sees one pixel."""
        return 2 ** (int(self.layers[-1][4]) - 1)

    def forward(self, pictures: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Features of pictures, by layer name.

        Args:
            pictures: (N, 3, H, W), RGB in [0, 1]; height and width at least :attr:`minimum_size`.
            layers: only these of the layers asked for at the start, the pass then ends at the deepest of them.

        Returns:
            ``{"relu2_2": (N, 128, H/2, W/2), ...}`` in order of depth.

        Raises:
            ValueError: the pictures are too small for the deepest layer.
        """
        wanted = [layer for layer in self.layers if layers is None or layer in layers]
        smallest = 2 ** (int(wanted[-1][4]) - 1)
        if min(pictures.shape[-2:]) < smallest:
            size = f"{pictures.shape[-1]}x{pictures.shape[-2]}"
            raise ValueError(f"a picture of {size} is too small for {wanted[-1]}: at least {smallest}x{smallest}.")
        x = (pictures - self.mean) / self.std
        features: dict[str, Tensor] = {}
        block = "1"
        for name, convolution in self.convolutions.items():
            if name[4] != block:
                x = self._pool(x)
                block = name[4]
            x = convolution(x)
            if name in wanted:
                features[name] = x
                x = F.relu(x)
            else:
                x = F.relu_(x)
            if (relu := "relu" + name[4:]) in wanted:
                features[relu] = x
            if wanted[-1] in features:
                break
        return features

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "max":
            return F.max_pool2d(x, 2)
        return AVERAGE_POOLING_GAIN * F.avg_pool2d(x, 2)
