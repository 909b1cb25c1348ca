"""The one door to a trained network: pad, run, crop, clamp."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.checkpoints import Model, find_model, load_model
from fastnst.networks.transformer import MINIMUM_SIZE


class Stylizer:
    """Stylizes pictures of any size with one model.

    Args:
        model: from :func:`fastnst.checkpoints.load_model`, or a path or name for it.
        device: where to run, for instance ``"cpu"`` or ``"cuda"``; None takes a GPU if there is one.

    Raises:
        InputError: the model cannot be found or read.
    """

    def __init__(self, model: Model | str | os.PathLike, device: str | torch.device | None = None) -> None:
        self.model = model if isinstance(model, Model) else load_model(find_model(os.fspath(model)))
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.network = self.model.network.to(self.device)

    @torch.inference_mode()
    def __call__(self, picture: Tensor) -> Tensor:
        """Stylize one picture.

        Args:
            picture: (3, H, W), RGB in [0, 1], any size from 1x1 up.

        Returns:
            (3, H, W) of exactly the same size, in [0, 1], on the CPU.
        """
        height, width = picture.shape[-2:]
        x = pad_by_reflection(picture, max(height, MINIMUM_SIZE), max(width, MINIMUM_SIZE))
        stylized = self.network(x[None].to(self.device))[0]
        return stylized[:, :height, :width].clamp(0, 1).cpu()


def pad_by_reflection(picture: Tensor, height: int, width: int) -> Tensor:
    """Grow (3, H, W) at the bottom and the right to at least ``height`` x ``width``, also by more than its own size."""
    while picture.shape[-2] < height or picture.shape[-1] < width:
        h, w = picture.shape[-2:]
        if h == 1 or w == 1:  # one row or column has nothing to reflect
            picture = F.pad(picture, (0, int(w == 1), 0, int(h == 1)), mode="replicate")
            continue
        down, right = min(max(height - h, 0), h - 1), min(max(width - w, 0), w - 1)
        picture = F.pad(picture, (0, right, 0, down), mode="reflect")
    return picture
