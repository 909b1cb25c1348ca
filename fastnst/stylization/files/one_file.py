"""One file into another, whether it stands still or moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fastnst.errors import InputError
from fastnst.images.numbered import is_numbered
from fastnst.images.reading import MAX_PIXELS
from fastnst.stylization.controls import Controls
from fastnst.stylization.enlarger import Enlarger
from fastnst.stylization.files.stills import Still, read_still, save_still
from fastnst.stylization.moving.animation import MAX_FRAMES
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.moving.painter import Painter
from fastnst.stylization.moving.passage import Passage, count_frames
from fastnst.stylization.moving.steady.steadiness import Flicker, Steady
from fastnst.stylization.moving.video_writer import CODECS
from fastnst.stylization.probe import ANIMATED, STILL, Probe, probe
from fastnst.stylization.stylizer import Stylizer


@dataclass(frozen=True)
class Handling:
    """How files are read and written, whatever is painted.

    Attributes:
        quality: 1 to 100, for JPEG, WebP, AVIF and videos.
        overwrite: replace files that are there already.
        max_pixels: larger pictures and frames are refused.
        compare: stills only: before and after side by side.
        start: videos only: from this second on.
        end: videos only: up to this second; None: to the end.
        temporal: what moves only: how much of a frame comes from the one before; None: nothing.
        stats: what moves only: say how much the result flickers.
        max_frames: longer animations are refused.
        passage: what moves only: the shares of the styles at the first frame, and at the last; None: they stay.
        resume: videos only: go on with one that was interrupted.
        grows: how many times as many pixels results have; what moves is refused accordingly earlier.

    Raises:
        InputError: a quality outside its range.
    """

    quality: int = 95
    overwrite: bool = False
    max_pixels: int = MAX_PIXELS
    compare: bool = False
    start: float = 0.0
    end: float | None = None
    temporal: float | None = None
    stats: bool = False
    max_frames: int = MAX_FRAMES
    passage: tuple[Mapping[str, float], Mapping[str, float]] | None = None
    resume: bool = False
    grows: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality {self.quality} is outside 1 to 100; 95 is good.")


@dataclass(frozen=True)
class Done:
    """What became of a file.

    Attributes:
        line: says it.
        problem: why it ended early; None if it did not.
        still: before and after of a still, (3, H, W) each; None of what moves.
    """

    line: str
    problem: str | None = None
    still: tuple[Tensor, Tensor] | None = None


def moves_to(found: Probe, output: Path) -> bool:
    """Whether all frames of a file go into another; of an animation a still format gets the first."""
    return found.kind != STILL and (output.suffix.lower() in {*CODECS, *ANIMATED} or is_numbered(output))


def stylize_file(
    source: Path,
    output: Path,
    stylizer: Stylizer | Enlarger,
    controls: Controls,
    handling: Handling,
    progress: Callable[[float, int | None], None] | None = None,
) -> Done:
    """Stylize a picture, an animation or a video.

    Args:
        source: the file.
        output: its format follows from the extension.
        stylizer: paints or enlarges.
        controls: how.
        handling: how files are read and written.
        progress: is told finished frames and their number, None where it is unknown; of a still the finished part of 1.

    Raises:
        InputError: the source cannot be read, or the output not be written.
        KeyboardInterrupt: passed on; a video then holds the frames done so far.
    """
    tell = progress or (lambda done, total: None)
    found = probe(source)
    if not moves_to(found, output):
        still = read_still(found, handling.max_pixels)
        stylized = stylizer(still.content, controls, lambda done: tell(done, 1))
        return finish_still(source, output, still, stylized, controls, handling)
    steady = None if handling.temporal is None else Steady(handling.temporal)
    passage = None
    if handling.passage is not None:
        passage = Passage(*handling.passage, count_frames(found, handling.start, handling.end))
    painter = Painter(stylizer, controls, steady, Flicker() if handling.stats else None, passage)
    outcome = stylize_moving(
        source, output, painter, start=handling.start, end=handling.end, quality=handling.quality,
        overwrite=handling.overwrite, resume=handling.resume,
        settings=settings_of(source, stylizer, controls, handling),
        max_pixels=handling.max_pixels // handling.grows, max_frames=handling.max_frames, progress=tell,
    )  # fmt: skip
    notes = [f"{outcome.frames} frames", *outcome.notes, *([str(painter.flicker)] if painter.flicker else [])]
    return Done(f"{source} ({', '.join(notes)}) -> {output}", outcome.problem)


def settings_of(source: Path, stylizer: Stylizer | Enlarger, controls: Controls, handling: Handling) -> dict[str, Any]:
    """Everything that a film's frames depend on, as plain values."""
    mask = None if controls.mask is None else hashlib.sha256(controls.mask.numpy().tobytes()).hexdigest()
    found = source.stat() if source.exists() else None
    return {
        "input": [source.name, *([found.st_size, found.st_mtime_ns] if found else [])],
        "model": stylizer.digest(),
        "temporal": handling.temporal,
        "passage": None if handling.passage is None else [dict(shares) for shares in handling.passage],
        **{**vars(controls), "mask": mask},
    }


def finish_still(
    source: Path, output: Path, still: Still, stylized: Tensor, controls: Controls, handling: Handling
) -> Done:
    """Save a still that was painted, and say so.

    Raises:
        InputError: the output cannot be written.
    """
    save_still(
        still, stylized, output, controls,
        quality=handling.quality, overwrite=handling.overwrite, compare=handling.compare,
    )  # fmt: skip
    height, width = still.content.shape[-2:]
    notes = [f"the first of {still.frames} frames was taken"] if still.frames > 1 else []
    return Done(f"{source} ({', '.join([f'{width}x{height}', *notes])}) -> {output}", still=(still.content, stylized))
