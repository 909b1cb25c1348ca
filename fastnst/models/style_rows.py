"""Styles dropped from a model and put into one: its convolutions stay, rows of its normalisations go and come."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.errors import InputError
from fastnst.models.model_file import Model
from fastnst.models.styles import style_names
from fastnst.networks import TransformerNetwork
from fastnst.networks.blocks import InstanceNorm


class Rows(NamedTuple):
    """What in a model belongs to its S styles; of a model of one style, S is 1.

    Attributes:
        norms: the parameters of the normalisations by name, (S, C) each.
        styles: what the card says of each.
        thumbnails: (S, 3, H, W) in [0, 1], or None.
    """

    norms: dict[str, Tensor]
    styles: list[dict[str, Any]]
    thumbnails: Tensor | None


def rows_of(model: Model) -> Rows:
    """What belongs to a model's styles."""
    norms = {
        f"{name}.{part}": torch.atleast_2d(parameter.detach())
        for name, module in model.network.named_modules()
        if isinstance(module, InstanceNorm)
        for part, parameter in module.named_parameters()
    }
    if style_names(model):
        return Rows(norms, model.card["styles"], model.thumbnail)
    thumbnails = None if model.thumbnail is None else model.thumbnail[None]
    figures = {name: model.card[name] for name in ("fidelity",) if name in model.card}
    return Rows(norms, [{**(model.card.get("style") or {"name": "unnamed"}), **figures}], thumbnails)


def with_rows(model: Model, rows: Rows) -> Model:
    """A model of many styles with the convolutions of ``model``."""
    arguments = {**model.network.arguments, "styles": len(rows.styles)}
    network = TransformerNetwork(**arguments)
    network.load_state_dict({**model.network.state_dict(), **rows.norms})
    card = {**model.card, "network": {"name": network.name, "arguments": arguments}, "styles": rows.styles}
    if not style_names(model):
        card["style"] = {"name": "many"}
        card.pop("fidelity", None)  # now its row's
    return Model(network.eval().requires_grad_(False), card, rows.thumbnails)


def drop(model: Model, names: Sequence[str]) -> Model:
    """A model of many styles without some.

    Raises:
        InputError: it does not have them, or fewer than two would be left.
    """
    known = style_names(model)
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no style {unknown[0]!r} in this model: it has {', '.join(known) or 'only one'}.")
    kept = [place for place, name in enumerate(known) if name not in names]
    if len(kept) < 2:
        raise InputError(f"{len(kept)} of {len(known)} styles would be left, expected 2: take out the one to be kept.")
    norms, styles, thumbnails = rows_of(model)
    return with_rows(
        model,
        Rows(
            {name: rows[kept] for name, rows in norms.items()},
            [styles[place] for place in kept],
            None if thumbnails is None else thumbnails[kept],
        ),
    )


def put(model: Model, other: Model) -> Model:
    """A model of the styles of two, which share their convolutions to the last bit.

    Raises:
        InputError: they do not, or a style's name is in both.
    """
    if fingerprint(model.network) != fingerprint(other.network):
        raise InputError(
            "the convolutions of the two models differ, and styles cannot go to others than those they were trained "
            "with: put together only what was taken out of one model."
        )
    return put_rows(model, rows_of(other))


def put_rows(model: Model, theirs: Rows) -> Model:
    """A model with more styles, whose rows were learnt with its convolutions.

    Raises:
        InputError: a style's name is in both.
    """
    ours = rows_of(model)
    names = [style["name"] for style in ours.styles]
    if both := [style["name"] for style in theirs.styles if style["name"] in names]:
        raise InputError(f"both models have a style {both[0]!r}: drop it from one of them first.")
    thumbnails = None
    if (shown := next((one for one in (ours.thumbnails, theirs.thumbnails) if one is not None), None)) is not None:
        size = shown.shape[-2:]
        parts = [
            shown.new_full((len(one.styles), 3, *size), 0.5)  # grey
            if one.thumbnails is None
            else F.interpolate(one.thumbnails, size, mode="bilinear", antialias=True)
            for one in (ours, theirs)
        ]
        thumbnails = torch.cat(parts)
    norms = {name: torch.cat([rows, theirs.norms[name]]) for name, rows in ours.norms.items()}
    return with_rows(model, Rows(norms, [*ours.styles, *theirs.styles], thumbnails))


def fingerprint(network: TransformerNetwork) -> str:
    """Identifies what all styles of a network share, to the last bit: its convolutions, and its arguments.

    Those that have their default are left out, so that one which is added to the class changes no fingerprint.
    """
    known = inspect.signature(TransformerNetwork).parameters
    others = {
        name: value
        for name, value in network.arguments.items()
        if name != "styles" and (name not in known or known[name].default != value)
    }
    norms = tuple(f"{name}." for name, one in network.named_modules() if isinstance(one, InstanceNorm))
    whole = hashlib.sha256(repr((network.name, sorted(others.items()))).encode())
    for name, value in network.state_dict().items():
        if not name.startswith(norms):
            whole.update(name.encode() + value.float().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()[:16]
