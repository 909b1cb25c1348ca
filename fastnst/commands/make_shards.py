"""Pack a folder of photographs into shards for data=webdataset, or index shards that are there already."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError, require_whole


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog=called("make_shards"), description=__doc__)
    parser.add_argument("photos", nargs="?", type=Path, help="folder of photographs, with its sub-folders")
    parser.add_argument("shards", nargs="?", type=Path, help="folder that gets the shards")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of a shard at most (default: 1000)")
    parser.add_argument(
        "--index", metavar="FOLDER_OR_URL", help="instead: index the shards in this folder or object store"
    )
    options = parser.parse_args(arguments)
    if (options.index is None) == (options.photos is None or options.shards is None):
        raise InputError("give a folder of photographs and a folder for the shards, or --index FOLDER_OR_URL alone.")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    require_whole("--megabytes", options.megabytes, 1)

    from tqdm import tqdm

    from fastnst.data.sharding import write_index, write_shards
    from fastnst.data.sources import folder_photos

    with tqdm(unit="shard" if options.index else "photo", dynamic_ncols=True, delay=0.5) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        if options.index is not None:
            count, where = write_index(options.index, progress), options.index
        else:
            photos, where = folder_photos(options.photos), options.shards
            count = len(photos)
            write_shards(photos, options.photos, options.shards, options.megabytes * 1_000_000, progress)
    print(f"{count:,} photographs; train on them with: data=webdataset data.root={where}")
    return 0
