"""A visitor's own painting: learnt by a training in a process of its own, watched, stopped, kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fastnst.errors import InputError
from fastnst.images.reading import read_image
from fastnst.images.saving import save_image
from fastnst.places import python_path

SECONDS = 0.5
"""Between two looks at the training."""
LARGEST_PAINTING = 50_000_000
"""Pixels."""


class Progress(NamedTuple):
    """What is seen of a training: its folder, the newest preview if any, how far it is, and at the end the model."""

    run: Path
    preview: Path | None
    text: str
    model: Path | None = None


class Apprentice:
    """Learns one painting at a time, for whoever comes first.

    Args:
        folder: where runs lie; whoever gives it deletes it.
        options: of the command train.
        most_seconds: a training that takes longer is stopped, and what it has learnt is kept.
    """

    def __init__(self, folder: Path, options: Sequence[str], most_seconds: float = 900) -> None:
        self.folder = folder
        self.options = options
        self.most_seconds = most_seconds
        self.busy = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.run: Path | None = None

    def learn(self, painting: str | os.PathLike | None) -> Iterator[Progress]:
        """Train on a picture; the last :class:`Progress` has the model.

        Raises:
            InputError: no picture, an unusable one, somebody else's is being learnt, or the training failed.
        """
        if painting is None:
            raise InputError("Give a painting first: upload one.")
        picture = read_image(painting, max_pixels=LARGEST_PAINTING)
        if not self.busy.acquire(blocking=False):
            raise InputError("Somebody else's painting is being learnt: try again in some minutes.")
        try:
            self.run = Path(tempfile.mkdtemp(dir=self.folder))
            save_image(picture, self.run / "painting.png")
            yield from self._train(self.run)
        finally:
            self._end()
            self.busy.release()

    def _train(self, run: Path) -> Iterator[Progress]:
        command = [
            sys.executable, "-m", "fastnst", "train", "style=custom", f"style.image={run / 'painting.png'}",
            *self.options, f"output_dir={run / 'run'}",
        ]  # fmt: skip
        log, latest, model = run / "log.txt", run / "run" / "previews" / "latest.png", run / "run" / "model.ckpt"
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, text=True, start_new_session=True,
                env={**os.environ, "PYTHONPATH": python_path()},
            )  # fmt: skip
        started, seen = time.monotonic(), ""
        while self.process.poll() is None:
            time.sleep(SECONDS)
            text = log.read_text(errors="replace").replace("\r", "\n")
            bars = re.findall(r"(\d+)/(\d+) \[\d.*?<([\d:?]+)", text)
            now = f"{bars[-1][0]} of {bars[-1][1]} steps, {bars[-1][2]} left" if bars else "Starting ..."
            if now != seen:
                seen = now
                yield Progress(run, latest if latest.exists() else None, now)
            if time.monotonic() - started > self.most_seconds:
                self._end()
        if not model.is_file():
            problems = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("error: ")]
            raise InputError(
                problems[-1].removeprefix("error: ") if problems else "The training ended without a model."
            )
        yield Progress(run, latest, f"Learnt in {time.monotonic() - started:.0f} s.", model)

    def stop(self, run: Path | None = None) -> None:
        """End the training as Ctrl-C does: it saves what it has learnt. With ``run``, only if it is this one's."""
        if run is None or run == self.run:
            self._end()

    def _end(self) -> None:
        for _ in range(6):  # a signal that comes during an import may get lost there
            if self.process is not None and self.process.poll() is None:
                with suppress(ProcessLookupError):
                    self.process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(5)
        if self.process is not None:
            self.process.kill()
