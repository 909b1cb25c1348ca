"""The network with padding and clamping inside, in operations that a trace keeps for every size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastnst.networks import AnyEnlarger, TransformerNetwork
from fastnst.networks.grain import COLUMN_STEP, PRIME, ROW_STEP
from fastnst.networks.transformer import MINIMUM_SIZE


class Traceable(nn.Module):
    """(1, 3, H, W), RGB in [0, 1], to the same, from 1x1 up; sizes stay tensors, so that none is baked in.

    A network of S styles takes the share of each as well, (S,).
    """

    def __init__(self, network: TransformerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor, style: Tensor | None = None) -> Tensor:
        shape = torch._shape_as_tensor(pictures)
        height, width = shape[2], shape[3]
        least_height, least_width = height.clamp_min(MINIMUM_SIZE), width.clamp_min(MINIMUM_SIZE)
        x = reflect(pictures, height, width, least_height, least_width)
        x = 2.0 * self.grain(x, least_height, least_width) - 1.0
        x = reflect(x, least_height, least_width, (least_height + 3) // 4 * 4, (least_width + 3) // 4 * 4)
        network, style = self.network, None if style is None else style[None]
        z = network.to_rgb(network.decoder(network.residual(network.encoder(x, style), style), style))
        painted = network.to_unit_range(z).clamp(0, 1)
        rows, columns = (torch.arange(size, device=pictures.device) for size in (height, width))  # type: ignore[call-overload]
        return painted.index_select(2, rows).index_select(3, columns)

    def grain(self, x: Tensor, height: Tensor, width: Tensor) -> Tensor:
        """As :class:`~fastnst.networks.grain.Grain`, at the origin."""
        if self.network.grain.amplitude == 0:
            return x
        rows = torch.arange(height, device=x.device) * ROW_STEP % PRIME  # type: ignore[call-overload]
        columns = torch.arange(width, device=x.device) * COLUMN_STEP % PRIME  # type: ignore[call-overload]
        number = (rows[:, None] + columns) % PRIME
        number = number * number % PRIME * number % PRIME
        return x + self.network.grain.amplitude * (number.float() / PRIME - 0.5) * 12**0.5


class TraceableEnlarger(nn.Module):
    """(1, 3, H, W), RGB in [0, 1], to (1, 3, factor H, factor W)."""

    def __init__(self, network: AnyEnlarger) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network(pictures).clamp(0, 1)


def reflect(x: Tensor, height: Tensor, width: Tensor, padded_height: Tensor, padded_width: Tensor) -> Tensor:
    """Go on below and to the right, back and forth, also where ``x`` is one pixel high or wide."""
    for axis, size, padded in ((2, height, padded_height), (3, width, padded_width)):
        period = (2 * (size - 1)).clamp_min(1)
        forth = torch.arange(padded, device=x.device) % period  # type: ignore[call-overload]
        x = x.index_select(axis, torch.minimum(forth, period - forth))
    return x
