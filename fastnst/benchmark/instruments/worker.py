"""A contender in a process of its own: with its own memory, settings and caches, it runs when it is told to.

The benchmark starts one for each contender and lets them take turns; ``python -m
fastnst.benchmark.instruments.worker`` is the other end. They speak JSON, a line for each call and each answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from fastnst.errors import InputError
from fastnst.places import python_path

Call = Callable[[], object]


class Worker:
    """Starts the process; use it in a ``with`` statement.

    Args:
        build: ``"module:function"``; called as ``function(device, **arguments)`` it returns ``prepare``, and
            ``prepare(size)`` the call that is timed.
        device: where it runs.
        arguments: plain values.
        environment: variables that the process gets besides ours.

    Raises:
        InputError: (by every method) the contender failed; the message is its last line.
    """

    def __init__(
        self, build: str, device: str, arguments: dict[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastnst.benchmark.instruments.worker", build, device, json.dumps(arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": python_path(), **(environment or {})},
        )  # fmt: skip
        self.name = str(arguments.get("name", build))

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    def prepare(self, size: int) -> dict[str, Any]:
        """Make ready for inputs of this size, and run once; what ``prepare`` tells about itself comes back."""
        return self._ask("prepare", size)

    def run(self) -> dict[str, float]:
        """One call: its ``seconds`` on the wall clock and its ``cpu`` seconds over all threads."""
        return self._ask("run")

    def peak(self) -> int | None:
        """One call, and by how many bytes its memory grew at most beyond what the process held before it was built."""
        return self._ask("peak")["bytes"]

    def _ask(self, *question: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            raise InputError(f"{self.name}: {answer['error']}")
        return answer


def resident() -> int | None:
    """Bytes that this process holds in memory now; None where the system does not say."""
    return _status("VmRSS")


def _status(key: str) -> int | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def highest_of(call: Call, device: Any) -> int | None:
    """The most bytes that were held while a call ran: of the GPU, or of this process (Linux)."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest value so far
    except OSError:
        return None
    call()
    return _status("VmHWM")


def lines_until_the_end() -> Iterator[str]:
    """What the parent says; when it is gone, this process ends at once, in whatever call it may be."""
    lines: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield lines.get()


def main() -> None:
    """Build, then answer every line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not get in between
    build, device_name, arguments = sys.argv[1:]

    import torch

    from fastnst.benchmark.instruments.timing import wait

    device = torch.device(device_name)
    held = 0 if device.type == "cuda" else resident()
    prepare: Callable[[int], Any] | None = None
    call: Call | None = None
    for line in lines_until_the_end():
        question, *values = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if question == "prepare":
                if prepare is None:
                    module, function = build.split(":")
                    prepare = getattr(import_module(module), function)(device, **json.loads(arguments))
                call = None  # the previous size's inputs go first
                call, answer = prepare(*values)
                call()
                wait(device)
            elif question == "run":
                assert call is not None
                wait(device)
                begin, begin_cpu = time.perf_counter(), time.process_time()
                call()
                wait(device)
                answer = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - begin_cpu}
            else:
                assert call is not None
                highest = highest_of(call, device)
                answer = {"bytes": None if highest is None or held is None else highest - held}
        except Exception as error:  # whatever the contender does wrong is told in one line
            answer = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
