"""How soon a recipe reaches a given picture quality, against the algorithm of pytorch/examples, in one run.

Quality is the paper's objective (loss=johnson2016) on held-out photographs at 256x256; time is wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a source tree that is not installed, too

from fastnst.errors import InputError, input_errors_end_with_code_2

JOHNSON2016_STYLE_LAYERS = {"relu1_2": 64**-2, "relu2_2": 128**-2, "relu3_3": 256**-2, "relu4_3": 512**-2}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of photographs for both (default: the samples)")
    parser.add_argument("--style", default="mosaic", help="one of the shipped styles")
    parser.add_argument("--experiment", default="quick", help="our recipe, a file in configs/experiment/")
    parser.add_argument("--peer-minutes", type=float, default=20.0, help="how long the peer trains")
    parser.add_argument("--override", action="append", default=[], help="more settings for our training, KEY=VALUE")
    parser.add_argument("--json", type=Path, help="write both curves here")
    parser.add_argument("--overwrite", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if options.json is not None and options.json.exists() and not options.overwrite:
        raise InputError(f"--json {options.json} exists: give another name or --overwrite.")
    if not options.peer_minutes > 0:
        raise InputError(f"--peer-minutes {options.peer_minutes}: expected more than 0.")

    from fastnst.data.datamodule import PhotoDataModule
    from fastnst.features import VGG, load_vgg_weights
    from fastnst.losses import PerceptualLoss
    from fastnst.styles import picture_path
    from fastnst.training.learning_curve import first_reaching, our_curve, peer_curve
    from fastnst.training.run import read_style

    source = "samples" if options.photos is None else "folder"
    root = None if options.photos is None else str(options.photos)
    data = PhotoDataModule(source, root, image_size=256, batch_size=4, steps=1_000_000)
    data.setup()
    batches: Any = data.val_dataloader()
    contents = [image for batch in batches for image in batch["images"]][:8]
    style = read_style(picture_path(options.style), 512)
    vgg = VGG(list(JOHNSON2016_STYLE_LAYERS), load_vgg_weights())
    loss = PerceptualLoss(
        vgg, style[None], {"relu2_2": 1.0}, JOHNSON2016_STYLE_LAYERS,
        content_weight=1.0, style_weight=5.0, tv_weight=1e-6, normalized=False, tv_range=255.0,
    )  # fmt: skip
    command = [
        sys.executable, str(Path(__file__).with_name("train.py")), f"style={options.style}", "style.size=512",
        f"experiment={options.experiment}", f"data={source}", "save_every=50", *options.override,
    ]  # fmt: skip
    ours = our_curve([*command, *([f"data.root={root}"] if root else [])], loss, contents)
    peer = peer_curve(data, loss, contents, 60 * options.peer_minutes, every=6 * options.peer_minutes)
    for name, points in (("fastnst", ours), ("pytorch/examples", peer)):
        print(f"\n{name}\n{'seconds':>9} {'steps':>6} {'objective':>10}")
        for point in points[:: max(1, len(points) // 20)]:
            print(f"{point.seconds:9.1f} {point.steps:6d} {point.objective:10.3g}")
    reached = min(peer, key=lambda point: point.objective)
    when = first_reaching(ours, reached.objective)
    best = f"the peer's best, {reached.objective:.3g} after {reached.seconds:.0f} s"
    print(
        f"\n{best}, is ours after {when:.0f} s: {reached.seconds / when:.1f} times sooner."
        if when
        else f"\nNot reached: {best}."
    )
    if options.json is not None:
        result = {"held_out": len(contents), "command": command[2:], "fastnst": ours, "pytorch/examples": peer}
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    with input_errors_end_with_code_2():
        main()
