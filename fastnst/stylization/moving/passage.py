"""From one style to another while a moving picture plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastnst.errors import InputError
from fastnst.stylization.moving.video_reader import VideoReader
from fastnst.stylization.probe import VIDEO, Probe


@dataclass(frozen=True)
class Passage:
    """Shares of styles that move evenly, frame by frame.

    Attributes:
        first: the share of each style by name, at the first frame.
        last: at the last frame.
        frames: how many there are.
    """

    first: Mapping[str, float]
    last: Mapping[str, float]
    frames: int

    def shares(self, number: int) -> dict[str, float]:
        """Those of a frame, counted from 0; of frames beyond the last its own."""
        part = min(1.0, number / max(1, self.frames - 1))
        names = {**self.first, **self.last}
        return {name: (1 - part) * self.first.get(name, 0.0) + part * self.last.get(name, 0.0) for name in names}


def count_frames(found: Probe, start: float = 0.0, end: float | None = None) -> int:
    """How many frames an animation has, or a video between two times in seconds, as its head says.

    Raises:
        InputError: it cannot be read, or does not say so.
    """
    if found.kind != VIDEO:
        return found.frames
    reader = VideoReader(found.path, start, end)
    reader.close()
    if reader.frames is None:
        raise InputError(
            f"{found.path} does not say how long it is, which a passage between styles needs: "
            "write it anew with `ffmpeg -i`, or give one --style."
        )
    return reader.frames
