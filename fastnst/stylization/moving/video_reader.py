"""Read videos through PyAV: upright frames with their times, and the packets of sound and subtitles between them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from fastnst.errors import InputError, reason
from fastnst.stylization.moving.tone_mapping import HLG, PQ, to_standard_range

VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
    *(".ts", ".m2ts", ".mts", ".wmv", ".flv", ".3gp", ".ogv", ".vob"),
)
"""Files that are opened as videos."""

STANDARD, UNSPECIFIED = 1, 2
"""Colour tags of ITU-R BT.709, and of a file that does not say (ITU-T H.273)."""

LEEWAY = Fraction(1, 5)
"""Seconds that the last frame may be short of the length a file states without counting as cut off."""


NAMED = 5
"""Lost frames whose times are said."""


class Tags(NamedTuple):
    """How a film's colours are meant, in the numbers of ITU-T H.273."""

    color_primaries: int
    color_trc: int
    colorspace: int
    color_range: int


class VideoFrame(NamedTuple):
    """A frame, upright.

    Attributes:
        picture: (H, W, 3), RGB, 8 bit; between the steps of a pipeline, what they make of it.
        time: when it is shown, in seconds.
        calm: of a steadied film, the frame as the network saw it, (3, H, W) in [0, 1].
        alpha: of a transparent film, its opacity, (H, W), 8 bit.
    """

    picture: Any
    time: Fraction
    calm: Tensor | None = None
    alpha: Any = None


