"""A video through the network: decoding, network and encoding side by side, in constant memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from fastnst.errors import InputError, reason
from fastnst.stylization.moving.video_reader import VideoFrame, VideoReader
from fastnst.stylization.moving.video_writer import VideoWriter

WAITING = 8
"""Frames and packets that wait at most between decoding, network and encoding."""


def stylize_video(
    reader: VideoReader,
    writer: VideoWriter,
    stylize: Callable[[Tensor], Tensor],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Decode, stylize and encode side by side, with at most :data:`WAITING` frames between each two of them.

    Whatever happens, interruption by the keyboard included, the frames done so far end up in a playable file.

    Args:
        reader: where frames come from; its ``problem`` tells afterwards whether it ended early.
        writer: where they go; closed at the end.
        stylize: a picture (3, H, W) in [0, 1] to the stylized one; called in the order of the frames.
        progress: is told the number of finished frames.

    Raises:
        InputError: there was not a single frame, or the file cannot be written; the reader's errors are passed on.
        KeyboardInterrupt: passed on after the file was closed; says what is in it, if there is one.
    """
    ended = threading.Event()
    decoded: queue.Queue[Any] = queue.Queue(WAITING)
    painted: queue.Queue[Any] = queue.Queue(WAITING)
    failures: list[BaseException] = []  # of the writer
    unread: list[BaseException] = []

    def put(where: queue.Queue[Any], item: Any) -> bool:
        while not ended.is_set():
            with suppress(queue.Full):
                where.put(item, timeout=0.1)
                return True
        return False

    def decode() -> None:
        try:
            for item in reader:
                if not put(decoded, item):
                    return
        except BaseException as error:
            unread.append(error)
        put(decoded, None)

    def encode() -> None:
        while (item := painted.get()) is not None:
            if not failures:
                try:
                    writer.write(item)
                except BaseException as error:
                    failures.append(error)

    threads = [threading.Thread(target=decode, daemon=True), threading.Thread(target=encode, daemon=True)]
    for thread in threads:
        thread.start()
    done, interrupted = 0, False
    try:
        while (item := decoded.get()) is not None and not failures:
            if isinstance(item, VideoFrame):
                content = torch.from_numpy(item.picture).permute(2, 0, 1).float() / 255
                pixels = stylize(content).mul(255).add_(0.5).clamp_(0, 255).byte().permute(1, 2, 0)
                item = VideoFrame(pixels.contiguous().numpy(), item.time)
                done += 1
                if progress is not None:
                    progress(done)
            painted.put(item)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        ended.set()
        painted.put(None)
        for thread in threads:
            thread.join()
        try:
            writer.close()
        except (reader.av.FFmpegError, OSError) as error:
            failures.append(error)
        reader.close()
    if interrupted:
        kept = writer.frames > 0 and not failures
        raise KeyboardInterrupt(f"in {writer.path} the first {writer.frames} frames" if kept else "")
    if failures:
        raise InputError(f"{writer.path} could not be finished ({reason(failures[0])}); check disk space and size")
    if unread:
        raise unread[0]
    if writer.frames == 0:
        raise InputError(f"{reader.path} holds no frame that can be decoded ({reader.problem or 'nothing in it'}).")
