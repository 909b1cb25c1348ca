"""GIF, animated WebP, APNG and AVIF: frame by frame in, the same timing, loop and transparency out."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.reading import MAX_PIXELS
from fastnst.images.tensors import to_pil, to_tensor
from fastnst.stylization.probe import ANIMATED, probe

DEFAULT_DURATION = 100
"""Milliseconds that browsers show a frame for whose duration is 0 or missing."""

MAX_FRAMES = 10_000
"""Most frames of an animation, however small they are: at 25 a second 7 minutes. Videos have no limit: they stream."""

SEVERAL = 4
"""All frames together may have this many times the pixels of a single picture's limit: Pillow keeps them all."""


class Frame(NamedTuple):
    """One frame as a viewer shows it, disposal and blending settled.

    Attributes:
        picture: (3, H, W), RGB in [0, 1].
        alpha: (1, H, W) in [0, 1], or None where it is opaque all over.
        duration: milliseconds.
    """

    picture: Tensor
    alpha: Tensor | None
    duration: float


class AnimationReader:
    """Frames of a picture file, one after the other.

    Args:
        path: picture file.
        max_pixels: limit for one frame; all together may have :data:`SEVERAL` times as many.
        max_frames: limit for their number.

    Attributes:
        count, first, loop, size: of :class:`~fastnst.stylization.probe.Probe`.
        problem: why reading ended early, None if it did not.

    Raises:
        InputError: no picture, or too many pixels.
    """

    def __init__(self, path: str | os.PathLike, max_pixels: int = MAX_PIXELS, max_frames: int = MAX_FRAMES) -> None:
        self.problem: str | None = None
        self.rate = Fraction(1000, DEFAULT_DURATION)
        self.path, _, self.size, self.count, self.first, self.loop = probe(path)
        if self.count > max_frames:
            raise InputError(
                f"{path} has {self.count:,} frames; the limit is {max_frames:,}: make it shorter or raise max_frames."
            )
        if self.count > 1 and self.count * self.size[0] * self.size[1] > SEVERAL * max_pixels:
            raise InputError(
                f"{path} has {self.count} frames of {self.size[0]} x {self.size[1]} pixels; the limit is "
                f"{SEVERAL * max_pixels:,} pixels in all: make it shorter or smaller, or raise max_pixels."
            )

    def __iter__(self) -> Iterator[Frame]:
        self.problem = None
        with Image.open(self.path) as picture:
            for number in range(self.first, self.first + self.count):
                try:
                    picture.seek(number)
                    picture.load()
                except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error and more
                    done = number - self.first
                    if done == 0:
                        raise InputError(f"{self.path} cannot be read as a picture ({error}).") from error
                    self.problem = f"{self.path} breaks off after frame {done} of {self.count}"
                    return
                yield frame_of(picture)


def frame_of(picture: Image.Image) -> Frame:
    """What a viewer shows of an opened picture."""
    duration = float(picture.info.get("duration") or DEFAULT_DURATION)
    if not picture.has_transparency_data:
        return Frame(to_tensor(picture.convert("RGB")), None, duration)
    rgba = picture.convert("RGBA")
    alpha = torch.from_numpy(np.array(rgba.getchannel("A")))[None].float() / 255
    rgb = rgba.convert("RGB")
    rgb.paste((255, 255, 255), mask=rgba.getchannel("A").point(lambda value: 255 if value == 0 else 0))
    return Frame(to_tensor(rgb), None if bool((alpha == 1).all()) else alpha, duration)


def write_animation(
    path: str | os.PathLike, frames: Iterable[Frame], loop: int | None, *, quality: int = 95, overwrite: bool = False
) -> int:
    """Write an animation, whole or not at all; its format follows from the extension.

    A GIF gets 255 colours for each frame and full transparency or none; the other formats keep all of it.

    Args:
        path: ends in one of :data:`ANIMATED`.
        frames: as they come; kept as 8-bit pictures until the last.
        loop: how often it is played, 0 without end; None leaves that to the format.
        quality: 1 to 100, for WebP and AVIF.
        overwrite: replace a file that is there already.

    Returns:
        Number of frames.

    Raises:
        InputError: the extension, an existing file, no frames, or the file cannot be written.
    """
    path = Path(path)
    kind = ANIMATED.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: animations are saved as one of {', '.join(ANIMATED)}.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another name or ask to overwrite it")
    pictures, durations = [], []
    for frame in frames:
        pictures.append(_gif_frame(frame) if kind == "GIF" else _full_frame(frame))
        durations.append(frame.duration)
    if not pictures:
        raise InputError(f"{path}: there are no frames to write.")
    options: dict[str, object] = {} if kind in ("GIF", "PNG") else {"quality": quality}
    if loop is not None and kind != "AVIF":
        options["loop"] = loop
    if kind == "GIF":
        transparent = any("transparency" in picture.info for picture in pictures)
        options |= {"disposal": 2, "transparency": 255} if transparent else {"disposal": 1}
    elif any(picture.mode == "RGBA" for picture in pictures):
        pictures = [picture.convert("RGBA") for picture in pictures]
    whole = [round(duration) for duration in durations]
    beside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "xb") as file:
            pictures[0].save(file, kind, save_all=True, append_images=pictures[1:], duration=whole, **options)
        os.replace(beside, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be written ({reason}); check folder, disk space and size") from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return len(pictures)


def _full_frame(frame: Frame) -> Image.Image:
    picture = to_pil(frame.picture)
    if frame.alpha is not None:
        picture.putalpha(_mask(frame.alpha))
    return picture


def _gif_frame(frame: Frame) -> Image.Image:
    """255 colours of its own; number 255 is the transparent one."""
    picture = to_pil(frame.picture).quantize(255, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    if frame.alpha is not None:
        palette = (picture.getpalette() or []) + [0] * 768
        picture.putpalette([*palette[:765], 255, 255, 255])
        picture.paste(255, mask=_mask(frame.alpha).point(lambda value: 255 if value < 128 else 0))
        picture.info["transparency"] = 255
    return picture


def _mask(alpha: Tensor) -> Image.Image:
    return Image.fromarray((alpha[0] * 255).round().to(torch.uint8).numpy())
