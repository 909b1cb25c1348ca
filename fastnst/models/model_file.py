"""Model files: a network's weights with a card that says how they were made. Nothing in one is code."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn

from fastnst import __version__
from fastnst.errors import InputError
from fastnst.models.foreign import from_foreign
from fastnst.models.hub import FILE, SCHEME, fetch
from fastnst.models.releases import RELEASES, download
from fastnst.models.safetensors_file import SAFETENSORS, as_safetensors, read_safetensors
from fastnst.networks import AnyEnlarger, OwnNetwork, TransformerNetwork, adapted, build_network
from fastnst.places import PACKAGE, home, shipped
from fastnst.untrusted import (
    LARGEST_FILE,
    LONGEST_NAME,
    Untrusted,
    check_card,
    is_plain_name,
    load_plain,
    plain,
)
from fastnst.writing import written_whole

FORMAT = "fastnst-model"
FORMAT_VERSION = 1
SHIPPED = shipped("checkpoints")
"""Where the trained styles of this project lie."""
STYLE = ".style"
"""How the names of style files end, see :mod:`fastnst.models.style_file`."""
BASE = "base"
"""Name of the shipped model that a new painting is learnt from."""
PAINTINGS = "paintings"
"""Name of the shipped model that has all styles of the project."""
STEADY = "paintings_steady"
"""Name of the same, trained on for films."""


class Model(NamedTuple):
    """A model file's content.

    Attributes:
        network: in evaluation mode, on the CPU, float32.
        card: plain values: format version, network and its arguments, style, settings, data, steps, seconds, losses,
            versions, commit.
        thumbnail: the style picture, (3, H, W) in [0, 1], or None; of a network of S styles (S, 3, H, W).
    """

    network: TransformerNetwork
    card: dict[str, Any]
    thumbnail: Tensor | None


class EnlargingModel(NamedTuple):
    """The same of a network that enlarges: its card has a factor, and no style."""

    network: AnyEnlarger
    card: dict[str, Any]
    thumbnail: None = None


AnyModel: TypeAlias = Model | EnlargingModel


def save_model(
    path: str | os.PathLike, network: nn.Module, card: dict[str, Any], thumbnail: Tensor | None = None
) -> None:
    """Write a model file, whole or not at all.

    Kernels are kept in half precision; biases and the norms' scales, of 300 values one, in float32.

    Args:
        path: replaced if it exists; who must not replace a file asks first; what ends in ``.safetensors`` is one.
        network: its class is found again by the card's ``network`` entry, which this function writes; one of somebody's
            own class is not, see :func:`load_model`.
        card: plain values only (numbers, strings, lists, dicts).
        thumbnail: the style picture (3, H, W), or S of them, RGB in [0, 1], kept as 8-bit values.

    Raises:
        InputError: the file cannot be written.
    """
    network = network if isinstance(network, AnyEnlarger) else adapted(network)
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "card": plain(
            {
                "network": {"name": network.name, "arguments": dict(network.arguments)},
                "fastnst": __version__,
                "torch": str(torch.__version__),
                **card,
            }
        ),
        "weights": {name: _short(value.detach().float().cpu()) for name, value in network.state_dict().items()},
        "thumbnail": None if thumbnail is None else as_bytes(thumbnail),
    }
    for style in (content["card"].get("style"), *content["card"].get("styles", [])):
        if isinstance(style, dict):  # as load_model wants it
            style["name"] = plain_name(style.get("name"))
    whole = as_safetensors(content) if Path(path).suffix.lower() == SAFETENSORS else _as_checkpoint(content)
    with written_whole(path) as beside:
        beside.write_bytes(whole)


def plain_name(name: Any) -> str:
    """A name that files may have, for one of any kind."""
    if is_plain_name(name):
        return name
    return plain(str(name)).translate(dict.fromkeys(map(ord, "/\\:"), "_")).lstrip(".")[:LONGEST_NAME] or "unnamed"


def _as_checkpoint(content: dict[str, Any]) -> memoryview:
    whole = io.BytesIO()  # torch's own writer answers a full disk with an abort of its bookkeeping
    torch.save(content, whole)
    return whole.getbuffer()


def _short(weights: Tensor) -> Tensor:
    """A kernel as float16, unless that loses more than its largest value's 11 bits: to infinity or nothing.

    It does in one with values beyond 65504, where float16 ends, and in one with none of 6e-5, where its bits get fewer.
    """
    half = weights.half()
    exact = (half.float() - weights).abs().max() <= 2**-11 * weights.abs().max()
    return (half if weights.ndim == 4 and exact else weights).contiguous()


def load_model(path: str | os.PathLike, network: nn.Module | None = None) -> Model:
    """Read a model file of a style, or of many; see :func:`read_model`.

    Raises:
        InputError: it cannot be read, or it enlarges.
    """
    model = read_model(path, network)
    if isinstance(model, EnlargingModel):
        raise InputError(f"{path} paints no style, it enlarges pictures: give it to `fastnst enlarge`.")
    return model


def load_enlarger(path: str | os.PathLike) -> EnlargingModel:
    """Read a model file that enlarges; see :func:`read_model`.

    Raises:
        InputError: it cannot be read, or it paints a style.
    """
    model = read_model(path)
    if isinstance(model, Model):
        raise InputError(f"{path} enlarges nothing, it paints a style: give it to `fastnst stylize`.")
    return model


def read_model(path: str | os.PathLike, network: nn.Module | None = None) -> AnyModel:
    """Read a model file of any kind. Nothing in it is run, nothing it claims is believed (:mod:`fastnst.untrusted`).

    Besides our own files it reads what ``scripts/export.py`` writes as .safetensors, and the state dictionaries
    that :mod:`fastnst.models.foreign` recognises.

    Args:
        network: for a model whose network is a class of somebody's own, and only for such a one: an object of that
            class, which takes the weights. A file cannot name a class to import.

    Raises:
        InputError: no such file, not a model file, damaged, of a newer format, weights of another network, or made to
            do harm.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no model file {path}.")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path} has more than the {LARGEST_FILE:,} bytes that are read of a model file: train anew.")
    if path.suffix.lower() == STYLE:
        raise InputError(
            f"{path} is a style without its network: give the --model it was learnt from, and --style {path}."
        )
    if path.suffix.lower() == ".onnx":
        raise InputError(f"{path} is a model for other programs: give the model.ckpt that it was exported from.")
    content = read_safetensors(path, FORMAT) if path.suffix.lower() == SAFETENSORS else _load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        if isinstance(content, dict) and "pytorch-lightning_version" in content:
            raise InputError(f"{path} is a file to resume training from: stylize with the model.ckpt beside it.")
        if network is not None:
            raise InputError(f"{path} is no model.ckpt of fastnst: give no network, or its weights to load_state_dict.")
        return Model(*from_foreign(content, path), None)
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT_VERSION:
        raise InputError(
            f"{path} has model format {version}, this fastnst {__version__} reads up to {FORMAT_VERSION}: "
            "install a newer fastnst."
        )
    try:
        card, weights, thumbnail = content["card"], content["weights"], content["thumbnail"]
        check_card(card)
        with torch.device("meta"):  # names and shapes alone: whatever the card asks for, its weights are in the file
            made = _take_in(network, card) or build_network(card["network"]["name"], card["network"]["arguments"])
        made.load_state_dict({name: value.contiguous() for name, value in weights.items()}, assign=network is None)
        if len(card.get("styles", [])) != (made.arguments.get("styles") or 0):
            raise Untrusted(f"its card names {len(card.get('styles', []))} styles, its network has others")
        thumbnail = None if thumbnail is None else as_picture(thumbnail, made.arguments.get("styles"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} does not hold the weights of the network its card names: {reason}") from None
    made = made.float().eval().requires_grad_(False)
    return EnlargingModel(made, card) if isinstance(made, AnyEnlarger) else Model(made, card, thumbnail)


def _take_in(network: nn.Module | None, card: dict[str, Any]) -> TransformerNetwork | None:
    if network is not None and card["network"]["name"] != OwnNetwork.name:
        raise InputError("its network is one of fastnst's own: give no other.")
    return None if network is None else adapted(network)


def as_bytes(thumbnail: Tensor) -> Tensor:
    """From [0, 1] to the 8-bit values that a file holds."""
    return (thumbnail.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def as_picture(thumbnail: Tensor, styles: int | None) -> Tensor:
    """From the 8-bit values of a file to [0, 1]; (3, H, W), or of many styles (S, 3, H, W).

    Raises:
        Untrusted: it has another shape or type.
    """
    expected = (3,) if styles is None else (styles, 3)
    if thumbnail.dtype != torch.uint8 or thumbnail.shape[:-2] != expected or 0 in thumbnail.shape:
        raise Untrusted(f"its thumbnail has shape {tuple(thumbnail.shape)!s:.50} and not {(*expected, 'H', 'W')} bytes")
    return thumbnail.float() / 255


def model_folders() -> tuple[Path, ...]:
    """Where models are found by name, in this order: the user's own, the shipped ones, those kept for the user."""
    return Path("checkpoints"), SHIPPED, home() / "checkpoints"


def find_model(name: str) -> Path:
    """A model file by path, or by name in one of :func:`model_folders`, with or without ``.ckpt``, else by download.

    Also of a folder, such as that of a training, and of a repository on the Hugging Face Hub: ``hf://OWNER/NAME``.

    Raises:
        InputError: there is none, and the message lists those that are found by name; or it cannot be downloaded.
    """
    for candidate in (folder / file for folder in (Path(), *model_folders()) for file in (name, f"{name}.ckpt")):
        if candidate.is_file():
            return candidate
    if name.startswith(SCHEME):
        return fetch(name)
    if Path(name).is_dir():
        for candidate in (Path(name, file) for file in (FILE, "model.ckpt")):
            if candidate.is_file():
                return candidate
        raise InputError(f"the folder {name} holds no model: expected {FILE} or model.ckpt in it.")
    if (released := name.removesuffix(".ckpt")) in RELEASES:
        return download(released, home() / "checkpoints")
    known = {file.stem for folder in model_folders() for file in folder.glob("*.ckpt")} | RELEASES.keys()
    if PAINTINGS in known and name in (
        style["name"] for style in read_model(find_model(PAINTINGS)).card.get("styles", [])
    ):
        raise InputError(f"no model {name!r}: it is a style of {PAINTINGS!r}, give --model {PAINTINGS} --style {name}.")
    raise InputError(f"no model {name!r}: expected the path of a model file or one of {', '.join(sorted(known))}.")


def style_name(path: Path, card: dict[str, Any]) -> str:
    """What a model paints: its file's name, or where that is only ``model`` the style on its card, or ``enlarge4``."""
    if path.stem != "model":
        return path.stem
    factor = card.get("network", {}).get("arguments", {}).get("factor")  # as checked with the network
    return str((card.get("style") or {"name": path.stem})["name"]) if factor is None else f"enlarge{factor}"


def current_commit() -> str | None:
    """The commit of the source tree that is running, marked ``+changes`` where it differs from it; None outside git."""
    if not (PACKAGE.parent / ".git").exists():  # installed, perhaps inside a repository of somebody's own
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*"],
            cwd=PACKAGE, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def _load(path: Path) -> Any:
    try:
        return load_plain(path)
    except (OSError, Untrusted) as error:
        if (kind := _kind_of_picture(path)) is not None:
            raise InputError(
                f"{path} is a picture ({kind}), not a model: give it as the picture to stylize, and as the model a "
                "model.ckpt or a name."
            ) from None
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} is damaged or not a model file ({reason}): download or train it again.") from None


def _kind_of_picture(path: Path) -> str | None:
    """``"JPEG"`` and so on, told by the head of the file; None for what is no picture."""
    try:
        with Image.open(path) as picture:
            return picture.format
    except Exception:  # whatever Pillow raises, it is no picture
        return None
