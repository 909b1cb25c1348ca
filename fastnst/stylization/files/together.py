"""Many files at once: pictures of one size go through the network together, which GPUs are quick at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastnst.errors import InputError
from fastnst.stylization.controls import Controls
from fastnst.stylization.files.many_files import AHEAD_PIXELS, attempt, read_ahead
from fastnst.stylization.files.one_file import Done, Handling, finish_still, stylize_file
from fastnst.stylization.files.stills import Still
from fastnst.stylization.probe import probe
from fastnst.stylization.stylizer import Stylizer

THREADS = 8
"""Files that are read, and results that are saved, at once."""


def stylize_together(
    work: Sequence[tuple[Path, Path]], stylizer: Stylizer, controls: Controls, handling: Handling
) -> Iterator[list[tuple[int, Done | InputError]]]:
    """What :func:`~fastnst.stylization.files.many_files.stylize_files` does, in another order.

    What moves, and what is larger than :data:`~fastnst.stylization.files.many_files.AHEAD_PIXELS`, is done alone.

    Args:
        work: each file and where its result goes.
        stylizer: paints.
        controls: how.
        handling: how files are read and written.

    Yields:
        Of files that were painted together the place in ``work`` and what was done, or the error that kept it from
        being done; each file once.
    """

    def read(place: int) -> Still | InputError | None:
        still = attempt(read_ahead, *work[place], handling)
        if not isinstance(still, Still):
            return still
        reduced = attempt(controls.reduce, still.content)
        return reduced if isinstance(reduced, InputError) else still._replace(content=reduced)

    def save(place: int, still: Still, stylized: object) -> Done | InputError:
        return attempt(finish_still, *work[place], still, stylized, controls, handling)

    with ThreadPoolExecutor(THREADS) as pool:
        for places in portions([source for source, _ in work]):
            sizes: dict[tuple[int, ...], dict[int, Still]] = defaultdict(dict)
            for place, still in zip(places, pool.map(read, places), strict=True):
                if isinstance(still, Still):
                    sizes[still.content.shape][place] = still
                elif still is None:
                    yield [(place, attempt(stylize_file, *work[place], stylizer, controls, handling))]
                else:
                    yield [(place, still)]
            while sizes:
                _, stills = sizes.popitem()
                painted = attempt(stylizer.together, [still.content for still in stills.values()], controls)
                if isinstance(painted, InputError):
                    yield [(place, painted) for place in stills]
                else:
                    yield list(zip(stills, pool.map(save, stills, stills.values(), painted), strict=True))


def portions(sources: Sequence[Path]) -> Iterator[list[int]]:
    """Places of the files that are held in memory at a time: pictures of AHEAD_PIXELS in all, or one."""
    places: list[int] = []
    held = 0
    for place, source in enumerate(sources):
        width, height = probe(source).size
        held += width * height
        if places and held > AHEAD_PIXELS:
            yield places
            places, held = [], width * height
        places.append(place)
    if places:
        yield places
