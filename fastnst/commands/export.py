"""Write a model as ONNX, TorchScript or safetensors, or as a web page that needs no server but a file server."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastnst.command_line import ArgumentParser, called
from fastnst.errors import InputError
from fastnst.models.model_file import Model, find_model, load_model, read_model, style_name
from fastnst.models.style_file import pick_by_text

ENDINGS = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors", "web": "_web"}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog=called("export"), description=__doc__)
    parser.add_argument("--model", required=True, help="a model file, or the name of one in checkpoints/")
    parser.add_argument(
        "--style", help="of a model with many: a name, or shares such as candy=0.6,ink=0.4 (default: all)"
    )
    parser.add_argument("--format", required=True, choices=list(ENDINGS), help="what to write")
    parser.add_argument("--output", type=Path, help="file, or folder for web (default: exported/NAME and the ending)")
    parser.add_argument("--half", action="store_true", help="weights as 16-bit numbers: half the size")
    parser.add_argument("--quantize", action="store_true", help="weights as 8-bit numbers: a quarter (onnx, web)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")
    parser.add_argument("--runtime", type=Path, help="web: folder or .tgz of the npm package onnxruntime-web")
    options = parser.parse_args(arguments)
    if options.half and options.quantize:
        raise InputError("--half and --quantize: give one of them.")
    if options.half and options.format == "torchscript":
        raise InputError("--half: TorchScript files keep full precision; export to onnx or safetensors.")
    if options.quantize and options.format not in ("onnx", "web"):
        raise InputError(f"--quantize: {options.format} files keep no 8-bit weights; export to onnx or web.")
    if options.runtime is not None and options.format != "web":
        raise InputError(f"--runtime is for --format web, not for {options.format}.")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    path = find_model(options.model)
    model = read_model(path) if options.style is None else load_model(path)
    name = style_name(path, model.card)
    if options.style is not None:
        assert isinstance(model, Model)
        model = pick_by_text(model, options.style)
        name = model.card["style"]["name"]
    output = options.output or Path("exported") / f"{name}{ENDINGS[options.format]}"
    if options.format != "web" and output.suffix != ENDINGS[options.format]:
        raise InputError(f"--output {output}: expected {ENDINGS[options.format]} at its end.")
    precision = "half" if options.half else "int8" if options.quantize else "float"

    from fastnst.export import export_onnx, export_safetensors, export_torchscript, export_web

    if options.format == "onnx":
        difference = export_onnx(model, output, precision, options.overwrite)
    elif options.format == "safetensors":
        difference = export_safetensors(model, output, options.half, options.overwrite)
    elif options.format == "torchscript":
        difference = export_torchscript(model, output, options.overwrite)
    else:
        difference = export_web(model, output, name, precision, options.runtime, options.overwrite)
    files = [output] if output.is_file() else [file for file in output.rglob("*") if file.is_file()]
    print(f"Difference to PyTorch at three sizes: at most {difference.largest:.1e}, on average {difference.mean:.1e}")
    print(f"Written: {output} ({sum(file.stat().st_size for file in files) / 1e6:.1f} MB)")
    if options.format == "web":
        print(f"To see it: python -m http.server --bind 127.0.0.1 --directory {output}")
    return 0
