"""The loss network: features by layer name, of VGG or any other network of torchvision, and its weights."""

from fastnst.features.architecture import layer_names
from fastnst.features.loss_network import LossNetwork, load_loss_network
from fastnst.features.torchvision_network import TorchvisionNetwork
from fastnst.features.vgg import VGG
from fastnst.features.weights import VGGWeights, load_vgg_weights

__all__ = [
    "VGG", "LossNetwork", "TorchvisionNetwork", "VGGWeights", "layer_names", "load_loss_network", "load_vgg_weights",
]  # fmt: skip
