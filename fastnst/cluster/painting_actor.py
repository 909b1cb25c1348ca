"""The worker that Ray starts for each group of cores or each GPU: it holds the networks and paints batches."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from fastnst import __version__
from fastnst.cluster.manifest import RUN, SCHEMA, Account, Row, key
from fastnst.cluster.packing import keep_files, keep_part
from fastnst.cluster.same_version import require_version
from fastnst.cluster.tree import NotThere, Tree
from fastnst.data.shards import Store
from fastnst.errors import InputError, one_line, reason
from fastnst.images.reading import MAX_PIXELS
from fastnst.models.model_file import Model
from fastnst.stylization import Controls, Stylizer
from fastnst.stylization.files.many_files import stylize_files
from fastnst.stylization.files.one_file import Done, Handling
from fastnst.stylization.files.plan import ending_for
from fastnst.stylization.files.together import stylize_together

DOWNLOADS = 8
"""Pictures that are on their way from an object store at once."""
DEATHS = 2
"""A picture at which so many workers died is given up: they would die of it for ever."""


@dataclass(frozen=True)
class Painting:
    """What every worker needs to know.

    Attributes:
        models: by name, those that are mixed into a picture.
        controls: how pictures are painted.
        handling: how files are read and written.
        mix: the share of each model, where several are mixed.
        device: where to run; None: a GPU if there is one.
        tile, engine: as of :class:`~fastnst.stylization.stylizer.Stylizer`.
        form: of stills, an extension with its dot; None: PNG.
        kind: one of :data:`~fastnst.cluster.packing.KINDS`.
        target: where results go.
        overwrite: begin anew, whatever lies there.
        version: of fastnst where the run was started.
    """

    models: dict[str, list[Model]]
    controls: Controls
    handling: Handling
    mix: list[float] | None
    device: str | None
    tile: int | None
    engine: str
    form: str | None
    kind: str
    target: Tree
    overwrite: bool = False
    version: str = __version__


class PaintingActor:
    """Paints batches. One that was painted before its worker or node died is not painted again.

    Attributes:
        together: paint pictures of one size together on the CPU, too, as on a GPU.
    """

    together = False

    def __init__(self, painting: Painting) -> None:
        self.node = platform.node()
        self.painting, self.account = painting, Account(painting.target)
        self.stylizers: dict[str, Stylizer] = {}
        if painting.handling.max_pixels > MAX_PIXELS:
            Image.MAX_IMAGE_PIXELS = painting.handling.max_pixels
        warnings.filterwarnings("ignore", module="PIL")

    def get_ready(self) -> None:
        """See that this node can paint; not at the start, where Ray would only say that an actor has died.

        Raises:
            InputError: it has another version of fastnst, or no such device.
        """
        painting = self.painting
        require_version(painting.version, self.node)
        try:
            self.stylizers = self.stylizers or {
                name: Stylizer(models, painting.device, mix=painting.mix, tile=painting.tile, engine=painting.engine)
                for name, models in painting.models.items()
            }
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"--device {painting.device} on node {self.node}: {one_line(error)}") from None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """From tasks (:func:`~fastnst.cluster.paint_many.tasks_of`) to the rows of the manifest.

        Raises:
            InputError: this node cannot paint, or the target cannot be written.
        """
        self.get_ready()
        tasks = batch.to_pylist()
        name = batch_name(tasks)
        rows = self.account.read(f"{RUN}/rows-{name}.parquet")
        if rows is None:
            with tempfile.TemporaryDirectory(prefix="fastnst-") as folder:
                rows = self._paint(tasks, name, Path(folder))
            self.account.write(f"{RUN}/rows-{name}.parquet", rows)
        return pa.Table.from_pylist(rows, SCHEMA)

    def _paint(self, tasks: list[Row], batch: str, folder: Path) -> list[Row]:
        files = fetch(tasks, folder / "in")
        direct = self.painting.kind == "files" and not self.painting.target.remote
        out = Path(self.painting.target.root) if direct else folder / "out"
        rows = [
            {**dict.fromkeys(SCHEMA.names), "source": task["source"], "model": task["model"], "node": self.node}
            for task in tasks
        ]
        for task, row in zip(tasks, rows, strict=True):
            file = files[row["source"]]
            if isinstance(file, InputError):
                row["error"] = str(file)
            else:
                row["output"] = f"{task['name']}{ending_for(file, self.painting.form)}"
        there = {row["output"] for row in rows if direct and row["output"] and (out / row["output"]).exists()}
        deaths = Deaths(self.account, batch, there)
        for row in rows:
            if deaths.of(row) >= DEATHS:
                told = f"{DEATHS} workers died while they painted it; is it too large for their memory?"
                row.update(output=None, error=told)
        whole = there - deaths.before
        for model, stylizer in self.stylizers.items():
            mine = [row for row in rows if (row["model"], row["error"]) == (model, None) and row["output"] not in whole]
            work = [(Path(files[row["source"]]), out / row["output"]) for row in mine]  # type: ignore[arg-type]
            self._paint_files(stylizer, work, mine, deaths)
        kept = [row for row in rows if row["error"] is None]
        if self.painting.kind == "files":
            if not direct:
                keep_files(out, kept, self.painting.target)
        elif kept:
            keep_part(out, kept, self.painting.target, self.painting.kind, batch)
        return rows

    def _paint_files(self, stylizer: Stylizer, work: list[tuple[Path, Path]], rows: list[Row], deaths: Deaths) -> None:
        """Paint files that are here; their rows say what each came to. After a death, one at a time."""
        step = 1 if deaths.occurred else max(len(work), 1)
        quiet: Callable[[], Any] = lambda: nullcontext(lambda done, total: None)  # noqa: E731
        for first in range(0, len(work), step):
            part, begun = work[first : first + step], time.perf_counter()
            if deaths.occurred:
                deaths.may_come(rows[first])
            how = stylizer, self.painting.controls, self.painting.handling
            if self.together or stylizer.device.type != "cpu":
                groups = stylize_together(part, *how)
            else:
                groups = ([each] for each in enumerate(stylize_files(part, *how, quiet)))
            for group in groups:
                now = time.perf_counter()
                for place, result in group:
                    (file, output), row = part[place], rows[first + place]
                    row["seconds"] = (now - begun) / len(group)
                    problem = str(result) if isinstance(result, InputError) else result.problem
                    if problem is not None:
                        row.update(output=None, error=problem.replace(str(file), row["source"]))
                    if isinstance(result, Done) and result.problem is not None:
                        output.unlink(missing_ok=True)  # half a film
                    if isinstance(result, Done) and result.still is not None:
                        row["height"], row["width"] = result.still[1].shape[-2:]
                begun = now


class Deaths:
    """At which pictures of a batch workers have died.

    Args:
        account: where that is kept.
        batch: its name.
        there: files that lie where its results go.

    Attributes:
        occurred: whether this batch was begun before.
        before: of the files those that lay there when it was begun first; the others are results of it.
    """

    def __init__(self, account: Account, batch: str, there: set[str]) -> None:
        self.account, self.name = account, f"{RUN}/begun-{batch}.json"
        self.at: list[list[str]] = []
        self.before = there
        try:
            self.at, before = json.loads(account.target.read(self.name))
            self.before = set(before)
            self.occurred = True
        except NotThere:
            self.occurred = False
            self._note(self.at)

    def of(self, row: Row) -> int:
        return self.at.count(list(key(row)))

    def may_come(self, row: Row) -> None:
        """This picture is next."""
        self._note([*self.at, list(key(row))])

    def _note(self, at: list[list[str]]) -> None:
        self.account.write_bytes(self.name, json.dumps([at, sorted(self.before)]).encode())


def batch_name(tasks: list[Row]) -> str:
    """The same for the same pictures and models, whoever paints them, and when."""
    told = json.dumps([[task["source"], task["model"]] for task in tasks])
    return hashlib.sha256(told.encode()).hexdigest()[:20]


def fetch(tasks: list[Row], folder: Path) -> dict[str, Path | InputError]:
    """Each source as a file on this machine, or why there is none."""

    def get(numbered: tuple[int, Row]) -> Path | InputError:
        number, task = numbered
        source = task["source"]
        if task["shard"] is None and "://" not in source:
            return Path(source)
        name = source.rpartition("/")[2]
        file = folder / str(number) / name
        try:
            file.parent.mkdir(parents=True)
            if task["shard"] is None:
                Tree(source[: -len(name)]).fetch(name, file)
            else:
                file.write_bytes(Store(task["root"]).read(task["shard"], task["offset"], task["size"]))
        except OSError as error:
            return InputError(f"{source} cannot be fetched ({reason(error)}); is the temporary folder full?")
        except InputError as error:
            return error
        return file

    once = {task["source"]: (number, task) for number, task in enumerate(tasks)}
    with ThreadPoolExecutor(DOWNLOADS) as downloads:
        return dict(zip(once, downloads.map(get, once.values()), strict=True))
