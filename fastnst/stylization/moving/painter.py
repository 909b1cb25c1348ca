"""From frame to frame: look where things move, stylize, steady and measure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from fastnst.stylization.controls import Controls
from fastnst.stylization.enlarger import Enlarger
from fastnst.stylization.moving.passage import Passage
from fastnst.stylization.moving.steady.optical_flow import Flow, Motion
from fastnst.stylization.moving.steady.steadiness import Flicker, Steady
from fastnst.stylization.stylizer import Stylizer


class Seen(NamedTuple):
    """A frame (3, H, W) in [0, 1], what the network sees of it, and its motion where anybody asks for it."""

    source: Tensor
    calm: Tensor
    motion: Motion | None


class Painted(NamedTuple):
    """A frame, and the stylized one."""

    seen: Seen
    stylized: Tensor


@dataclass
class Painter:
    """From a frame to the frame that is shown, in three steps which may run side by side, each called in their order.

    Attributes:
        stylizer: paints or enlarges each by itself.
        controls: for each of them.
        steady: blends it with the one before, and so what the network sees: noise that makes strokes flicker, as that
            of compressed films, is gone before it paints. None: no.
        flicker: measures the result; None: no.
        passage: takes the stylizer from style to style; None: it keeps its own.

    Raises:
        InputError: one of these is wanted, and OpenCV is missing.
    """

    stylizer: Stylizer | Enlarger
    controls: Controls = field(default_factory=Controls)
    steady: Steady | None = None
    flicker: Flicker | None = None
    passage: Passage | None = None

    def __post_init__(self) -> None:
        self.flow = Flow() if self.steady or self.flicker else None  # one for both
        self.calm = Steady(self.steady.amount) if self.steady else None
        self.calmed: Tensor | None = None
        self.painted = 0

    def begin(self, kept: int, shown: Tensor, calm: Tensor | None) -> None:
        """Go on after so many frames of an earlier run; look at the last of them first.

        Args:
            kept: how many.
            shown: that frame as it is in the film, (3, H, W).
            calm: as the network saw it; None where no frame is steadied.
        """
        self.painted = kept
        if self.steady is not None:
            self.steady.before, self.calmed = shown, calm

    def __call__(self, picture: Tensor) -> Tensor:
        """(3, H, W) in [0, 1] to the same, of the size that the controls ask for."""
        return self.finish(self.paint(self.look(picture)))

    def look(self, picture: Tensor) -> Seen:
        source = self.controls.reduce(picture)
        motion = self.flow(source) if self.flow else None
        if self.calm is None:
            return Seen(source, source, motion)
        calm = self.calm(source, motion)
        if self.calmed is not None:  # of the frame that was painted before an interruption
            self.calm.before, self.calmed = self.calmed, None
        return Seen(source, calm, motion)

    def paint(self, seen: Seen) -> Painted:
        if self.passage is not None and isinstance(self.stylizer, Stylizer):
            self.stylizer.set_shares(self.passage.shares(self.painted))
        self.painted += 1
        return Painted(seen, self.stylizer(seen.calm, self.controls))

    def finish(self, painted: Painted) -> Tensor:
        (source, _, motion), result = painted
        if self.steady is not None:
            result = self.steady(result, motion)
        if self.flicker is not None:
            self.flicker.add(source, result, motion)
        return result
