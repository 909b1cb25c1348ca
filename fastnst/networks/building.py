"""Networks by the names under which model files list them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fastnst.errors import InputError
from fastnst.networks.enlarging import EnlargingNetwork, Johnson2016Enlarging
from fastnst.networks.transformer import TransformerNetwork

AnyEnlarger: TypeAlias = EnlargingNetwork | Johnson2016Enlarging
Network: TypeAlias = TransformerNetwork | AnyEnlarger

NETWORKS: dict[str, Callable[..., Network]] = {
    one.name: one for one in (TransformerNetwork, EnlargingNetwork, Johnson2016Enlarging)
}


def build_network(name: str, arguments: dict[str, Any]) -> Network:
    """Build a network from its name and plain arguments.

    Raises:
        InputError: no network has this name, or it does not take these arguments.
    """
    if name == "custom":
        raise InputError(
            f"its network is a class of somebody's own, {str(arguments.get('class'))!r:.100}, and no file can name one "
            "to import: make one and give it, fastnst.load_model(path, network=...)."
        )
    if name not in NETWORKS:
        raise InputError(f"unknown network {name!r}: expected one of {', '.join(sorted(NETWORKS))}.")
    try:
        return NETWORKS[name](**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"network {name!r} does not take these arguments: {arguments} ({error}).") from None
