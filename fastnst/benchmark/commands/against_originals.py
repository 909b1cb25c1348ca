"""How near enlarged pictures come to their originals: PSNR, SSIM, and a distance of features that no loss here uses.

Originals are cut to a multiple of the factor and reduced by antialiased bicubic interpolation, as those of Set5, Set14
and their like are; beside the networks stands bicubic enlargement.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.report.tables import table
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.features.fidelity import FidelityMeter
from fastnst.images.grids import labelled_grid
from fastnst.images.low_resolution.degrading import reduce, whole_multiple
from fastnst.images.low_resolution.quality import quality
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize
from fastnst.images.saving import save_image
from fastnst.models.model_file import find_model
from fastnst.stylization.enlarger import Enlarger

BICUBIC = "bicubic"
SHOWN = 200  # pixels of the sheet's cut-outs


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py enlarge``: print the figures of every picture and the means; the same, and a sheet of cut-outs."""
    enlargers = {Path(name).stem: Enlarger(find_model(name), device) for name in options.models}
    if len(enlargers) < len(options.models):
        raise InputError("--models: two have the same name; rename one.")
    factors = {one.factor for one in enlargers.values()}
    if len(factors) > 1:
        raise InputError(f"--models enlarge by {', '.join(map(str, sorted(factors)))}: give those of one factor.")
    (factor,) = factors
    photos = sample_photos() if options.photos is None else folder_photos(options.photos)
    meter, rows, shown, seconds = FidelityMeter(device), [], [], dict.fromkeys(enlargers, 0.0)
    for path in tqdm(photos[: options.count], desc="Pictures", dynamic_ncols=True):
        original = whole_multiple(read_image(path), factor)
        low = reduce(original[None], factor)[0]
        results = {BICUBIC: resize(low, *original.shape[-2:])}
        for name, enlarge in enlargers.items():
            started = time.perf_counter()
            results[name] = enlarge(low)
            seconds[name] += time.perf_counter() - started
        described = meter.describe(original)
        for by, picture in results.items():
            figures = quality(picture[None], original[None], factor)
            kept = meter.compare(meter.describe(picture), described, described).content
            rows.append(
                {"picture": path.stem, "by": by, **figures, "distance": 1 - kept, "pixels": original[0].numel()}
            )
        top, left = ((side - min(side, SHOWN)) // 2 for side in original.shape[-2:])
        cells = [*results.values(), original]
        shown.append([one[:, top : top + SHOWN, left : left + SHOWN] for one in cells])
    means = summary(rows, seconds)
    lines = [[row["picture"], row["by"], *decimals(row)] for row in [*rows, *means]]
    print(table([["picture", "by", "PSNR", "SSIM", "distance"], *lines]))
    print("PSNR in dB and SSIM of the luminance, without the border; distance: 0 is the original, see the docs.")
    for row in means[1:]:
        print(
            f"{row['by']}: {row['distance_ratio']:.2f} of bicubic's distance, {row['megapixels_per_second']:.1f} MP/s."
        )
    sheet = labelled_grid(shown, [*results, "original"], [path.stem for path in photos[: options.count]], 2 * SHOWN)
    if options.sheet is not None:
        save_image(sheet, options.sheet, overwrite=options.overwrite)
        print(f"Sheet: {options.sheet}")
    return {"factor": factor, "summary": means, "pictures": rows}, sheet


def decimals(row: dict[str, Any]) -> list[str]:
    return [f"{row['psnr']:.2f}", f"{row['ssim']:.4f}", f"{row['distance']:.3f}"]


def summary(rows: list[dict[str, Any]], seconds: dict[str, float]) -> list[dict[str, Any]]:
    """Means over the pictures of each maker, bicubic first; its distance is what the others are measured by."""
    means: list[dict[str, Any]] = []
    for by in dict.fromkeys(row["by"] for row in rows):
        own = [row for row in rows if row["by"] == by]
        mean = {name: statistics.fmean(row[name] for row in own) for name in ("psnr", "ssim", "distance")}
        means.append({"picture": "mean", "by": by, **mean, "distance_ratio": mean["distance"]})
        if by in seconds:
            pixels = sum(row["pixels"] for row in own)
            means[-1]["megapixels_per_second"] = pixels / 1e6 / max(seconds[by], 1e-9)
    for row in means:
        row["distance_ratio"] /= means[0]["distance"]
    return means
