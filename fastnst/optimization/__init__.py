"""Optimise the pixels of a picture on the same objective as training, and look into the loss network."""

from fastnst.optimization.gatys import Result, optimize_picture

__all__ = ["Result", "optimize_picture"]
