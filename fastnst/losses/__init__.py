"""The objective: content, style and total variation, one implementation for training and for optimising pictures."""

from fastnst.losses.perceptual import Objective, PerceptualLoss, Term

__all__ = ["Objective", "PerceptualLoss", "Term"]
