"""Write videos through PyAV: exact size, times and colour tags of the source, its sound and subtitles copied."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastnst.errors import InputError, reason
from fastnst.stylization.moving.video_reader import UNSPECIFIED, VideoFrame, VideoReader

CODECS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""What a video may be saved as, and its codec."""

LIMITED = 1
"""Brightness from 16 to 235, which is meant where a file does not say (FFmpeg's number)."""


class VideoWriter:
    """A video with the times, tags, sound and subtitles of another one; it appears when it is complete.

    Args:
        path: ends in one of :data:`CODECS`.
        reader: the video it is made from.
        quality: 1 to 100; 95 is x264's and VP9's constant rate factor 18, visually lossless.
        overwrite: replace a file that is there already.

    Attributes:
        left_out: what the container cannot hold, in words.

    Raises:
        InputError: unknown extension, the file exists or cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike, reader: VideoReader, quality: int = 95, overwrite: bool = False
    ) -> None:
        self.path, self.reader, self.av = Path(path), reader, reader.av
        codec = CODECS.get(self.path.suffix.lower())
        if codec is None:
            raise InputError(f"{path}: videos are saved as one of {', '.join(CODECS)}.")
        if self.path.exists() and not overwrite:
            raise InputError(f"{path} exists already; choose another name or ask to overwrite it")
        self.codec, self.rate_factor = codec, max(0, round(18 + (95 - quality) * 0.35))
        self.beside = self.path.with_name(f".{uuid.uuid4().hex}{self.path.suffix}")
        self.left_out: list[str] = []
        self.stream: Any = None
        self.copies: dict[int, Any] = {}
        self.early: list[Any] = []  # packets before the first frame
        self.last = -1
        self.frames = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.container = self.av.open(str(self.beside), "w")
        except (self.av.FFmpegError, OSError) as error:
            raise InputError(f"{path} cannot be written ({reason(error)}).") from None
        self.container.metadata.update(reader.container.metadata)

    def _start(self, height: int, width: int) -> None:
        """The streams: as soon as the size is known, before the first packet."""
        source = self.reader.stream
        stream = self.container.add_stream(self.codec, rate=self.reader.rate)
        stream.width, stream.height = width, height
        even = width % 2 == 0 and height % 2 == 0  # colour at half resolution needs pairs of pixels in x264
        stream.pix_fmt = "yuv420p" if even or self.codec != "libx264" else "yuv444p"
        stream.codec_context.time_base = source.time_base
        stream.options = {"crf": str(min(self.rate_factor, 51))} | ({"b": "0"} if self.codec != "libx264" else {})
        with suppress(Exception):
            if source.sample_aspect_ratio:
                stream.sample_aspect_ratio = source.sample_aspect_ratio
        for tag in ("color_primaries", "color_trc", "colorspace", "color_range"):
            setattr(stream.codec_context, tag, getattr(source.codec_context, tag))
        self.stream = stream
        for other in self.reader.others:
            name = f"{other.type} stream {other.index} ({other.codec_context.name if other.codec_context else '?'})"
            try:
                if other.codec_context.name not in self.container.supported_codecs and not self._holds(other):
                    raise ValueError
                self.copies[other.index] = self.container.add_stream_from_template(other)
                self.copies[other.index].metadata.update(other.metadata)
            except (self.av.FFmpegError, ValueError, TypeError, AttributeError):
                self.left_out.append(f"{name} does not go into {self.path.suffix}")

    def _holds(self, other: Any) -> bool:
        codec = other.codec_context.codec
        return bool({codec.name, codec.canonical_name} & set(self.container.supported_codecs))

    def write(self, item: VideoFrame | Any) -> None:
        """A frame, or a packet of another stream."""
        if not isinstance(item, VideoFrame):
            self._copy(item)
            return
        if self.stream is None:
            self._start(*item.picture.shape[:2])
            for packet in self.early:
                self._copy(packet)
        frame = self.av.VideoFrame.from_ndarray(item.picture, format="rgb24")
        tags = self.reader.stream.codec_context
        frame = frame.reformat(
            format=self.stream.pix_fmt,
            dst_colorspace=tags.colorspace if tags.colorspace not in (0, UNSPECIFIED) else None,
            dst_color_range=tags.color_range or LIMITED,
        )
        base = self.reader.stream.time_base
        self.last = max(round(item.time / base), self.last + 1)  # no two frames at one time
        frame.pts, frame.time_base = self.last, base
        self.container.mux(self.stream.encode(frame))
        self.frames += 1

    def _copy(self, packet: Any) -> None:
        if self.stream is None:
            self.early.append(packet)
        elif packet.stream.index in self.copies:
            packet.stream = self.copies[packet.stream.index]
            self.container.mux(packet)

    def close(self, keep: bool = True) -> None:
        """Write what is still in the encoder and give the file its name; or, without ``keep``, leave nothing behind."""
        try:
            if keep and self.stream is not None:
                self.container.mux(self.stream.encode())
            self.container.close()
            if keep and self.stream is not None:
                os.replace(self.beside, self.path)
        finally:
            with suppress(OSError):
                self.beside.unlink()
