"""From frame to frame: stylize, steady, measure."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from fastnst.stylization.controls import Controls
from fastnst.stylization.enlarger import Enlarger
from fastnst.stylization.moving.optical_flow import Flow
from fastnst.stylization.moving.passage import Passage
from fastnst.stylization.moving.steadiness import Flicker, Steady
from fastnst.stylization.stylizer import Stylizer


@dataclass
class Painter:
    """From a frame to the frame that is shown; called in their order.

    Attributes:
        stylizer: paints or enlarges each by itself.
        controls: for each of them.
        steady: blends it with the one before; None: no.
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
        self.flow = Flow() if self.steady or self.flicker else None
        self.painted = 0

    def __call__(self, picture: Tensor) -> Tensor:
        """(3, H, W) in [0, 1] to the same, of the size that the controls ask for."""
        source = self.controls.reduce(picture)
        if self.passage is not None and isinstance(self.stylizer, Stylizer):
            self.stylizer.set_shares(self.passage.shares(self.painted))
        self.painted += 1
        result = self.stylizer(source, self.controls)
        motion = self.flow(source) if self.flow else None
        if self.steady is not None:
            result = self.steady(result, motion)
        if self.flicker is not None:
            self.flicker.add(source, result, motion)
        return result
