"""The formulas of the objective as pure functions of features and pictures."""

from __future__ import annotations

import torch
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrices: inner products of all pairs of channels, divided by C*H*W (Johnson et al. 2016, equation 3).

    Args:
        features: (N, C, H, W).

    Returns:
        (N, C, C), float32 or wider.
    """
    n, c, h, w = features.shape
    flat = features.reshape(n, c, h * w)
    return torch.bmm(flat, flat.transpose(1, 2)).float() / (c * h * w)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Squared distance of features (N, C, H, W), over C*H*W, mean over pictures (Johnson et al. 2016, equation 2)."""
    return (features.float() - target.float()).square().mean()


def relative_content_loss(features: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """Squared distance of features (N, C, H, W) over the energy of the target's, mean over pictures.

    0 for the target itself, 1 for features that are zero everywhere, whatever the layer or the network. ``eps`` keeps
    a target without any activation from dividing by zero.
    """
    difference = (features.float() - target.float()).square().sum(dim=(1, 2, 3))
    return (difference / (target.float().square().sum(dim=(1, 2, 3)) + eps)).mean()


def style_loss(gram: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference of Gram matrices, mean over pictures (Johnson et al. 2016, equation 4).

    Args:
        gram: (N, C, C).
        target: (C, C) or (N, C, C).
    """
    return (gram - target).square().sum(dim=(-2, -1)).mean()


def relative_style_loss(gram: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """:func:`style_loss` over the energy of the target's Gram matrix.

    0 for the style picture itself, 1 for a picture without features; of the same size for every style picture, layer
    and loss network, so that one style weight serves them all.
    """
    energy = target.square().sum(dim=(-2, -1))
    return ((gram - target).square().sum(dim=(-2, -1)) / (energy + eps)).mean()


def total_variation(pictures: Tensor, form: str = "squared") -> Tensor:
    """Total variation of pictures (N, 3, H, W): how much neighbouring pixels differ, mean over pixels and pictures.

    Args:
        pictures: RGB in [0, 1].
        form: ``"squared"``: squared differences (Mahendran & Vedaldi 2015 with beta = 2, to which Johnson et al. 2016,
            section 3.2 refer); ``"l1"``: absolute differences.

    Returns:
        A scalar: mean vertical plus mean horizontal difference.
    """
    vertical = pictures[..., 1:, :] - pictures[..., :-1, :]
    horizontal = pictures[..., :, 1:] - pictures[..., :, :-1]
    if form == "squared":
        return vertical.square().mean() + horizontal.square().mean()
    return vertical.abs().mean() + horizontal.abs().mean()
