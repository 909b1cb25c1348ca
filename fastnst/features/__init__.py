"""The loss network: VGG features by layer name, and its weights."""

from fastnst.features.vgg import VGG, layer_names
from fastnst.features.weights import VGGWeights, load_vgg_weights

__all__ = ["VGG", "VGGWeights", "layer_names", "load_vgg_weights"]
