"""Style files: one style of a network as its rows of the normalisations alone, for whoever has the convolutions.

Safetensors: for each normalisation NAME of C channels ``NAME.weight`` and ``NAME.bias``, (C,) in float32;
``thumbnail``, (3, H, W) in 8 bits, sides of 48 or less; in the metadata ``format``, ``version``, and ``card`` as JSON:
the style's name and figures, ``initial``, the model it was learnt from, and ``fingerprint``, see
:func:`~fastnst.models.style_rows.fingerprint`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import torch.nn.functional as F

from fastnst import __version__
from fastnst.errors import InputError
from fastnst.models.model_file import STYLE, Model, as_bytes, as_picture, plain_name
from fastnst.models.safetensors_file import as_safetensors, read_safetensors
from fastnst.models.style_rows import Rows, fingerprint, put_rows, rows_of
from fastnst.models.styles import pick, shares_from_text, style_names
from fastnst.untrusted import Untrusted, check_card, plain
from fastnst.writing import written_whole

FORMAT = "fastnst-style"
FORMAT_VERSION = 1
LARGEST_STYLE = 1 << 24
"""Bytes of a style file; the paper's network makes one of some 20,000."""
THUMBNAIL = 48
TOLD = ("fidelity", "steps", "seconds", "data", "held_out", "commit")
"""What a style file's card has of its model's, besides its name."""


def save_style(path: str | os.PathLike, model: Model, initial: str) -> None:
    """Write the style of a model of one style, whole or not at all; what is there is replaced.

    Args:
        path: the file, ``.style``.
        model: whose convolutions are those of ``initial`` to the bit.
        initial: the model they are from, as users name it: only for messages.

    Raises:
        InputError: the file cannot be written.
    """
    thumbnail = model.thumbnail
    if thumbnail is not None and (scale := THUMBNAIL / max(thumbnail.shape[1:])) < 1:
        sides = [max(1, round(scale * side)) for side in thumbnail.shape[1:]]
        thumbnail = F.interpolate(thumbnail[None], sides, mode="bilinear", antialias=True)[0]
    told = {name: model.card[name] for name in TOLD if name in model.card}
    card = plain({"style": {**model.card["style"], **told}, "initial": initial, "fastnst": __version__})
    card["style"]["name"] = plain_name(card["style"]["name"])
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "card": {**card, "fingerprint": fingerprint(model.network)},
        "weights": {name: row[0].float().cpu() for name, row in rows_of(model).norms.items()},
        "thumbnail": None if thumbnail is None else as_bytes(thumbnail),
    }
    with written_whole(path) as beside:
        beside.write_bytes(as_safetensors(content))


def read_style(path: str | os.PathLike, base: Model) -> Rows:
    """The one style of a file, called by the file's name, for a model with the convolutions that it was learnt with.

    Raises:
        InputError: no such file, damaged, of a newer format, made to do harm, or learnt with other convolutions.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no style file {path}.")
    if path.stat().st_size > LARGEST_STYLE:
        raise InputError(f"{path} has more than the {LARGEST_STYLE:,} bytes of a style file: train it anew.")
    content = read_safetensors(path, FORMAT, "style")
    if content.get("format") != FORMAT:
        raise InputError(f"{path} is no style file: expected what training with style_file=true writes.")
    if content["version"] != FORMAT_VERSION:
        raise InputError(f"{path} has style format {content['version']}, this fastnst {__version__} reads 1.")
    card, rows, thumbnail, own = content["card"], content["weights"], content["thumbnail"], rows_of(base).norms
    try:
        check_card(card)
        if not isinstance(card.get("style"), dict):
            raise Untrusted("its card has no style")
        if card.get("fingerprint") != (wanted := fingerprint(base.network)):
            raise InputError(
                f"it was learnt with the convolutions of initial={card.get('initial')!s:.100} (fingerprint "
                f"{card.get('fingerprint')!s:.16}), and not with this model's ({wanted}): give that model."
            )
        if {name: row.shape for name, row in rows.items()} != {name: row.shape[1:] for name, row in own.items()}:
            raise Untrusted("its rows are not those of this network")
        if not all(row.isfinite().all() for row in rows.values()):
            raise Untrusted("it holds what is no number")
        thumbnail = None if thumbnail is None else as_picture(thumbnail, None)[None]
    except (InputError, Untrusted) as error:
        raise InputError(f"{path}: {error}") from None
    style = {**card["style"], "name": plain_name(path.stem)}
    return Rows({name: row[None] for name, row in rows.items()}, [style], thumbnail)


def with_style_files(model: Model, names: Iterable[str]) -> Model:
    """The model with the styles of those of ``names`` that are no styles of it, but paths of style files: so they are
    called in what is returned.

    Raises:
        InputError: see :func:`read_style`.
    """
    for name in names:
        if name.endswith(STYLE) and name not in style_names(model):
            rows = read_style(name, model)
            model = put_rows(model, rows._replace(styles=[{**rows.styles[0], "name": name}]))
    return model


def pick_by_text(model: Model, text: str) -> Model:
    """The style, or the mixture, that users name: ``candy``, ``candy=0.6,ink=0.4``, ``painting.style``.

    Raises:
        InputError: there is none such in the model, and no such file that fits it.
    """
    shares = shares_from_text(text, model)
    return pick(with_style_files(model, shares), shares)
