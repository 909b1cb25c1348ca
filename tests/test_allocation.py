"""Freed memory stays with the process that has asked for it, and only there."""

import subprocess
import sys

from tests.conftest import PROJECT

COUNT_FAULTS = """
import resource, sys, torch
from fastnst.allocation import keep_freed_memory
if "keep" in sys.argv:
    keep_freed_memory()
for number in range(40):
    if number == 30:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 * 2**20)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*how: str) -> int:
    """How often the system had to give a page to the last ten of forty large maps."""
    call = [sys.executable, "-c", COUNT_FAULTS, *how]
    return int(subprocess.run(call, cwd=PROJECT, capture_output=True, check=True).stdout)


def test_pages_are_asked_for_once():
    """Of glibc, that is: elsewhere nothing changes."""
    if sys.platform == "linux":
        assert faults() >= 10 * 32  # a page has 2 MiB at most
        assert faults("keep") < 10
    else:
        assert faults("keep") >= 0
