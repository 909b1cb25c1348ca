"""Ray, started on this machine or found at an address."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fastnst import __version__
from fastnst.cluster.same_version import require_version
from fastnst.errors import InputError, one_line

SOURCES = Path(__file__).resolve().parents[2]
"""The folder that `fastnst` is imported from."""
PATIENCE = 5.0
"""Seconds until an address that does not answer is given up."""
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""With this an HTTP/2 connection begins, and so gRPC, which Ray speaks (RFC 9113, section 3.4)."""
SETTINGS, ALERT = b"\4", b"\x15"
"""What Ray answers with: a frame of this type, or, where it wants TLS, a record of that one (RFC 8446, section 5.1)."""
STORE_BYTES = 200_000_000
"""Ray's shared memory on this machine: names go through it, and rows, never pictures."""


def import_ray() -> ModuleType:
    """Ray with Ray Data, which are optional dependencies.

    Raises:
        InputError: they are not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody unasked
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 lets any other program go first
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how Ray's own parts get along
            import ray
            import ray.data

            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            context.raise_original_map_exception = True  # ours, not Ray's about it
    except ImportError:
        raise InputError("many machines need Ray: install it with pip install 'fastnst[cluster]'.") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


@contextmanager
def session(address: str | None = None) -> Iterator[ModuleType]:
    """Ray while it is needed.

    Args:
        address: ``HOST:PORT`` of a cluster that this machine is a node of, ``auto`` for the one that was started here;
            None: Ray is started on this machine, and ended.

    Raises:
        InputError: Ray is missing, nothing answers at the address, or a node has another fastnst.
    """
    ray = import_ray()
    ours = ray.job_config.JobConfig(_py_driver_sys_path=[str(SOURCES)])  # a source tree need not be installed here
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "job_config": ours}
    if address is None:
        options["object_store_memory"] = STORE_BYTES
    else:
        require_answer(address)
    try:
        with hushed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=address or "local", **options)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError and more
        where = "Ray cannot be started" if address is None else f"--address {address}: no cluster of this machine's"
        raise InputError(f"{where} ({one_line(error).partition('. ')[0]}).") from None
    try:
        if address is not None:
            require_versions(ray)
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def hushed() -> Iterator[None]:
    """Keep Ray's start-up remarks, which it writes past Python, off the terminal; they are in its logs."""
    stream, kept = sys.stderr, os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = io.StringIO()
    try:
        yield
    finally:
        sys.stderr = stream
        os.dup2(kept, 2)
        os.close(kept)


def require_answer(address: str) -> None:
    """See within :data:`PATIENCE` seconds that somebody listens there; Ray itself would wait for minutes, and abort.

    Raises:
        InputError: nobody does.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address.startswith("ray://") or not host or not port.isdigit():
        raise InputError(f"--address {address}: expected HOST:PORT as `ray start --head` tells it, or auto.")
    try:
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(HELLO)
            answer = connection.recv(9)
        if answer[3:4] != SETTINGS and answer[:1] != ALERT:
            raise OSError("another program listens there")
    except (OSError, OverflowError) as error:
        raise InputError(f"--address {address} does not answer ({error}): is `ray start --head` running?") from None


def require_versions(ray: ModuleType) -> None:
    """See that all nodes have this fastnst; a node that joins later is looked at by its own workers.

    Raises:
        InputError: one has another, or none.
    """
    look = ray.remote(num_cpus=0)(require_version)
    near = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    waiting = {
        look.options(scheduling_strategy=near(node["NodeID"], soft=False)).remote(
            __version__, node["NodeManagerHostname"]
        ): node
        for node in ray.nodes()
        if node["Alive"]
    }
    for reference, node in waiting.items():
        try:
            ray.get(reference)
        except ray.exceptions.RayError as error:
            raise own_error(error) or InputError(
                f"node {node['NodeManagerHostname']} cannot run fastnst {__version__} "
                f"({one_line(getattr(error, 'cause', None) or error)}): install it there."
            ) from None


def dashboard(ray: ModuleType) -> str | None:
    """Address of Ray's web page; None where it is not installed (``pip install 'ray[default]'``)."""
    url = ray._private.worker.get_dashboard_url()
    return f"http://{url}" if url else None


def own_error(error: BaseException | None) -> InputError | None:
    """The error of ours that Ray has wrapped, if it is one."""
    while error is not None:
        if isinstance(error, InputError):
            return InputError(str(getattr(error, "cause", None) or error).partition("\n")[0])  # Ray adds advice
        error = getattr(error, "cause", None) or error.__cause__
    return None


def places(ray: ModuleType, cores: int | None, device: str | None) -> tuple[int, dict[str, float]]:
    """How many workers the cluster has room for now, and what one takes.

    One for each GPU, if there are any and ``device`` is not ``cpu``; else one for each group of ``cores`` (None: of up
    to 4, all of the smallest node's).
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = 0 if device == "cpu" else int(sum(node.get("GPU", 0) for node in nodes))
    if gpus:
        return gpus, {"num_gpus": 1, "num_cpus": 1}
    counts = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    if not counts:
        raise InputError("no node of the cluster has a core to work with: start one with `ray start --num-cpus`.")
    group = cores or min(4, *counts)
    room = sum(count // group for count in counts)
    if not room:
        raise InputError(f"--cores {group}: no node has so many; the largest has {max(counts)}.")
    return room, {"num_cpus": group}
