"""L-BFGS curves kept in a file: they do not depend on the network, so several can be measured against the same ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from torch import Tensor

from fastnst.errors import InputError
from fastnst.losses import PerceptualLoss
from fastnst.writing import written_whole


class Curves:
    """The lowest objective after 0, 1, 2, ... iterations, by picture, start and objective.

    Args:
        path: JSON file, written after each new curve; None keeps them in memory alone.

    Raises:
        InputError: the file is not one of ours.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, list[float]] = {}
        if path is not None and path.exists():
            try:
                self.known = json.loads(path.read_text(encoding="utf-8"))["curves"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"--keep {path} holds no curves of this program ({error}): give another file."
                ) from None

    def find(self, key: str, iterations: int) -> list[float] | None:
        """The first ``iterations`` of a curve, or None where so many are not known."""
        curve = self.known.get(key, [])
        return curve[: iterations + 1] if len(curve) > iterations else None

    def add(self, key: str, curve: list[float]) -> None:
        self.known[key] = curve
        if self.path is not None:
            with written_whole(self.path) as beside:
                beside.write_text(json.dumps({"curves": self.known}) + "\n", encoding="utf-8")


def curve_key(loss: PerceptualLoss, content: Tensor, first: Tensor) -> str:
    """What a curve depends on, as a short text: the objective, the photograph and the first picture."""
    weights = [loss.weights, loss.content_layers, loss.style_layers, loss.content_distance, loss.style_distance,
               loss.tv_form, loss.tv_range]  # fmt: skip
    digest = hashlib.sha256(json.dumps([weights, loss.vgg.architecture, loss.vgg.pooling]).encode())
    for tensor in (*loss.buffers(recurse=False), content, first):
        digest.update((tensor * 1e4).round().int().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
