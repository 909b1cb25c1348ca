"""Train a CycleGAN for so many seconds of work, in as many sittings as it takes."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.unpaired.cycle_gan import CycleGan
from fastnst.data.photos import PhotoDataset
from fastnst.errors import InputError
from fastnst.untrusted import Untrusted, load_plain
from fastnst.writing import written_whole

LOAD = 286 / 256
"""Pictures are enlarged by this before a square is cut out of them: 286 and 256 pixels in the released code."""
SAVE_EVERY = 60.0
"""Seconds between saves."""
POINTS = 100
"""Of the curve of a whole training."""


class Account(NamedTuple):
    """What a training has come to.

    Attributes:
        seconds: of work between the first step and the last, saves included, by :func:`clock`.
        steps: pictures of each kind that were learnt from.
        curve: of each loss its means over about a hundredth of the time each.
    """

    seconds: float
    steps: int
    curve: dict[str, list[float]]


def clock(device: torch.device) -> float:
    """Seconds that this process has worked: of the processor, over all threads, or of the wall clock beside a GPU.

    What else a machine does takes nothing from the former.
    """
    return time.process_time() if device.type == "cpu" else time.monotonic()


def crops(paths: Sequence[Path], crop: int, size: int, seed: int) -> PhotoDataset:
    """Squares of ``crop`` pixels out of pictures whose shorter side is ``size`` to ``size`` * :data:`LOAD`."""
    return PhotoDataset(paths, crop, seed, scale=(size / crop, LOAD * size / crop))


def rate(part: float) -> float:
    """Of the learning rate: all of it in the first half of the time, then down to 0 in a line (section 7.1)."""
    return min(1.0, 2.0 * (1.0 - part))


def train(gan: CycleGan, photos: PhotoDataset, paintings: PhotoDataset, seconds: float, file: Path) -> Account:
    """Train until ``seconds`` are spent, from where ``file`` stands; a finished one is only read.

    Args:
        gan: fresh, on the device where to train.
        photos, paintings: numbered without end.
        seconds: of all sittings together.
        file: where the training is kept; of the same settings, or not there.

    Raises:
        InputError: ``file`` cannot be read or written.
        KeyboardInterrupt: somebody stopped it; it is saved.
    """
    account = _resume(gan, file)
    device = next(gan.parameters()).device
    begin = clock(device) - account.seconds
    saved, sums, count = account.seconds, dict.fromkeys(account.curve, 0.0), 0
    with tqdm(
        total=round(seconds), initial=round(account.seconds), desc="CycleGAN", unit="s", dynamic_ncols=True
    ) as bar:
        try:
            while account.seconds < seconds:
                pair = [_picture(of, account.steps, device) for of in (photos, paintings)]
                losses = gan.step(pair[0], pair[1], rate(account.seconds / seconds))
                sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
                count += 1
                curve, spent = account.curve, clock(device) - begin
                if spent >= seconds * (len(next(iter(curve.values()), ())) + 1) / POINTS:
                    curve = {name: [*curve.get(name, []), value / count] for name, value in sums.items()}
                    sums, count = {}, 0
                account = Account(spent, account.steps + 1, curve)
                bar.update(min(round(spent), bar.total) - bar.n)
                bar.set_postfix({"steps": account.steps, **{name: f"{value:.2f}" for name, value in losses.items()}})
                if spent - saved >= SAVE_EVERY:
                    _save(gan, account, file)
                    saved = account.seconds
        finally:
            if account.seconds > saved:
                _save(gan, account, file)
    return account


def _picture(data: PhotoDataset, number: int, device: torch.device) -> Tensor:
    return data[number]["image"][None].to(device)


def _save(gan: CycleGan, account: Account, file: Path) -> None:
    whole = io.BytesIO()
    torch.save({"account": account._asdict(), **gan.progress()}, whole)
    with written_whole(file) as beside:
        beside.write_bytes(whole.getbuffer())


def _resume(gan: CycleGan, file: Path) -> Account:
    if not file.exists():
        return Account(0.0, 0, {})
    try:
        kept: dict[str, Any] = load_plain(file)
        gan.go_on(kept)
        return Account(**kept["account"])
    except (OSError, Untrusted, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{file} holds no training that can go on ({reason}): move it away, or give another --keep."
        ) from None
