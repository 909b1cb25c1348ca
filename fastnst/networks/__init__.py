"""Image transformation networks: float RGB in [0, 1] in, float RGB out, of the same size or enlarged."""

from fastnst.networks.building import NETWORKS, AnyEnlarger, Network, build_network
from fastnst.networks.enlarging import EnlargingNetwork
from fastnst.networks.own_network import OwnNetwork, adapted
from fastnst.networks.transformer import TransformerNetwork

__all__ = [
    "NETWORKS", "AnyEnlarger", "EnlargingNetwork", "Network", "OwnNetwork", "TransformerNetwork", "adapted",
    "build_network",
]  # fmt: skip