def import_av() -> Any:
    """PyAV, which is an optional dependency.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise InputError("videos need PyAV: install it with pip install 'fastnst[video]'.") from None
    av.logging.set_level(None)  # at any level decoder threads need the interpreter, also while it waits to free them
    return av


class VideoReader:
    """A video file: its frames in the order they are shown, and the packets of its other streams between them.

    Args:
        path: any container and codec that FFmpeg reads.
        start: seconds from the beginning; earlier frames and packets are left out, and time starts there.
        end: seconds from the beginning; later frames and packets are left out. None: to the end.

    Attributes:
        problem: what of it could not be read, None if all could.
        notes: what was changed in its frames, in words, once they are read.
        frames: estimated number of frames, None where the file does not tell.
        alpha: whether its frames have an alpha channel.

    Raises:
        InputError: no such file, no video in it, or nothing between ``start`` and ``end``.
    """

    def __init__(self, path: str | os.PathLike, start: float = 0.0, end: float | None = None) -> None:
        self.av = import_av()
        self.damage = (self.av.FFmpegError, OSError, ValueError)
        self.path, self.problem = Path(path), None  # type: tuple[Path, str | None]
        if not 0 <= start < math.inf or (end is not None and not start < end < math.inf):
            raise InputError(f"start {start} and end {end}: expected seconds, the end after the start.")
        self.start, self.end = decimal(start), None if end is None else decimal(end)
        if not self.path.is_file():
            raise InputError(f"{path} is not there or not a file; check the path of the video")
        if self.path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes); get the file again")
        try:
            # PyAV 19 has no such option any more: it does not stumble over titles in other encodings.
            lenient = {"metadata_errors": "ignore"} if int(self.av.__version__.partition(".")[0]) < 19 else {}
            self.container = self.av.open(str(path), **lenient)
        except self.damage as error:
            raise InputError(f"{path} cannot be read as a video ({reason(error)}).") from None
        covers = self.av.stream.Disposition.attached_pic
        streams = [stream for stream in self.container.streams.video if not stream.disposition & covers]
        if not streams or not streams[0].codec_context:
            self.container.close()
            raise InputError(f"{path} holds no video that can be decoded.")
        self.stream = streams[0]
        self.stream.thread_type = "AUTO"
        self.decoder = self.stream.codec_context
        told = {key.lower(): value for key, value in self.stream.metadata.items()}
        if self.decoder.name == "vp9" and told.get("alpha_mode") == "1":  # FFmpeg's own decoder ignores it
            self.decoder = self.av.CodecContext.create("libvpx-vp9", "r")
            self.alpha = True
        else:
            self.alpha = self.decoder.format is not None and _has_alpha(self.decoder.format)
        self.tags = Tags(*(int(getattr(self.stream.codec_context, name)) for name in Tags._fields))
        self.hdr = self.tags.color_trc if self.tags.color_trc in (PQ, HLG) else None
        if self.hdr is not None:
            self.tags = Tags(STANDARD, STANDARD, STANDARD, self.tags.color_range)
        self.notes: list[str] = []
        self.waiting: set[int] = set()  # times of packets whose frames have not come
        self.errors = 0
        self.woven: Any = None
        self.others = [each for each in self.container.streams if each.type in ("audio", "subtitle")]
        self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        self.duration = self._duration()
        whole = self.duration is not None and self.stream.frames == 0
        count = round(self.duration * self.rate) if whole and self.duration is not None else self.stream.frames
        if self.duration is not None and (start > 0 or end is not None):
            if self.start >= self.duration:
                raise InputError(f"{path} is {float(self.duration):.2f} s long: there is nothing from {start} s on.")
            count = round(self.duration * self.rate)
            if self.end is not None and self.end < self.duration:
                count = math.ceil(self.end * self.rate)
            count -= math.ceil(self.start * self.rate)
        self.frames: int | None = count or None

    def _duration(self) -> Fraction | None:
        """The video's length in seconds; of some containers that of their longest stream, which may be the sound."""
        self.duration_is_of_all = False
        if self.stream.duration and self.stream.time_base:
            return self.stream.duration * self.stream.time_base
        with suppress(KeyError, ValueError):  # Matroska: 00:01:02.345000000
            hours, minutes, seconds = self.stream.metadata["DURATION"].split(":")
            return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
        self.duration_is_of_all = True
        return Fraction(self.container.duration, 1_000_000) if self.container.duration else None

    def chapters(self) -> list[Any]:
        """Of the part between ``start`` and ``end``, as PyAV has them; none where it is older than 15."""
        found = []
        for chapter in getattr(self.container, "chapters", list)():
            base, zero = chapter["time_base"], self.start / chapter["time_base"]
            first = max(chapter["start"], round(zero))
            last = chapter["end"] if self.end is None else min(chapter["end"], round(self.end / base))
            if first < last:
                found.append({**chapter, "start": first - round(zero), "end": last - round(zero)})
        return found

    def __iter__(self) -> Iterator[VideoFrame | Any]:
        """Frames, and packets of the other streams as PyAV has them."""
        if self.start > 0:
            origin = self.stream.start_time or 0
            self.container.seek(int(self.start / self.stream.time_base) + origin, stream=self.stream)
        last: Fraction | None = None
        zero = (self.stream.start_time or 0) * self.stream.time_base
        finished, sound_reached = False, Fraction(0)
        for packet, frames in self._demuxed():
            if packet is not None:
                if packet.pts is None or packet.dts is None:
                    continue
                time = packet.pts * packet.time_base - zero
                sound_reached = max(sound_reached, time + (packet.duration or 0) * packet.time_base)
                if finished and self.end is not None and time > self.end + 2:
                    break
                begun = self.start == 0 or time >= self.start  # sound begins before 0
                if begun and (self.end is None or time < self.end):
                    offset = round(self.start / packet.time_base)
                    packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                    yield packet
            for frame in frames if not finished else ():
                last = (last or zero) + 1 / self.rate if frame.pts is None else frame.pts * frame.time_base
                if self.end is not None and last - zero >= self.end:
                    finished = True
                    break
                if last - zero >= self.start:
                    try:
                        picture, alpha = self._upright(frame)
                    except self.damage as error:
                        self.problem = reason(error)
                        break
                    yield VideoFrame(picture, last - self.start - (zero if self.start else 0), alpha=alpha)
            if self.problem is not None or (finished and not self.others):
                break
        wanted = self.duration if self.end is None else min(self.end, self.duration or self.end)
        reached = Fraction(0) if last is None else last - zero
        end_seen = max(reached, sound_reached) if self.duration_is_of_all else reached
        if self.errors and self.waiting:
            lost = [float(time * self.stream.time_base - zero) for time in sorted(self.waiting)]
            at = ", ".join(f"{time:.2f}" for time in lost[:NAMED]) + (" ..." if len(lost) > NAMED else "")
            self.problem = f"{self.path} is damaged: {len(lost)} frames lost, at {at} s"
        elif self.problem is not None:
            self.problem = f"{self.path} is damaged after {float(reached):.2f} s ({self.problem})"
        elif wanted is not None and not finished and end_seen + max(3 / self.rate, LEEWAY) < wanted:
            self.problem = f"{self.path} breaks off after {float(reached):.2f} of {float(wanted):.2f} s"

    def _demuxed(self) -> Iterator[tuple[Any, list[Any]]]:
        """Packets of other streams, and decoded frames; where the file is damaged, what is whole before and after."""
        try:
            for packet in self.container.demux([self.stream, *self.others]):
                if packet.stream is not self.stream:
                    yield packet, []
                    continue
                if packet.pts is not None:
                    self.waiting.add(packet.pts)
                try:
                    frames = self.decoder.decode(packet)
                except self.damage:
                    self.errors += 1
                    continue
                self.waiting.difference_update(frame.pts for frame in frames)
                yield None, self._progressive(frames)
        except self.damage as error:
            self.problem = reason(error)
        if self.problem is not None:
            with suppress(*self.damage, EOFError):
                yield None, self._progressive(self.decoder.decode(None))
        if self.woven is not None:
            self.woven.push(None)
            yield None, self._filtered()

    def _progressive(self, frames: list[Any]) -> list[Any]:
        """Whole pictures: of interlaced frames, whose lines are of two times, the first, the others filled in."""
        if self.woven is None and frames and frames[0].interlaced_frame:
            self.woven = self.av.filter.Graph()
            first = frames[0]
            source = self.woven.add_buffer(
                width=first.width, height=first.height, format=first.format, time_base=self.stream.time_base
            )
            self.woven.link_nodes(source, self.woven.add("bwdif", "mode=send_frame"), self.woven.add("buffersink"))
            self.woven.configure()
            self.notes.append("interlaced: the lines between were filled in (bwdif)")
        if self.woven is None:
            return frames
        for frame in frames:
            self.woven.push(frame)
        return self._filtered()

    def _filtered(self) -> list[Any]:
        frames = []
        with suppress(self.av.error.BlockingIOError, self.av.error.EOFError):
            while True:
                frames.append(self.woven.pull())
        return frames

    def _upright(self, frame: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """The picture, white where nothing of it is seen, as of animations; and its opacity."""
        space = frame.colorspace if frame.colorspace != UNSPECIFIED else None
        if self.hdr is None:
            rgb = frame.reformat(format="rgb24", src_colorspace=space).to_ndarray()
        else:
            self._note(f"{'PQ' if self.hdr == PQ else 'HLG'} was tone-mapped to the standard range")
            rgb = to_standard_range(frame.reformat(format="rgb48le", src_colorspace=space).to_ndarray(), self.hdr)
        turns, alpha = (frame.rotation or 0) // 90, None
        if self.alpha and _has_alpha(frame.format):
            alpha = frame.reformat(format="rgba").to_ndarray()[..., 3]
            rgb = np.where(alpha[..., None] == 0, np.uint8(255), rgb)
            alpha = np.ascontiguousarray(np.rot90(alpha, turns))
        return np.ascontiguousarray(np.rot90(rgb, turns)), alpha

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def close(self) -> None:
        self.container.close()


def _has_alpha(format: Any) -> bool:
    return any(component.is_alpha for component in format.components)


def decimal(seconds: float) -> Fraction:
    """What was meant by a number of seconds, to the microsecond: the float 0.1 is a little more than a tenth."""
    return Fraction(seconds).limit_denominator(1_000_000)
