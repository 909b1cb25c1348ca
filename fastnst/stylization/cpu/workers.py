"""Threads in which torch uses one processor core each."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class Workers:
    """Threads in which torch uses one core each.

    Torch's own threads divide every single operation, and wait for the next one by spinning, which takes the core from
    NNPACK's: at 256 pixels two of both kinds were no faster than one. Here a thread takes a band through several
    operations before it meets the others.

    Args:
        count: how many; 1 works in the thread that asks.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.present: object = None  # the run in the leader's thread
        self.abandoned: object = None  # the last one that nobody waits for any more
        if count > 1:
            ready = threading.Barrier(count)
            self.leader, self.helpers = (
                ThreadPoolExecutor(threads, "fastnst-bands", _use_one_thread) for threads in (1, count - 1)
            )
            starts = [self.leader.submit(ready.wait), *(self.helpers.submit(ready.wait) for _ in range(count - 1))]
            wait(starts)
            torch.set_num_threads(count)  # the workers have set it for threads that begin later, too

    def run(self, work: Callable[[], T]) -> T:
        """``work()`` in a thread that may call :meth:`map`, one at a time; interrupted if this wait for it is."""
        if self.count == 1:
            return work()
        mine = object()
        future = self.leader.submit(self._begin, mine, work)
        try:
            return future.result()
        except BaseException:
            if not future.cancel() and not future.done():
                self.abandoned = mine
                wait([future])
            raise

    @torch.inference_mode()  # a thread's own setting
    def _begin(self, run: object, work: Callable[[], T]) -> T:
        self.present = run
        return work()

    def map(self, work: Callable[..., T], *parts: Iterable[Any]) -> list[T]:
        """``list(map(work, *parts))`` side by side; ends when all of them have, and raises the first error."""
        if self.present is not None and self.present is self.abandoned:
            raise InterruptedError("nobody waits for this picture any more.")
        calls = list(zip(*parts, strict=True))
        results: list[Any] = [None] * len(calls)
        left = deque(range(len(calls)))

        @torch.inference_mode()  # a thread's own setting
        def work_on() -> None:
            while left:
                try:
                    number = left.popleft()
                except IndexError:  # another thread was faster
                    return
                try:
                    results[number] = work(*calls[number])
                except BaseException:
                    left.clear()
                    raise

        futures = [self.helpers.submit(work_on) for _ in range(min(self.count, len(calls)) - 1)]
        try:
            work_on()
        finally:
            wait(futures)
        for future in futures:
            future.result()
        return results


def _use_one_thread() -> None:
    torch.get_num_threads()  # takes over what is set for all: later it would undo what is set here
    torch.set_num_threads(1)


@cache
def _workers(count: int, process: int) -> Workers:
    return Workers(count)


def workers() -> Workers:
    """As many as torch may use threads; the same ones for all who ask, but not those of a parent process."""
    return _workers(torch.get_num_threads(), os.getpid())
