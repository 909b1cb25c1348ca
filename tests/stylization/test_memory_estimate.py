"""Estimated and free memory, read off pretended systems."""

import math

import torch

from fastnst import free_memory
from fastnst.networks import TransformerNetwork
from fastnst.stylization import memory_estimate


def network(**arguments) -> TransformerNetwork:
    return TransformerNetwork(**{"width": 8, "residual_blocks": 1, **arguments})


def test_the_estimate_grows_with_the_picture():
    small = memory_estimate.whole_picture_bytes(network(), 100, 100)
    assert memory_estimate.whole_picture_bytes(network(), 200, 300) == 6 * small
    assert memory_estimate.whole_picture_bytes(network(width=16), 100, 100) == 2 * small
    free = memory_estimate.free_bytes(torch.device("cpu"))
    assert free is None or 0 < free < 2**50
    assert math.isfinite(memory_estimate.SHARE) and memory_estimate.fits(network(), 16, 16, torch.device("cpu"))


def write(folder, **numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in numbers.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_limits_of_containers(tmp_path):
    """Version 2 with a limit above the process's own group, version 1, none, and no such files."""
    own = tmp_path / "own"

    def left():
        return free_memory._left_in_container(tmp_path / "groups", own)

    assert left() is None
    write(tmp_path / "groups", memory__max="max", memory__current=7)
    own.write_text("0::/user.slice/job\n")
    assert left() is None
    write(tmp_path / "groups" / "user.slice", memory__max=1000, memory__current=700, memory__stat="inactive_file 150")
    write(tmp_path / "groups" / "user.slice" / "job", memory__max="max", memory__current=10)
    assert left() == 450
    write(tmp_path / "groups" / "user.slice" / "job", memory__max=500, memory__current=600)
    assert left() == 0
    own.write_text("12:cpu,cpuacct:/x\n4:memory:/docker/abc\n")
    write(tmp_path / "groups" / "memory", memory__limit_in_bytes=2**63 - 4096, memory__usage_in_bytes=5)
    write(tmp_path / "groups" / "memory" / "docker" / "abc", memory__limit_in_bytes=90, memory__usage_in_bytes=20)
    assert left() == 70


def gpu_figures(monkeypatch, free, reserved, allocated):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**40))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated)


def test_blocks_that_torch_keeps_of_a_gpu_are_free(monkeypatch):
    """What the first picture needed stays reserved, and the second one of the same size gets it again."""
    gpu, net = torch.device("cuda"), network()
    needed, weights = memory_estimate.whole_picture_bytes(net, 500, 600), 10_000
    total = math.ceil(1.5 * needed) + weights
    gpu_figures(monkeypatch, total - weights, weights, weights)
    assert memory_estimate.free_bytes(gpu) == total - weights and memory_estimate.fits(net, 500, 600, gpu)
    gpu_figures(monkeypatch, total - weights - needed, weights + needed, weights)  # after the first picture
    assert memory_estimate.free_bytes(gpu) == total - weights and memory_estimate.fits(net, 500, 600, gpu)
    gpu_figures(monkeypatch, total - weights - needed, weights + needed, weights + needed)  # and while it is painted
    assert memory_estimate.free_bytes(gpu) == total - weights - needed and not memory_estimate.fits(net, 500, 600, gpu)
