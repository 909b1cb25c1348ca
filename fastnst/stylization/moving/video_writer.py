"""Write videos through PyAV: exact size, times and colour tags of the source, its sound and subtitles copied."""

from __future__ import annotations

import os
import uuid
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastnst.errors import InputError, reason
from fastnst.images.resizing import resize
from fastnst.images.tensors import to_bytes
from fastnst.stylization.moving.parts import LENGTH, Parts
from fastnst.stylization.moving.video_reader import UNSPECIFIED, VideoFrame, VideoReader

ENCODING = {
    "libx264": {"preset": "veryfast"},
    "libvpx-vp9": {"b": "0", "cpu-used": "4", "row-mt": "1"},
    "prores_ks": {"profile": "4444"},
}
"""x264: a third of the time, files as small, 0.4 dB farther from frames of `mosaic_slim` than by default. VP9: constant
quality, and it is told to hurry. ProRes: with an alpha channel."""
if torch.backends.cpu.get_cpu_capability() == "AVX512":
    # With x264's code for AVX-512, 1 to 3 in 100 encodings of the same 60 frames of 64x48 pixels differed on a busy
    # machine, and none without its macroblock tree, or of 300 with its code for AVX2. Why is not known.
    ENCODING["libx264"]["x264-params"] = "asm=AVX2"

REORDERED = {"libx264": 2, "libvpx-vp9": 0, "prores_ks": 0}
"""How many frames a packet may come after its turn: B-frames, and a pyramid of them."""

CODECS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""What a video may be saved as, and its codec."""

TRANSPARENT = {".mov": ("prores_ks", "yuva444p10le"), ".webm": ("libvpx-vp9", "yuva420p")}
"""What holds an alpha channel, and how: ProRes 4444 and VP9."""

PARTS = {"prores_ks": "mov", "libvpx-vp9": "matroska"}
"""What parts with an alpha channel are kept in: NUT holds neither; Matroska has WebM's times, whole milliseconds."""

LIMITED = 1
"""Brightness from 16 to 235, which is meant where a file does not say (FFmpeg's number)."""


