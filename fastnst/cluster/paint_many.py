"""A run: what is missing in the target, in batches through Ray Data, row by row into the account."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from fastnst.cluster.inputs import Picture, shared_stems
from fastnst.cluster.manifest import Account, Row, key
from fastnst.cluster.painting_actor import Painting, PaintingActor
from fastnst.cluster.session import hushed, own_error, places
from fastnst.errors import InputError
from fastnst.stylization.digest import digest

BATCH = 32
"""Pictures in a batch at most; what a killed worker has to do again, and after which it tells."""
ROUNDS = 4
"""Batches that each worker gets at least, if there are pictures enough, so that all end at about the same time."""


class Summary(NamedTuple):
    """How a run ended: pictures painted by it, failed, and painted before it."""

    painted: int
    failed: int
    before: int


def paint_many(
    ray: ModuleType,
    pictures: list[Picture],
    painting: Painting,
    *,
    once: bool = False,
    cores: int | None = None,
    workers: int | None = None,
    batch: int | None = None,
    tell: Callable[[list[Row], int], None] = lambda rows, total: None,
) -> Summary:
    """Paint what the target lacks.

    Args:
        ray: from :func:`~fastnst.cluster.session.session`.
        pictures: from :func:`~fastnst.cluster.inputs.list_pictures`.
        painting: how.
        once: each picture in one of the models, chosen by its name; else in all.
        cores: for a worker; None: see :func:`~fastnst.cluster.session.places`.
        workers: at most; None: as many as the cluster has room for, also when it grows.
        batch: pictures that a worker gets at once; None: :data:`BATCH`, fewer where there are few.
        tell: is told new rows, and how many there will be in all.

    Raises:
        InputError: the target cannot be written, or holds something else, or another picture's result.
    """
    room, resources = places(ray, cores, painting.device)
    account = Account(painting.target)
    done = {key(row): row for row in account.begin(settings_of(painting, once), painting.overwrite)}
    before = len(done)
    tasks = [
        task for task in tasks_of(pictures, list(painting.models), once) if (task["source"], task["model"]) not in done
    ]
    taken = {os.path.splitext(row["output"])[0]: row["source"] for row in done.values()}
    for task in tasks:
        if (other := taken.get(task["name"])) is not None:
            raise InputError(
                f"{task['source']} would go where {other} went: give another --output, or --overwrite to paint anew."
            )
    size = batch or max(1, min(BATCH, len(tasks) // (ROUNDS * (workers or room))))
    failed = 0
    for rows in painted(ray, tasks, size, painting, resources, workers, room):
        for row in rows:
            failed += row["error"] is not None and key(row) not in done
            done.setdefault(key(row), row)
        tell(rows, len(tasks))
    account.finish(done.values())
    return Summary(len(done) - before - failed, failed, before)


def tasks_of(pictures: list[Picture], models: list[str], once: bool) -> Iterator[Row]:
    """A task for each picture and model, in the order of the pictures.

    ``source``, ``name`` (below the target, without an extension), ``model``; and of a picture in a shard the shard's
    folder ``root``, its file ``shard``, ``offset`` and ``size`` in bytes.
    """
    shared = shared_stems(pictures)
    taken: set[str] = set()
    for picture in pictures:
        stem = os.path.splitext(picture.name)[0]
        name = picture.name if stem in shared else stem
        root, shard = picture.shard or (None, None)
        while name in taken:
            name += "_"
        taken.add(name)
        mine = [models[chosen(picture.name, len(models))]] if once else models
        for model in mine:
            yield {
                "source": picture.source, "name": name if len(models) == 1 or once else f"{model}/{name}",
                "model": model, "root": root, "shard": shard, "offset": picture.offset, "size": picture.size,
            }  # fmt: skip


def chosen(name: str, count: int) -> int:
    """One of so many, always the same for a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % count


def painted(
    ray: ModuleType,
    tasks: list[Row],
    size: int,
    painting: Painting,
    resources: dict[str, float],
    workers: int | None,
    room: int,
    actor: type = PaintingActor,
) -> Iterator[list[Row]]:
    """The rows of each batch, as it is done. Ray Data hands out, and hands out again what was lost.

    Raises:
        InputError: a worker has refused to work.
    """
    if not tasks:
        return
    batches = math.ceil(len(tasks) / size)
    least = min(room, workers or room, batches)
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=least, max_tasks_in_flight_per_actor=2)
    data = ray.data.from_items(tasks, override_num_blocks=batches).map_batches(
        actor,
        fn_constructor_args=(painting,),
        batch_size=None,
        batch_format="pyarrow",
        compute=pool,
        **resources,
    )
    try:
        with hushed():
            tables = iter(data.iter_batches(batch_size=None, batch_format="pyarrow"))
            table = next(tables, None)
        while table is not None:
            yield table.to_pylist()
            table = next(tables, None)
    except Exception as error:
        if (own := own_error(error)) is not None:
            raise own from None
        raise


def settings_of(painting: Painting, once: bool) -> dict[str, Any]:
    """What makes the pictures what they are, in plain values."""
    controls, handling = painting.controls, painting.handling
    mask = None if controls.mask is None else hashlib.sha256(controls.mask.numpy().tobytes()).hexdigest()
    return {
        "model": {name: digest(model.network for model in models) for name, models in painting.models.items()},
        "mix": painting.mix, "choice of models": once, "kind": painting.kind, "format": painting.form,
        "strength": controls.strength, "colors": controls.colors, "detail": controls.detail, "mask": mask,
        "stroke scale": controls.stroke_scale, "longest side": controls.max_side, "quality": handling.quality,
        "comparison": handling.compare, "start": handling.start, "end": handling.end, "temporal": handling.temporal,
    }  # fmt: skip
