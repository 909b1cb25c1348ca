"""All nodes must paint alike. Without torch, so that the question takes a node no time."""

from __future__ import annotations

from fastnst import __version__
from fastnst.errors import InputError


def require_version(wanted: str, node: str) -> None:
    """Refuse a node whose fastnst is another one than where the run was started.

    Raises:
        InputError: it is; the message names the node.
    """
    if __version__ != wanted:
        raise InputError(f"node {node} has fastnst {__version__}, this machine {wanted}: install the same on both.")