class VideoWriter:
    """A video with the times, tags, sound and subtitles of another one; it appears when it is complete.

    It is encoded in parts (:class:`~fastnst.stylization.moving.parts.Parts`), each by itself, so that an interrupted
    film can be resumed, and is then the same, frame for frame.

    Args:
        path: ends in one of :data:`CODECS`.
        reader: the video it is made from.
        quality: 1 to 100; 95 is x264's and VP9's constant rate factor 18, visually lossless.
        overwrite: replace a file that is there already.
        resume: take what an interrupted run has finished.
        settings: everything that the frames depend on; only a run with the same is resumed.

    Attributes:
        left_out: what the container cannot hold, in words.
        frames: how many are in the file.
        kept: how many of an interrupted run are there already.

    Raises:
        InputError: unknown extension, the file exists or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        reader: VideoReader,
        quality: int = 95,
        overwrite: bool = False,
        resume: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.reader, self.av = Path(path), reader, reader.av
        codec = CODECS.get(self.path.suffix.lower())
        if codec is None:
            raise InputError(f"{path}: videos are saved as one of {', '.join(CODECS)}.")
        self.parts = Parts(self.path, settings or {}, resume, overwrite)
        self.kept = self.parts.frames
        if self.path.exists() and not overwrite and not self.kept:
            raise InputError(f"{path} exists already; choose another name or ask to overwrite it")
        self.rate_factor = max(0, round(18 + (95 - quality) * 0.35))
        transparent = TRANSPARENT.get(self.path.suffix.lower()) if reader.alpha else None  # codec and format of pixels
        self.codec, self.transparent = transparent or (codec, "")
        self.beside = self.path.with_name(f".{uuid.uuid4().hex}{self.path.suffix}")
        self.left_out: list[str] = []
        if reader.alpha and not self.transparent:
            kept_by = " and ".join(TRANSPARENT)
            self.left_out.append(f"transparency does not go into {self.path.suffix} (it is kept in {kept_by})")
        self.part: Any = None  # container and stream of the part that is being encoded
        self.stream: Any = None
        self.copies: dict[int, Any] = {}
        self.early: list[Any] = []  # packets before the first part
        self.turns: deque[int] = deque()  # when packets are due
        self.last = -1
        self.frames = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.container = self.av.open(str(self.beside), "w")
        except (self.av.FFmpegError, OSError) as error:
            raise InputError(f"{path} cannot be written ({reason(error)}).") from None
        self.container.metadata.update(reader.container.metadata)
        if chapters := reader.chapters():
            self.container.set_chapters(chapters)

    def _encoder(self, container: Any, height: int, width: int) -> Any:
        """The video stream, the same in the film and in all of its parts."""
        source = self.reader.stream
        stream = container.add_stream(self.codec, rate=self.reader.rate)
        stream.width, stream.height = width, height
        even = width % 2 == 0 and height % 2 == 0  # colour at half resolution needs pairs of pixels in x264
        stream.pix_fmt = self.transparent or ("yuv420p" if even or self.codec != "libx264" else "yuv444p")
        stream.codec_context.time_base = stream.time_base = source.time_base
        stream.options = {"crf": str(min(self.rate_factor, 51))} | ENCODING[self.codec]
        if self.transparent == "yuva420p":  # VP9 has a second stream for it, which the container must be told of
            stream.options |= {"auto-alt-ref": "0"}
            stream.metadata["alpha_mode"] = "1"
        with suppress(Exception):
            if source.sample_aspect_ratio:
                stream.sample_aspect_ratio = source.sample_aspect_ratio
        for tag, value in self.reader.tags._asdict().items():
            setattr(stream.codec_context, tag, value)
        return stream

    def _end_part(self) -> None:
        container, stream = self.part
        container.mux(stream.encode())
        container.close()
        self.part = None

    def _join(self, file: Path) -> None:
        """Take a part's packets over, which are due when it is the next frame's turn in all of the film."""
        with self.av.open(str(file)) as part:
            template = part.streams.video[0]
            packets = [packet for packet in part.demux(template) if packet.size]
            turns = sorted(packet.pts for packet in packets)
            frame = turns[1] - turns[0] if len(turns) > 1 else round(1 / (self.reader.rate * template.time_base))
            if self.stream is None:
                self._start(template.height, template.width)
                self.turns.extend(turns[0] - frame * early for early in range(REORDERED[self.codec], 0, -1))
            self.turns.extend(turns)
            for packet in packets:
                packet.dts, packet.duration = self.turns.popleft(), packet.duration or frame
                packet.stream = self.stream
                self.container.mux(packet)

    def _start(self, height: int, width: int) -> None:
        """The streams: as soon as the first part is there, before the first packet."""
        self.stream = self._encoder(self.container, height, width)
        for other in self.reader.others:
            name = f"{other.type} stream {other.index} ({other.codec_context.name if other.codec_context else '?'})"
            try:
                if other.codec_context.name not in self.container.supported_codecs and not self._holds(other):
                    raise ValueError
                self.copies[other.index] = self.container.add_stream_from_template(other)
                self.copies[other.index].metadata.update(other.metadata)
            except (self.av.FFmpegError, ValueError, TypeError, AttributeError):
                self.left_out.append(f"{name} does not go into {self.path.suffix}")
        for packet in self.early:
            self._copy(packet)

    def _holds(self, other: Any) -> bool:
        codec = other.codec_context.codec
        return bool({codec.name, codec.canonical_name} & set(self.container.supported_codecs))

    def write(self, item: VideoFrame | Any) -> None:
        """A frame, without a picture where it was kept; or a packet of another stream."""
        if not isinstance(item, VideoFrame):
            self._copy(item)
            return
        self.frames += 1
        if item.picture is None:
            self.last = round(item.time / self.reader.stream.time_base)
            if self.frames % LENGTH == 0:
                self._join(self.parts.file(self.frames // LENGTH - 1))
            return
        if self.part is None:
            exact = {"avoid_negative_ts": "disabled"}  # times as they are
            kind = PARTS.get(self.codec, "nut") if self.transparent else "nut"
            if kind == "mov":
                exact["movie_timescale"] = str(self.reader.stream.time_base.denominator)
            container = self.av.open(str(self.parts.begin()), "w", kind, options=exact)
            self.part = container, self._encoder(container, *item.picture.shape[:2])
        container, stream = self.part
        frame = self.av.VideoFrame.from_ndarray(item.picture, format="rgb24")
        if self.transparent:
            frame = self.av.VideoFrame.from_ndarray(_with_alpha(item), format="rgba")
        tags = self.reader.tags
        frame = frame.reformat(
            format=stream.pix_fmt,
            dst_colorspace=tags.colorspace if tags.colorspace not in (0, UNSPECIFIED) else None,
            dst_color_range=tags.color_range or LIMITED,
        )
        base = self.reader.stream.time_base
        self.last = max(round(item.time / base), self.last + 1)  # no two frames at one time
        frame.pts, frame.time_base = self.last, base
        container.mux(stream.encode(frame))
        if self.frames % LENGTH == 0:
            self._end_part()
            self._join(self.parts.finish(item.picture, item.calm))

    def _copy(self, packet: Any) -> None:
        if self.stream is None:
            self.early.append(packet)
        elif packet.stream.index in self.copies:
            packet.stream = self.copies[packet.stream.index]
            self.container.mux(packet)

    @property
    def advice(self) -> str:
        """How to go on after an interruption, for the end of a sentence."""
        return f"; --resume goes on after {self.parts.frames} of them" if self.parts.count else ""

    def close(self, whole: bool = True) -> None:
        """Write what is still in the encoder and give the file its name; keep the parts of what is not whole."""
        try:
            if self.part is not None:
                self._end_part()
                self._join(self.parts.unfinished)
            self.container.close()
            if self.stream is not None:
                os.replace(self.beside, self.path)
        except BaseException:
            whole = False
            raise
        finally:
            self.parts.close(whole)
            with suppress(OSError):
                self.beside.unlink()


def _with_alpha(item: VideoFrame) -> np.ndarray:
    """(H, W, 4) bytes; the alpha is resized with the picture."""
    height, width = item.picture.shape[:2]
    alpha = np.full((height, width), 255, np.uint8) if item.alpha is None else item.alpha
    if alpha.shape != (height, width):
        alpha = to_bytes(resize(torch.from_numpy(alpha)[None].float() / 255, height, width))[0].numpy()
    return np.dstack((item.picture, alpha))
