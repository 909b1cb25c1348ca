"""The formulas of the objective as pure functions of features and pictures."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrices: inner products of all pairs of channels, divided by C*H*W (Johnson et al. 2016, equation 3).

    Args:
        features: (N, C, H, W).

    Returns:
        (N, C, C), float32, also where autocast computes in half precision.
    """
    return gram_and_moments(features)[0]


def gram_and_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`gram_matrix` (N, C, C) of features (N, C, H, W), and each channel's mean and deviation, (N, 2, C).

    The moments are those of Huang & Belongie 2017 (arXiv 1703.06868): a Gram matrix weighs channels by their energy
    squared, so that it hardly sees the faint ones; these do. The variance is the mean square, from the Gram matrix's
    diagonal, less the mean's square; it counts as at least a millionth of the mean square, which rounding leaves of it.
    """
    c, places = features.shape[1], features.shape[2] * features.shape[3]
    device = features.device.type if torch.amp.is_autocast_available(features.device.type) else "cpu"
    with torch.autocast(device, enabled=False):  # which would sum in half precision
        products, sums = _ProductsAndSums.apply(features.flatten(2))
        mean, square = sums / places, products.diagonal(dim1=1, dim2=2) / places
        variance = (square - mean.square()).clamp(min=1e-6 * square)
        deviation = (variance + torch.finfo(torch.float32).tiny).sqrt()
        return products / (c * places), torch.stack([mean, deviation], dim=1)


class _ProductsAndSums(torch.autograd.Function):
    """F F^T and the rows' sums of (N, C, P), in float32; the gradient (G + G^T) F + s is one product, kept in F's
    precision and order in memory, where autograd, for two factors and two moments, makes several passes."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(flat)
        whole = flat.float() if flat.dtype.itemsize < 4 else flat
        return torch.bmm(whole, whole.transpose(1, 2)), whole.sum(dim=2)

    @staticmethod
    def backward(ctx: Any, of_products: Tensor, of_sums: Tensor) -> Tensor:
        (flat,) = ctx.saved_tensors
        both = (of_products + of_products.transpose(1, 2)).to(flat.dtype)
        return torch.baddbmm(of_sums.to(flat.dtype)[:, None], flat.transpose(1, 2), both).transpose(1, 2)


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


def normalized_content_loss(
    features: Tensor, target: Tensor, power: float = 4.0, eps: float = 1e-3, floor: float = 1e-4
) -> Tensor:
    """Distance of features (N, C, H, W) whose channels have mean 0 and variance 1 each, mean over pictures.

    The mean squared difference of features so normalized (Park & Lee 2019, "Arbitrary Style Transfer with
    Style-Attentional Networks", arXiv 1812.02342, section 3.3) is 2 - 2r for two channels with the correlation r,
    whatever contrast and energy the style asks for. Its fourth power is ours: the more of a photograph is lost, the
    more it costs to lose the rest, so that an energetic painting does not drown it, and a quiet one is not held off.

    Args:
        power: of each picture's mean over its channels: 0 for the photograph itself, 1 where r is one half, 16 for a
            picture that has nothing to do with it.
        eps: added to both variances, in units of the target's: a flat channel has a gradient.
        floor: channels whose variance in the target is below this part of the mean over channels are left out.
    """
    variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0, keepdim=True)
    target_variance, target_mean = torch.var_mean(target.float(), dim=(2, 3), correction=0, keepdim=True)
    varies = target_variance > floor * target_variance.mean(dim=1, keepdim=True)
    scale, target_scale = (
        torch.rsqrt(torch.where(varies, one + eps * target_variance, 1.0)) for one in (variance, target_variance)
    )
    difference = (features.float() - mean) * scale - (target.float() - target_mean) * target_scale
    each = difference.square().mean(dim=(2, 3), keepdim=True) * varies
    return (each.sum(dim=1) / varies.sum(dim=1).clamp(min=1)).pow(power).mean()


