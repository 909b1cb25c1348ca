"""Look through a folder of photographs before training on it.

    fastnst check_data path/to/photographs

Exit code 0: all fine; 1: some files are broken (training skips and counts them); 2: wrong call.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from tqdm import tqdm

from fastnst.command_line import ArgumentParser, called
from fastnst.data.findings import check_photos
from fastnst.data.sources import folder_photos

SMALL = 256  # pixels: below this, training at its usual size enlarges the photograph


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = ArgumentParser(
        prog=called("check_data"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="photographs, also in sub-folders")
    given = parser.parse_args(arguments)

    paths = folder_photos(given.folder)
    with tqdm(total=len(paths), unit="photo", mininterval=0.5) as bar:
        found = check_photos(paths, lambda done, total: bar.update())

    print(f"{len(paths):,} pictures in {given.folder}: {len(found.sizes):,} fine, {len(found.broken):,} broken")
    if found.sizes:
        shorts = sorted(min(size) for size in found.sizes)
        longs = sorted(max(size) for size in found.sizes)
        small = sum(short < SMALL for short in shorts)
        for name, sides in (("shorter", shorts), ("longer", longs)):
            print(f"{name} side: {sides[0]} to {sides[-1]} pixels, median {statistics.median(sides):g}")
        print(f"shorter side below {SMALL} pixels: {small:,}")
    for path, reason in found.broken:
        print(f"broken: {reason if str(path) in reason else f'{path}: {reason}'}")
    print(f"files that are there more than once: {sum(len(group) for group in found.duplicates):,}")
    for group in found.duplicates:
        print(f"same: {', '.join(str(path) for path in group)}")
    return 1 if found.broken else 0
