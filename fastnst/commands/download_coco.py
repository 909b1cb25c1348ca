"""Download COCO's photographs (train2017: 118,287, 19.3 GB; val2017: 5,000, 0.8 GB) and unpack them.

    fastnst download_coco                    # -> data/coco/train2017, asks before it starts
    fastnst download_coco --split val2017 --yes

Run it again after an interruption: it resumes where it stopped. The photographs belong to their authors on Flickr,
under various Creative Commons licences: https://cocodataset.org/#termsofuse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tqdm import tqdm

from fastnst.command_line import ArgumentParser, called
from fastnst.data.coco import ARCHIVES, OFFICIAL_URL, download_coco
from fastnst.errors import InputError


class Bar:
    """A progress bar with the time left for each stage, one after the other."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self.bar is None or self.bar.desc != stage:
            self.close()
            # `initial`: what an earlier run has fetched must not count as speed.
            self.bar = tqdm(
                desc=stage, total=total, initial=done, unit="B", unit_scale=True, bar_format=_FORMAT, mininterval=0.5
            )
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left"


def ask(question: str) -> bool:
    """Ask on the terminal; no answer to be had (a batch job) ends with a hint."""
    try:
        return input(f"{question} [y/n] ").strip().lower() in ("y", "yes")
    except EOFError:
        raise InputError("nobody is there to answer y or n; give --yes to proceed without asking") from None


def agree_and_show(question: str) -> bool:
    """Answer with yes, and show what was agreed to."""
    print(question, "yes")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = ArgumentParser(
        prog=called("download_coco"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=sorted(ARCHIVES), default="train2017")
    parser.add_argument("--root", default="data/coco", help="gets a folder named like the split (default: %(default)s)")
    parser.add_argument("--url", default=OFFICIAL_URL, help="folder of a mirror that holds SPLIT.zip")
    parser.add_argument("--yes", action="store_true", help="do not ask before downloading")
    parser.add_argument("--keep-zip", action="store_true", help="do not delete the zip file after unpacking")
    given = parser.parse_args(arguments)

    bar = Bar()
    agree = agree_and_show if given.yes else ask
    try:
        folder = download_coco(
            ARCHIVES[given.split], given.root, url=given.url, agree=agree, progress=bar, keep_zip=given.keep_zip
        )
    except KeyboardInterrupt:
        print("\nstopped; run it again to go on where it was", file=sys.stderr)
        return 130
    finally:
        bar.close()
    print(f"{ARCHIVES[given.split].photos:,} photographs in {folder}")
    return 0
