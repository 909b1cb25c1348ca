"""The styles of a model file that holds many: named, picked, mixed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from fastnst.errors import InputError
from fastnst.models.model_file import STYLE, Model
from fastnst.networks import TransformerNetwork


def style_names(model: Model) -> list[str]:
    """Names of a model's many styles, in the order of its network's rows; none for a model of one style."""
    return [style["name"] for style in model.card["styles"]] if model.network.arguments["styles"] else []


def shares_from_text(text: str, model: Model) -> dict[str, float]:
    """``candy``, or ``candy=0.6,ink=0.4``, as shares by name.

    Raises:
        InputError: it is neither.
    """
    if text in style_names(model) or ("=" not in text and "," not in text):  # a name may hold them, too
        return {text: 1.0}
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.rpartition("=")
        try:
            if not name or name in shares:
                raise ValueError
            shares[name] = float(share)
        except ValueError:
            raise InputError(f"style {text!r}: expected a name, or shares such as candy=0.6,ink=0.4.") from None
    return shares


def check_shares(model: Model, shares: Mapping[str, float]) -> None:
    """See that the model has these styles, and that their shares make a whole.

    Raises:
        InputError: it has not, or they do not.
    """
    known = style_names(model)
    if not known:
        raise InputError("a style was named, but this model has only one: leave the name out, or give a .style file.")
    for name in shares:
        if name not in known:
            raise InputError(f"no style {name!r} in this model: expected one of {', '.join(known)}.")
    if not all(0 <= share < math.inf for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-3:
        listed = ",".join(f"{name}={share:g}" for name, share in shares.items())
        raise InputError(f"{listed} sums to {sum(shares.values()):g}: expected shares of 0 or more that sum to 1.")


def pick(model: Model, shares: Mapping[str, float], single: TransformerNetwork | None = None) -> Model:
    """A model of one style, or of one mixture of styles, from a model of many.

    A mixture interpolates the parameters of the normalisations (Dumoulin, Shlens & Kudlur 2017, arXiv 1610.07629,
    section 3.2), and so takes a single pass. The new model shares no memory with the old one.

    Args:
        model: of many styles.
        shares: by name, 0 or more, 1 in all; without those that are 0.
        single: the network of an earlier pick from this model, which becomes the new one's: that takes no time.

    Raises:
        InputError: see :func:`check_shares`.
    """
    check_shares(model, shares)
    known = style_names(model)
    rows = torch.tensor([shares.get(name, 0.0) for name in known])
    foremost = known.index(max(shares, key=lambda name: shares[name]))
    name = joined(name for name in known if shares.get(name, 0) > 0)
    card = {key: value for key, value in model.card.items() if key != "styles"}
    card["network"] = {**card["network"], "arguments": {**card["network"]["arguments"], "styles": None}}
    card["style"] = {**(card.get("style") or {}), **model.card["styles"][foremost], "name": name}
    thumbnail = None if model.thumbnail is None else model.thumbnail[foremost]
    return Model(model.network.of_style(rows, single), card, thumbnail)


def joined(names: Iterable[str]) -> str:
    """The name of a mixture, for a card or a file: ``candy+ink``; style files are called without folder and ending."""
    return "+".join(Path(name).name.removesuffix(STYLE) for name in names)
