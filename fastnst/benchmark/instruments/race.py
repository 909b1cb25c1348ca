"""Contenders that take turns, size by size: seconds, memory, and ratios to one of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.instruments.worker import Worker
from fastnst.benchmark.report.plots import Line, plot
from fastnst.benchmark.report.tables import table


def race(
    contenders: Mapping[str, tuple[str, dict[str, Any]]],
    sizes: Sequence[int],
    device: torch.device,
    repeats: int,
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> list[dict[str, Any]]:
    """Run every contender in its own process, in turn, after a warm-up; the order turns by one place each round.

    Args:
        contenders: name to ``build`` and arguments of :class:`~fastnst.benchmark.instruments.worker.Worker`.
        environments: variables that some of them get.

    Returns:
        A row for each size and contender: ``size, name, seconds`` (median), ``low, high, all, cpu`` (median of the
        processor seconds over all threads: on a machine that others use, too, the fairer figure), ``peak`` bytes, and
        what the contender told of itself.
    """
    rows = []
    given = environments or {}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(build, str(device), {**arguments, "name": name}, given.get(name)))
            for name, (build, arguments) in contenders.items()
        }
        names = list(workers)
        bar = stack.enter_context(
            tqdm(total=len(sizes) * len(names) * (repeats + 2), unit="run", disable=None, leave=False)
        )
        for size in sizes:
            told, runs = {}, {name: [] for name in names}  # type: ignore[var-annotated]
            for name in names:
                told[name] = workers[name].prepare(size)
                bar.update()
            for number in range(repeats):
                first = number % len(names)
                for name in names[first:] + names[:first]:
                    runs[name].append(workers[name].run())
                    bar.update()
            for name in names:
                seconds = [one["seconds"] for one in runs[name]]
                rows.append({
                    "size": size, "name": name, "seconds": statistics.median(seconds), "low": min(seconds),
                    "high": max(seconds), "all": seconds, "cpu": statistics.median(one["cpu"] for one in runs[name]),
                    "peak": workers[name].peak(), **told[name],
                })  # fmt: skip
                bar.update()
    return rows


def race_table(rows: Sequence[Mapping[str, Any]], peers: Sequence[str], flops: Mapping[int, int]) -> str:
    """For people: seconds with spread, memory, operations per second, and how many times as fast as each peer.

    Args:
        peers: the contenders that ratios are given to, ``wall clock (processor time)``.
        flops: of the definition, by size; who gets by with fewer operations shows more of them per second.
    """
    by_name = {(row["size"], row["name"]): row for row in rows}
    lines = [
        ["size", "contender", "seconds", "spread", "cpu s", "peak MB", "GFLOP/s", *(f"x {peer}" for peer in peers)]
    ]
    for row in rows:
        ratios = []
        for peer in peers:
            other = by_name[row["size"], peer]
            by_cpu = f" ({other['cpu'] / row['cpu']:.2f})" if row["cpu"] > 0 else ""
            ratios.append(f"{other['seconds'] / row['seconds']:.2f}{by_cpu}")
        lines.append([
            str(row["size"]), row["name"], f"{row['seconds']:.4g}", f"{row['low']:.4g}-{row['high']:.4g}",
            f"{row['cpu']:.4g}", "" if row["peak"] is None else f"{row['peak'] / 1e6:.0f}",
            f"{flops[row['size']] / row['seconds'] / 1e9:.1f}", *ratios,
        ])  # fmt: skip
    return table(lines)


def race_plot(title: str, rows: Sequence[Mapping[str, Any]]) -> Tensor:
    """Seconds against size, a line for each contender."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    lines = [
        Line(name, [r["size"] for r in rows if r["name"] == name], [r["seconds"] for r in rows if r["name"] == name])
        for name in names
    ]
    return plot(title, "pixels a side", lines, log_x=True)
