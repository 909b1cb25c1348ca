"""The loss network: VGG features by layer name, and its weights."""

from fastnst.features.architecture import layer_names
from fastnst.features.vgg import VGG
from fastnst.features.weights import VGGWeights, load_vgg_weights

__all__ = ["VGG", "VGGWeights", "layer_names", "load_vgg_weights"]
