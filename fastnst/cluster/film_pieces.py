"""A film in pieces that begin at key frames, painted frames kept without loss, and all of them in a row again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastnst.errors import InputError, reason
from fastnst.stylization.moving.video_reader import VideoFrame, VideoReader, import_av

PIECE = 5.0
"""Seconds of a piece at least."""
LEAD = 1.6
"""Seconds that a steadied piece begins earlier: a frame is a blend with those before. At 0.8 of each and 25 frames a
second 0.4 % are left of what came before the lead."""
CODEC, FORMAT = "ffv1", "bgr0"
"""How painted frames are kept: RGB of 8 bits, without loss."""


class Piece(NamedTuple):
    """A part of a film.

    Attributes:
        number: from 0.
        start: seconds; its frames begin here.
        end: seconds; they end before. None: at the film's end.
        lead: seconds before ``start`` that are painted, too; of these the last frame is kept in front.
    """

    number: int
    start: float
    end: float | None
    lead: float


def cut(path: Path, start: float, end: float | None, steady: bool, seconds: float = PIECE) -> list[Piece]:
    """Pieces of a film from ``start`` to ``end``, each but the last of at least so many seconds.

    Raises:
        InputError: it cannot be read as a video.
    """
    with closing(VideoReader(path, start, end)) as reader:
        zero = reader.stream.start_time or 0
        cuts = [start]
        try:
            for packet in reader.container.demux(reader.stream):
                if packet.is_keyframe and packet.pts is not None:
                    time = float((packet.pts - zero) * packet.time_base)
                    if time >= cuts[-1] + seconds and (end is None or time < end):
                        cuts.append(time)
        except reader.damage:  # what lies before is painted, as on one machine
            pass
    ends = [*cuts[1:], end]
    leads = [min(LEAD, begin - start) if steady else 0.0 for begin in cuts]
    return [Piece(number, *each) for number, each in enumerate(zip(cuts, ends, leads, strict=True))]


class PieceWriter:
    """Keeps the frames of a piece without loss; see :func:`~fastnst.stylization.moving.pipeline.stylize_video`.

    A piece that was interrupted is painted again.

    Args:
        path: ends in .mkv.
        lead: seconds; of the frames before only the last is kept.
    """

    kept, advice = 0, ""
    """Frames of an interrupted piece, and how to go on with it: it is painted anew."""

    def __init__(self, path: Path, lead: float) -> None:
        self.av, self.path, self.lead, self.frames = import_av(), path, lead, 0
        self.waiting: np.ndarray | None = None
        self.container = self.av.open(str(path), "w")
        self.stream: Any = None

    def write(self, item: Any) -> None:
        """A frame; sound is not kept."""
        if not isinstance(item, VideoFrame):
            return
        if item.time < Fraction(self.lead).limit_denominator(1_000_000):
            self.waiting = item.picture
            return
        if self.waiting is not None:
            self._encode(self.waiting)
            self.waiting = None
        self._encode(item.picture)
        self.frames += 1

    def _encode(self, picture: np.ndarray) -> None:
        if self.stream is None:
            self.stream = self.container.add_stream(CODEC, rate=25)  # nobody looks at its times
            self.stream.height, self.stream.width = picture.shape[:2]
            self.stream.pix_fmt = FORMAT
        frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self.container.mux(self.stream.encode(frame.reformat(format=FORMAT)))

    def close(self, whole: bool = True) -> None:
        """Also of a piece that breaks off, whose task is given to another worker."""
        if self.stream is not None:
            self.container.mux(self.stream.encode())
        self.container.close()


def frames_of(path: Path) -> Iterator[np.ndarray]:
    """(H, W, 3) of 8 bits, as they were written.

    Raises:
        InputError: the piece is damaged.
    """
    av = import_av()
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.reformat(format="rgb24").to_ndarray()
    except av.FFmpegError as error:
        raise InputError(f"{path.name} is damaged ({reason(error)}): delete _run in the target.") from None


class Joined:
    """Painted pieces as one painter: called for each frame of the film in turn, it gives the frame that is there.

    Args:
        pieces: in their order.
        files: with the painted frames, in the same order, fetched as they are needed.

    Attributes:
        seams: for each piece with a lead, how much the last frame before it differs from the same frame at the end of
            the piece before: the mean absolute difference of 8-bit values.
    """

    def __init__(self, pieces: list[Piece], files: Iterator[Path]) -> None:
        self.seams: list[float] = []
        self.frames = self._frames(pieces, files)

    def _frames(self, pieces: list[Piece], files: Iterator[Path]) -> Iterator[np.ndarray]:
        last: np.ndarray | None = None
        for piece, file in zip(pieces, files, strict=True):
            frames = frames_of(file)
            if piece.lead > 0 and last is not None:
                seam = next(frames).astype(np.int16) - last.astype(np.int16)
                self.seams.append(float(np.abs(seam).mean()))
            for last in frames:
                yield last

    def __call__(self, picture: Tensor) -> Tensor:
        """The next painted frame, (3, H, W) in [0, 1]; of the source's only their number counts.

        Raises:
            InputError: there is none.
        """
        frame = next(self.frames, None)
        if frame is None:
            raise InputError("the painted pieces have fewer frames than the film: delete _run in the target.")
        return torch.from_numpy(frame).permute(2, 0, 1).float() / 255
