"""Compare what a GPU computes with the CPU in float32: a picture, tiles, the loss, gradients, training, compiling.

    fastnst check_device

Without a GPU the CPU is compared with itself: fastnst's convolutions with torch's own. Paste what it prints into an
issue.
Exit code 0: all agree, or could not be tried; 1: something differs or failed; 2: wrong call.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError, require_whole
from fastnst.writing import require_writable, written_whole

DRIVER = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(
        prog=called("check_device"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: a GPU if there is one)")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures in pixels, 32 or more (default: 64)")
    parser.add_argument("--parts", nargs="+", metavar="PART", help="only these rows of the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here, too")
    parser.add_argument("--overwrite", action="store_true", help="replace --json where it exists")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    require_whole("--size", options.size, 32)
    if options.json is not None:
        if options.json.exists() and not options.overwrite:
            raise InputError(f"--json {options.json} exists: add --overwrite to replace it, or give another name.")
        require_writable(options.json)
    print("Comparing a device with the CPU, which takes half a minute ...", file=sys.stderr)

    import torch

    from fastnst.benchmark.report.tables import finite, table
    from fastnst.commands.device_parts import PARTS, examine
    from fastnst.hardware import choose_device

    chosen = options.parts or list(PARTS)
    if unknown := [part for part in chosen if part not in PARTS]:
        raise InputError(f"--parts {unknown[0]}: expected some of {', '.join(PARTS)}.")
    name = options.device
    if name == "auto" and not torch.cuda.is_available() and torch.backends.mps.is_available():
        name = "mps"
    device = choose_device(name)
    machine = describe_fully(device)
    for what, value in machine.items():
        print(f"{what}: {value}")
    rows = {}
    with tqdm(chosen, unit="part", leave=False) as bar:
        for part in bar:
            bar.set_postfix_str(part)
            rows[part] = examine(PARTS[part], device, options.size)
    heads = ["", "difference", "allowed", "s on the CPU", f"s on {device}", ""]
    cells = [
        [part, number(one.difference, "{:.1e}"), f"{PARTS[part].allowed:.0e}", number(one.seconds_on_cpu, "{:.2f}"),
         number(one.seconds, "{:.2f}"), one.verdict]
        for part, one in rows.items()
    ]  # fmt: skip
    print(f"\n{table([heads, *cells])}")
    for part, one in rows.items():
        if one.reason:
            print(f"{part}: {one.verdict}: {one.reason}")
    bad = [part for part, one in rows.items() if one.verdict not in ("agrees", "left out")]
    print(f"\n{', '.join(bad)}: not as on the CPU." if bad else "\nAll that could be tried agrees with the CPU.")
    if options.json is not None:
        answer = {
            "machine": machine,
            "size": options.size,
            "parts": {part: one._asdict() for part, one in rows.items()},
        }
        with written_whole(options.json) as beside:
            beside.write_text(json.dumps(finite(answer), indent=2) + "\n", encoding="utf-8")
    return 1 if bad else 0


def describe_fully(device: Any) -> dict[str, Any]:
    """The machine as benchmarks describe it, and what of drivers and settings a GPU's answer depends on."""
    import torch

    from fastnst.benchmark.instruments.machine import describe
    from fastnst.hardware import computes_in_bfloat16

    machine = describe(device)
    machine["versions"] = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    machine |= {"cores": os.cpu_count(), "bfloat16": "computed" if computes_in_bfloat16(device.type) else "emulated"}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine["compute capability"] = f"{properties.major}.{properties.minor}"
        machine["memory, GB"] = round(properties.total_memory / 1e9, 1)
        machine |= {"driver": driver(), "cudnn": torch.backends.cudnn.version()}
    return machine


def driver() -> str:
    """NVIDIA's driver, as its own tool tells it."""
    if (tool := shutil.which(DRIVER[0])) is None:
        return "unknown: there is no nvidia-smi"
    try:
        told = subprocess.run([tool, *DRIVER[1:]], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {type(error).__name__}"
    return " ".join(told.split())


def number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
