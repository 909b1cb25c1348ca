"""A loader that outlives its loading processes and can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

from pytorch_lightning.utilities import rank_zero_warn
from torch.utils.data import DataLoader

from fastnst.data.photos import PhotoSampler
from fastnst.errors import InputError

RESTARTS = 3
"""How often in a row dead loading processes are replaced."""


class ResumableLoader(DataLoader):
    """A DataLoader that may tell Lightning truthfully that it can be resumed; its sampler settles where.

    Loading processes that die (mostly for want of memory) are replaced and the same batches come, ``RESTARTS`` times
    without a batch in between.

    Raises:
        InputError: on iteration, what a loading process could not do, in one line; or they die again and again.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        sampler, deaths = self.sampler, 0
        assert isinstance(sampler, PhotoSampler) and self.batch_size is not None
        while True:
            try:
                for batch in self._batches():
                    yield batch
                    sampler.start += self.batch_size * sampler.world_size
                    deaths = 0
                return
            except InputError as error:  # torch puts a traceback around what a loading process raises
                raise type(error)(str(error).rstrip().splitlines()[-1].split("Error: ", 1)[-1]) from None
            except (RuntimeError, OSError, EOFError) as error:
                if not self._lost_a_process(error):
                    raise
                self._iterator, deaths = None, deaths + 1  # the dead and the living, with what they had loaded ahead
                if deaths > RESTARTS:
                    raise InputError(
                        f"loading processes were killed {deaths} times in a row, mostly a sign that memory is short: "
                        f"lower data.workers (now {self.num_workers}) or data.image_size, or enlarge /dev/shm."
                    ) from None
                rank_zero_warn("a loading process was killed; its photographs are loaded again by a new one.")

    def _lost_a_process(self, error: Exception) -> bool:
        """Torch notices that one is gone, or finds nobody to hand over the memory of a batch already loaded."""
        if self.num_workers == 0 or str(error).startswith("Caught "):  # the latter happened within a living one
            return False
        gone = "DataLoader worker" in str(error) and "exited unexpectedly" in str(error)
        return gone or isinstance(error, ConnectionError | EOFError | FileNotFoundError)

    def _batches(self) -> Iterator[Any]:
        """Without torch's handler of SIGCHLD, which raises wherever the main process is, in the midst of a step."""
        on_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGCHLD) if on_main_thread and hasattr(signal, "SIGCHLD") else None
        batches = super().__iter__()
        if handler is not None:
            signal.signal(signal.SIGCHLD, handler)
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save: the position is the trainer's step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
