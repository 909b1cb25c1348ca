"""A video through the network: decoding, flow, network, blending and encoding side by side, in constant memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from fastnst.errors import InputError, reason
from fastnst.images.tensors import to_bytes
from fastnst.stylization.moving.painter import Painter
from fastnst.stylization.moving.video_reader import VideoFrame, VideoReader
from fastnst.stylization.moving.video_writer import VideoWriter

WAITING, HELD = 4, 2
"""Frames and packets that wait at most for flow and for the encoder, as bytes; and for the network and the blending,
as numbers with their motion, which are nine times as large."""


def stylize_video(
    reader: VideoReader,
    writer: VideoWriter,
    painter: Painter | Callable[[Tensor], Tensor],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Decode, look, paint, finish and encode side by side; the network works in the caller's thread.

    Whatever happens, interruption by the keyboard included, the frames done so far end up in a playable file.

    Args:
        reader: where frames come from; its ``problem`` tells afterwards whether it ended early.
        writer: where they go; closed at the end. Frames that it has from an interrupted run are passed over.
        painter: the three steps of a painter, or one from a picture (3, H, W) in [0, 1] to the stylized one; called in
            the order of the frames.
        progress: is told the number of finished frames.

    Raises:
        InputError: there was not a single frame, or the file cannot be written; the reader's errors are passed on.
        KeyboardInterrupt: passed on after the file was closed; says what is in it, if there is one.
    """
    if isinstance(painter, Painter):
        look, paint, finish = painter.look, painter.paint, painter.finish
        if writer.kept:
            painter.begin(writer.kept, *writer.parts.last())
    else:
        look, paint, finish = _same, painter, _same  # type: ignore[assignment]
    steadied = isinstance(painter, Painter) and painter.steady is not None
    ended = threading.Event()
    decoded, seen, painted, finished = (queue.Queue[Any](size) for size in (WAITING, HELD, HELD, WAITING))
    unread: list[BaseException] = []
    failures: list[BaseException] = []  # of what comes after the network

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

    def look_at() -> None:
        number = 0
        try:
            while (item := _next(decoded, ended)) is not None:
                if isinstance(item, VideoFrame):
                    number += 1
                    if number >= writer.kept:  # flow goes from the last frame that is there already
                        item = item._replace(picture=look(_numbers(item.picture)))
                if not put(seen, item):
                    return
        except BaseException as error:
            unread.append(error)
        put(seen, None)

    def finish_frames() -> None:
        while (item := painted.get()) is not None:
            if isinstance(item, VideoFrame) and item.picture is not None:
                try:
                    calm = item.picture.seen.calm if steadied else None
                    item = item._replace(picture=_bytes(finish(item.picture)), calm=calm)
                except BaseException as error:
                    unread.append(error)
                    break
            finished.put(item)
        ended.set()
        finished.put(None)

    def encode() -> None:
        while (item := finished.get()) is not None:
            if not failures:
                try:
                    writer.write(item)
                except BaseException as error:
                    failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for work in (decode, look_at, finish_frames, encode)]
    for thread in threads:
        thread.start()
    done, interrupted = 0, False
    try:
        while (item := _next(seen, ended)) is not None and not failures:
            if isinstance(item, VideoFrame):
                done += 1
                if done <= writer.kept:
                    item = item._replace(picture=None)
                else:
                    item = item._replace(picture=paint(item.picture))
                if progress is not None:
                    progress(done)
            put(painted, item)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        while threads[2].is_alive():  # finish_frames, which may have broken off
            with suppress(queue.Full):
                painted.put(None, timeout=0.1)
                break
        ended.set()
        for thread in threads:
            thread.join()
        try:
            writer.close(whole=not (interrupted or failures or unread))
        except (reader.av.FFmpegError, OSError) as error:
            failures.append(error)
        reader.close()
    if interrupted:
        there = writer.frames > 0 and not failures
        raise KeyboardInterrupt(f"in {writer.path} the first {writer.frames} frames{writer.advice}" if there else "")
    if failures:
        raise InputError(f"{writer.path} could not be finished ({reason(failures[0])}); check disk space and size")
    if unread:
        raise unread[0]
    if writer.frames == 0:
        raise InputError(f"{reader.path} holds no frame that can be decoded ({reader.problem or 'nothing in it'}).")


def _next(where: queue.Queue[Any], ended: threading.Event) -> Any:
    while not ended.is_set():
        with suppress(queue.Empty):
            return where.get(timeout=0.1)
    return None


def _same(picture: Any) -> Any:
    return picture


def _numbers(picture: Any) -> Tensor:
    """(H, W, 3) bytes to (3, H, W) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1).float() / 255


def _bytes(picture: Tensor) -> Any:
    return to_bytes(picture).permute(1, 2, 0).contiguous().numpy()
