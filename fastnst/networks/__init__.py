"""Image transformation networks: float RGB in [0, 1] in, the same size out."""

from fastnst.networks.own_network import OwnNetwork, adapted
from fastnst.networks.transformer import NETWORKS, TransformerNetwork, build_network

__all__ = ["NETWORKS", "OwnNetwork", "TransformerNetwork", "adapted", "build_network"]
