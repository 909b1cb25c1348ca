"""One film by many workers: each paints pieces, and the driver joins them with the sound."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from fastnst.cluster.film_pieces import Joined, PieceWriter, cut
from fastnst.cluster.inputs import real
from fastnst.cluster.manifest import RUN
from fastnst.cluster.paint_many import painted, settings_of
from fastnst.cluster.painting_actor import Painting, PaintingActor
from fastnst.cluster.session import places
from fastnst.cluster.tree import Tree
from fastnst.errors import InputError
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.moving.painter import Painter
from fastnst.stylization.moving.pipeline import stylize_video
from fastnst.stylization.moving.steady.steadiness import Steady
from fastnst.stylization.moving.video_reader import VideoReader
from fastnst.stylization.moving.video_writer import CODECS

ROWS = pa.schema([("output", pa.string()), ("frames", pa.int32())])


class FilmActor(PaintingActor):
    """Paints pieces of a film that is fetched once."""

    def __init__(self, painting: Painting) -> None:
        super().__init__(painting)
        self.folder = tempfile.TemporaryDirectory(prefix="fastnst-")

    def __call__(self, batch: pa.Table) -> pa.Table:
        """From pieces with their ``source`` and ``output`` to :data:`ROWS`, and a file in the target for each.

        Raises:
            InputError: the film cannot be read here, or the target not be written.
        """
        self.get_ready()
        (stylizer,) = self.stylizers.values()
        handling = self.painting.handling
        rows = []
        for task in batch.to_pylist():
            reader = VideoReader(
                here(task["source"], Path(self.folder.name)), task["start"] - task["lead"], task["end"]
            )
            steady = None if handling.temporal is None else Steady(handling.temporal)
            file = Path(self.folder.name, "piece.mkv")
            writer = PieceWriter(file, task["lead"])
            stylize_video(reader, writer, Painter(stylizer, self.painting.controls, steady))  # type: ignore[arg-type]
            self.painting.target.put(file, task["output"])
            rows.append({"output": task["output"], "frames": writer.frames})
        return pa.Table.from_pylist(rows, ROWS)


def paint_film(
    ray: ModuleType,
    source: str,
    name: str,
    painting: Painting,
    *,
    cores: int | None = None,
    workers: int | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Paint a film into the target, what is missing of it; equal to one machine's, unless frames are steadied.

    Args:
        ray: from :func:`~fastnst.cluster.session.session`.
        source: path or URL.
        name: of the result in the target.
        painting: how, with one model or one mixture.
        cores, workers: see :func:`~fastnst.cluster.paint_many.paint_many`.
        tell: is told how many pieces of how many are painted.

    Returns:
        What became of it, in a line.

    Raises:
        InputError: the film cannot be read, or the result not be written.
    """
    target, handling = painting.target, painting.handling
    if real(target.where(name)) == real(source):
        raise InputError(f"--output {target.where(name)} is the input itself: give another name.")
    if target.has(name) and not painting.overwrite:
        raise InputError(f"--output {target.where(name)} exists: add --overwrite to replace it, or give another name.")
    if Path(name).suffix.lower() not in CODECS:
        raise InputError(f"--output {target.where(name)}: expected one of {', '.join(CODECS)} at its end.")
    with tempfile.TemporaryDirectory(prefix="fastnst-") as temporary:
        film = here(source, Path(temporary))
        pieces = cut(film, handling.start, handling.end, handling.temporal is not None)
        changed = None if "://" in source else film.stat().st_mtime_ns  # a copy's time is its own
        told = json.dumps([settings_of(painting, False), source, film.stat().st_size, changed])
        digest = hashlib.sha256(told.encode()).hexdigest()[:20]
        names = [f"{RUN}/film-{digest}-{piece.number:06}.mkv" for piece in pieces]
        present = target.sizes(RUN)
        tasks: list[dict[str, Any]] = [
            {"source": source, "output": output, **piece._asdict()}
            for piece, output in zip(pieces, names, strict=True)
            if output not in present
        ]
        done = len(pieces) - len(tasks)
        tell(done, len(pieces))
        room, resources = places(ray, cores, painting.device)
        for rows in painted(ray, tasks, 1, painting, resources, workers, room, FilmActor):
            done += len(rows)
            tell(done, len(pieces))

        joined = Joined(pieces, fetched(names, target, Path(temporary)))
        result = Path(temporary, f"joined{Path(name).suffix}")
        outcome = stylize_moving(
            film, result, joined, start=handling.start, end=handling.end, quality=handling.quality,
            max_pixels=handling.max_pixels, max_frames=handling.max_frames,
        )  # fmt: skip
        target.put(result, name)
    target.remove(names)
    notes = [f"{outcome.frames} frames in {len(pieces)} pieces", *outcome.notes]
    if joined.seams:
        notes.append(f"the frames before seams differ by {max(joined.seams):.2f}/255 at most")
    notes += [outcome.problem] if outcome.problem is not None else []
    return f"{source} ({', '.join(notes)}) -> {target.where(name)}"


def fetched(names: list[str], target: Tree, folder: Path) -> Iterator[Path]:
    """Each file on this machine until the next is asked for."""
    for name in names:
        file = target.local(name) or folder / "piece.mkv"
        if target.remote:
            target.fetch(name, file)
        yield file


def here(source: str, folder: Path) -> Path:
    """A film on this machine; one in a store is fetched into the folder, once."""
    if "://" not in source:
        return Path(source)
    root, _, name = source.rpartition("/")
    file = folder / name
    if not file.exists():
        Tree(root).fetch(name, file)
    return file