def style_loss(gram: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference of Gram matrices, mean over pictures (Johnson et al. 2016, equation 4).

    Args:
        gram: (N, C, C), or other statistics: the moments (N, 2, C).
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


def style_distance(gram: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """Frobenius norm of the difference of Gram matrices over that of the target's: no square, unlike the losses above.

    Its gradient is as large far from the style as near to it: a quiet painting, from which everything is far, does not
    drown the content, and an energetic one is still approached when it is near.
    """
    lengths = torch.linalg.matrix_norm(gram - target), torch.linalg.matrix_norm(target)
    return (lengths[0] / (lengths[1] + eps)).mean()


def stability_loss(stylized: Tensor, expected: Tensor, visible: Tensor) -> Tensor:
    """Mean squared difference of stylized pictures over the pixels that could be seen before, mean over pictures.

    The short-term temporal loss of Ruder, Dosovitskiy & Brox 2018 (arXiv 1708.04538, equation 6) and of ReCoNet (Gao et
    al. 2018, arXiv 1807.01197, section 3.2.1), with both divided by the visible pixels instead of all of them. On still
    photographs with made motion it is the stability training of Zheng et al. 2016 (arXiv 1604.04326).

    Args:
        stylized: of the moved photographs, (N, 3, H, W).
        expected: the photographs' stylized pictures, moved likewise.
        visible: (1, 1, H, W), 1 or 0.
    """
    squares = (stylized.float() - expected.float()).square().mean(dim=(0, 1)) * visible[0, 0]
    return squares.sum() / visible.sum().clamp(min=1)


def halo_loss(stylized: Tensor, content: Tensor, edge: float = 0.08) -> Tensor:
    """How far the colour beside the photograph's edges is from that of the same area away from them.

    Networks draw a rim along skylines, which the minimum of the other terms does not have (docs/objective.md). For each
    picture the mean squared difference of two local means, over the variance of the picture's colours; mean over
    pictures. Beside: within 16 pixels of an edge, where the photograph has the colour (deviation 0.1) that the places
    further away have on average, on the same side of the edge: lighter, or darker, than 132 pixels around. Means over
    36 and 68 pixels see no motifs, only what all of a rim has in common. All is computed at a quarter of the size. The
    term is ours.

    Args:
        stylized: RGB, (N, 3, H, W), of 16 pixels and more.
        content: the photographs, the same shape.
        edge: slope of the grey photograph, over two pixels across and down together, above which it is an edge.
    """

    def mean(values: Tensor, side: int) -> Tensor:
        return F.avg_pool2d(values, side, stride=1, padding=side // 2, count_include_pad=False)

    photo, picture = content.detach().float(), stylized.float()
    grey = F.pad(mean(photo.mean(dim=1, keepdim=True), 3), (1, 1, 1, 1), mode="replicate")
    across, down = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    edges = F.max_pool2d((across.abs() + down.abs() > edge).float(), 4)
    near = F.max_pool2d(edges, 9, stride=1, padding=4)
    variance = picture.var(dim=(2, 3), correction=0).sum(dim=1)
    photo, picture = F.avg_pool2d(photo, 4), F.avg_pool2d(picture, 4)
    grey = photo.mean(dim=1, keepdim=True)
    lighter = (grey > mean(grey, 33)).float()
    squares, weight = torch.zeros_like(variance), torch.zeros_like(variance)
    for side in (lighter, 1 - lighter):  # of an edge: what lies beyond it is another area
        away = (1 - near) * side
        share = mean(away, 17)
        expected = mean(photo * away, 17) / share.clamp(min=1e-6)
        alike = torch.exp(-(photo - expected).square().sum(dim=1, keepdim=True) / (2 * 0.1**2))
        beside = (near - edges) * side * alike * (share > 0.05)
        here = mean(picture * beside, 9) / mean(beside, 9).clamp(min=1e-6)
        there = mean(picture * away, 17) / share.clamp(min=1e-6)
        squares = squares + ((here - there).square() * beside).sum(dim=(1, 2, 3))
        weight = weight + beside.sum(dim=(1, 2, 3))
    few = 0.01 * grey[0].numel()  # of them: they count for less
    return (squares / (weight + few) / (variance + 1e-3)).mean()


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
