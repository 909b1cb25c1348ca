"""What tells networks from each other, for films that are resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from torch import nn


def digest(networks: Iterable[nn.Module], settings: object = None) -> str:
    """A short text for the networks' weights and for ``settings``."""
    whole = hashlib.sha256(str(settings).encode())
    for network in networks:
        for value in network.state_dict().values():
            whole.update(value.cpu().numpy().tobytes())
    return whole.hexdigest()[:16]
