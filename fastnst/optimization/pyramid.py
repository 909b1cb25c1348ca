"""Coarse to fine: large shapes are settled on a small picture, where they are near and cheap; details follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from fastnst.errors import InputError, require_whole
from fastnst.images.resizing import resize, resize_short_side
from fastnst.losses import Objective, PerceptualLoss
from fastnst.optimization.gatys import Callback, Result, optimize_picture


def optimize_coarse_to_fine(
    loss_at: Callable[[float], PerceptualLoss],
    content: Tensor,
    start: Tensor,
    sizes: Sequence[int],
    steps: int | Sequence[int],
    *,
    callback: Callback | None = None,
    **options: Any,
) -> Result:
    """Optimise at rising sizes, each from the enlarged result of the size before.

    Args:
        loss_at: the objective for a scale: 1.0 at the last size, 0.5 at half of it, and so on. The style picture has to
            shrink with the scale, so that strokes keep their size relative to the picture.
        content: (3, H, W) in [0, 1], at any size.
        start: (3, H, W) in [0, 1], at any size.
        sizes: shorter sides in pixels, each larger than the one before; one alone is a plain optimisation.
        steps: most iterations, of each size or one for each.
        callback: as in :func:`~fastnst.optimization.gatys.optimize_picture`; the iterations count on over the sizes,
            and the picture after the last iteration of a size comes again, enlarged, as the first of the next.
        options: of :func:`~fastnst.optimization.gatys.optimize_picture`.

    Returns:
        The best picture of the last size. Where the run was ended before (Ctrl-C, or the callback), the best picture of
        the size it had reached, enlarged to the last. The curve is that of all sizes one after another, and the
        objectives of different sizes are not comparable.

    Raises:
        InputError: sizes that do not rise, another number of steps than sizes, or as in ``optimize_picture``.
    """
    curve: list[float] = []
    for number, (size, count) in enumerate(zip(sizes, check_sizes(sizes, steps), strict=True), start=1):
        small = resize_short_side(content, size)
        done = len(curve) - (number - 1)

        def count_on(iteration: int, objective: Objective, picture: Tensor, done: int = done) -> None:
            if callback is not None:
                callback(done + iteration, objective, picture)

        result = optimize_picture(
            loss_at(size / sizes[-1]),
            small,
            resize(start, small.shape[-2], small.shape[-1]),
            count,
            callback=count_on,
            **options,
        )
        start = result.picture
        curve = curve + result.curve
        if result.stopped in ("interrupted", "callback") or number == len(sizes):
            break
    full = resize_short_side(content, sizes[-1])
    return result._replace(picture=resize(result.picture, full.shape[-2], full.shape[-1]), curve=curve)


def check_sizes(sizes: Sequence[int], steps: int | Sequence[int]) -> list[int]:
    """The number of steps for each size.

    Raises:
        InputError: sizes that do not rise, or another number of steps than sizes.
    """
    if not sizes:
        raise InputError("size=[]: expected the shorter side in pixels, or several that rise, such as [128,256].")
    for size in sizes:
        require_whole("size", size, 1)
    if list(sizes) != sorted(set(sizes)):
        raise InputError(f"size={list(sizes)}: expected sizes that rise, such as [128,256,512].")
    counts: list[Any] = list(steps) if isinstance(steps, (list, tuple)) else [steps] * len(sizes)
    if len(counts) != len(sizes):
        raise InputError(f"steps={counts} for size={list(sizes)}: give one number, or one for each size.")
    for count in counts:
        require_whole("steps", count, 1)
    return counts
