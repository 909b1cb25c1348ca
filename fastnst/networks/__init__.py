"""Image transformation networks: float RGB in [0, 1] in, the same size out."""

from fastnst.networks.transformer import NETWORKS, TransformerNetwork, build_network

__all__ = ["NETWORKS", "TransformerNetwork", "build_network"]
