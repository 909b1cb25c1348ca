"""The content of a model file as safetensors: tensors, and the card as text in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from fastnst.errors import InputError
from fastnst.untrusted import LARGEST_CARD, Untrusted

SAFETENSORS = ".safetensors"


def as_safetensors(content: dict[str, Any]) -> bytes:
    """A file of ``format``, ``version``, ``card``, ``weights`` and ``thumbnail`` (or None)."""
    tensors = dict(content["weights"])
    if content["thumbnail"] is not None:
        tensors["thumbnail"] = content["thumbnail"].contiguous()
    metadata = {name: str(content[name]) for name in ("format", "version")}
    return save(tensors, {**metadata, "card": json.dumps(content["card"])})


def read_safetensors(path: Path, format: str, kind: str = "model") -> dict[str, Any]:
    """The same content, weights in float32; of a file that is not of this format its weights alone.

    Args:
        kind: of file, for messages.

    Raises:
        InputError: it is damaged.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            metadata = file.metadata() or {}
        if metadata.get("format") != format:
            return weights
        thumbnail = weights.pop("thumbnail", None)
        if len(metadata["card"]) > LARGEST_CARD:
            raise Untrusted(f"its card has more than {LARGEST_CARD:,} characters")
        card = json.loads(metadata["card"])
        weights = {name: value.float() for name, value in weights.items()}
        return {
            "format": format, "version": int(metadata["version"]), "card": card, "weights": weights,
            "thumbnail": thumbnail,
        }  # fmt: skip
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is damaged or not a {kind} file ({reason}): export or train it again.") from None
