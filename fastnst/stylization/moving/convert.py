"""One moving picture from file to file: GIF, animated WebP, APNG and videos, each into any of these."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.numbered import is_numbered
from fastnst.images.reading import MAX_PIXELS
from fastnst.images.resizing import resize
from fastnst.images.tensors import to_pil
from fastnst.stylization.moving.animation import MAX_FRAMES, SEVERAL, AnimationReader, Frame, write_animation
from fastnst.stylization.moving.pipeline import stylize_video
from fastnst.stylization.moving.sequence import SequenceReader, write_sequence
from fastnst.stylization.moving.video_reader import (
    UNSPECIFIED,
    VIDEO_EXTENSIONS,
    Tags,
    VideoFrame,
    VideoReader,
    import_av,
)
from fastnst.stylization.moving.video_writer import CODECS, VideoWriter


@dataclass
class Outcome:
    """What became of a moving picture.

    Attributes:
        frames: how many were written.
        notes: what could not be kept, in words.
        problem: why it ended early, None if it did not.
    """

    frames: int
    notes: list[str] = field(default_factory=list)
    problem: str | None = None


def stylize_moving(
    source: str | os.PathLike,
    output: str | os.PathLike,
    painter: Callable[[Tensor], Tensor],
    *,
    start: float = 0.0,
    end: float | None = None,
    quality: int = 95,
    overwrite: bool = False,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    max_pixels: int = MAX_PIXELS,
    max_frames: int = MAX_FRAMES,
    progress: Callable[[int, int | None], None] | None = None,
) -> Outcome:
    """Stylize all frames of a file into another; both formats follow from the extensions.

    Args:
        source: animation, numbered pictures or video.
        output: ends in one of :data:`ANIMATED` or :data:`CODECS`, or stands for numbered pictures.
        painter: from frame to frame, see :class:`Painter`.
        start: seconds, videos only.
        end: seconds, videos only; None: to the end.
        quality: 1 to 100.
        overwrite: replace a file that is there already.
        resume: go on with a video that was interrupted, if it was.
        settings: everything that the painter's frames depend on; only a video with the same is resumed.
        max_pixels: limit for one frame.
        max_frames: limit for an animation, read or written.
        progress: is told the number of finished frames and of all, where that is known.

    Raises:
        InputError: the source cannot be read, or the output not be written.
        KeyboardInterrupt: passed on; a video then holds the frames done so far.
    """
    numbered = is_numbered(Path(source)) and not Path(source).exists()
    is_video = Path(source).suffix.lower() in VIDEO_EXTENSIONS
    if not is_video and (start > 0 or end is not None):
        raise InputError(f"{source}: start and end cut videos only.")
    if is_video:
        video = VideoReader(source, start, end)
        total: int | None = video.frames
        _check_size(source, video.stream.width, video.stream.height, 1, max_pixels)
    else:
        animation: Any = (
            SequenceReader(source, max_pixels) if numbered else AnimationReader(source, max_pixels, max_frames)
        )
        total = animation.count

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, total)

    if Path(output).suffix.lower() in CODECS:
        reader = video if is_video else _AnimationAsVideo(animation)
        described = {"start": start, "end": end, "quality": quality, **(settings or {})}
        writer = VideoWriter(output, reader, quality, overwrite, resume, described)  # type: ignore[arg-type]
        stylize_video(reader, writer, painter, tell)  # type: ignore[arg-type]
        return Outcome(writer.frames, [*reader.notes, *writer.left_out], reader.problem)
    if resume:
        raise InputError(f"{output}: animations are written at once; --resume is for videos.")
    to_numbered = is_numbered(Path(output))
    if is_video and not to_numbered:
        _check_size(source, video.stream.width, video.stream.height, (total or 0) / SEVERAL, max_pixels)
        if (total or 0) > max_frames:
            raise InputError(
                f"{source} has some {total:,} frames; the limit of an animation is {max_frames:,}: write a video, "
                "give start and end, or raise max_frames."
            )
    if is_video:
        frames, loop = _video_as_animation(video), 0  # type: tuple[Iterator[Frame], int | None]
    else:
        frames, loop = iter(animation), animation.loop
    painted = _painted(frames, painter, tell)
    if to_numbered:
        first = animation.numbers[0] if numbered else 1
        count = write_sequence(output, painted, first, quality=quality, overwrite=overwrite)
    else:
        count = write_animation(output, painted, loop, quality=quality, overwrite=overwrite)
    if not is_video:
        return Outcome(count, [], animation.problem)
    notes = [*video.notes, *([f"{Path(output).suffix} holds no sound"] if video.others else [])]
    return Outcome(count, notes, video.problem)


def _check_size(source: str | os.PathLike, width: int, height: int, frames: float, max_pixels: int) -> None:
    if width * height * max(frames, 1) > max_pixels:
        raise InputError(
            f"{source} has frames of {width} x {height} pixels; the limit is {max_pixels:,} pixels, {SEVERAL} times "
            "that for all frames of an animation: make it smaller, write a video, or raise max_pixels."
        )


def _painted(
    frames: Iterator[Frame], painter: Callable[[Tensor], Tensor], tell: Callable[[int], None]
) -> Iterator[Frame]:
    for number, frame in enumerate(frames, start=1):
        picture = painter(frame.picture)
        alpha = None if frame.alpha is None else resize(frame.alpha, picture.shape[-2], picture.shape[-1])
        yield Frame(picture, alpha, frame.duration)
        tell(number)


def _video_as_animation(video: VideoReader) -> Iterator[Frame]:
    """Each frame lasts until the next; the last as the average. Whole 10 ms add up without drift."""
    waiting: VideoFrame | None = None
    shown = 0
    for item in video:
        if isinstance(item, VideoFrame):
            if waiting is not None:
                until = round(item.time * 100)
                yield Frame(_tensor(waiting), _alpha(waiting), max(10, 10 * (until - shown)))
                shown = until
            else:
                shown = round(item.time * 100)
            waiting = item
    if waiting is not None:
        yield Frame(_tensor(waiting), _alpha(waiting), max(10, round(100 / video.rate) * 10))
    video.close()


def _tensor(frame: VideoFrame) -> Tensor:
    return torch.from_numpy(frame.picture).permute(2, 0, 1).float() / 255


def _alpha(frame: VideoFrame) -> Tensor | None:
    return None if frame.alpha is None else torch.from_numpy(frame.alpha)[None].float() / 255


class _AnimationAsVideo:
    """What :class:`VideoWriter` needs to know of a video, told of an animation; transparency is laid on white."""

    def __init__(self, animation: AnimationReader | SequenceReader) -> None:
        self.av: Any = import_av()
        self.animation, self.path = animation, animation.path
        self.tags = Tags(UNSPECIFIED, UNSPECIFIED, UNSPECIFIED, 0)
        self.stream = SimpleNamespace(time_base=Fraction(1, 1000), sample_aspect_ratio=None)
        self.container = SimpleNamespace(metadata={})
        self.others: list[Any] = []
        self.notes: list[str] = []
        self.rate = animation.rate
        self.alpha = False

    def chapters(self) -> list[Any]:
        return []

    @property
    def problem(self) -> str | None:
        return self.animation.problem

    def __iter__(self) -> Iterator[VideoFrame]:
        time = 0.0
        for frame in self.animation:
            picture = frame.picture
            if frame.alpha is not None:
                picture = picture * frame.alpha + 1 - frame.alpha
            pixels = torch.frombuffer(bytearray(to_pil(picture).tobytes()), dtype=torch.uint8)
            yield VideoFrame(pixels.view(*picture.shape[-2:], 3).numpy(), Fraction(round(time), 1000))
            time += frame.duration

    def close(self) -> None:
        pass
