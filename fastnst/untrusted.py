"""Files from strangers: what a checkpoint or a card may hold is settled before anything is made of it.

``torch.load(weights_only=True)`` runs no code, but it unpacks compressed archives, lets a handful of functions build
values of any size, and takes a tensor's word for how large it is. Here an archive is copied member by member, checksums
verified, stored and not compressed; of the pickle only the names that tensors need may pass; and what comes out may
claim no more elements than the file has bytes for.
"""

from __future__ import annotations

import io
import os
import pickletools
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LARGEST_FILE = 1 << 30
"""Bytes of a checkpoint; the largest network that anybody trains here has some 100 MB."""
LARGEST_PICKLE = 32 << 20
"""Bytes of the part of a checkpoint that says what is where; a real one has some 25 kB."""
LARGEST_CARD = 1 << 20
"""Characters of all names and texts of a card together; a real one has some 4,000."""
MOST_VALUES = 100_000
"""Values in a card, those that are held several times counted each time."""
DEEPEST = 32
"""Levels of a card; real ones have five."""
LONGEST_NAME = 100
"""Characters of a style's name: it becomes a part of file names."""

_STORAGES = ("Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Int", "Long", "Bool", "Untyped")
_NAMES = {
    "collections OrderedDict",
    "torch Size",
    "torch.storage UntypedStorage",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}
"""Classes and functions that a pickle may name: those that state dictionaries are written with."""

_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how every file of torch before 1.6 begins
_LEGACY_PICKLES = 4  # magic number, protocol, machine, content; then come the storages


class Untrusted(ValueError):
    """A file holds more than tensors and plain values, or claims what it cannot hold; the message is the reason."""


def load_plain(path: str | os.PathLike, largest: int = LARGEST_FILE) -> Any:
    """Read a file that ``torch.save`` wrote, if it holds tensors and plain values alone; on the CPU.

    Memory stays under some three times the file's size, whatever it claims. Nothing in it is run.

    Args:
        path: the file.
        largest: bytes that it may have.

    Raises:
        Untrusted: it holds something else, is damaged, or claims more than is in it.
        OSError: it cannot be read.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > largest:
        raise Untrusted(f"{size / 1e9:.1f} GB, more than the {largest / 1e9:.1f} GB that are read")
    try:
        with open(path, "rb") as file:
            whole = _copy_of_archive(path, size) if zipfile.is_zipfile(path) else _legacy(file)
        content = torch.load(whole, map_location="cpu", weights_only=True)
        _check_claims(content, size)
    except (Untrusted, OSError):
        raise
    except Exception as error:  # torch, zipfile, pickle and struct raise many kinds, all mean the same here
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
        raise Untrusted(reason) from None
    return content


def check_card(card: Any) -> None:
    """See that a card is plain values of a sane size, and its style's name fit for a file's name.

    Raises:
        Untrusted: it is not.
    """
    if not isinstance(card, dict):
        raise Untrusted("its card is no dictionary")
    for value in check_plain(card, "its card"):
        if isinstance(value, str) and any(unicodedata.category(character) == "Cc" for character in value):
            raise Untrusted("its card holds control characters")
    style = card.get("style")
    if style is not None and not (isinstance(style, dict) and is_plain_name(style.get("name"))):
        raise Untrusted("its card has no plain name for its style")
    styles = card.get("styles", [])
    names = [each.get("name") for each in styles if isinstance(each, dict)] if isinstance(styles, list) else [None]
    if not all(map(is_plain_name, names)) or len(set(names)) < len(styles):
        raise Untrusted("its card has no plain names for its styles")


def check_plain(record: Any, what: str) -> list[Any]:
    """See that a record is plain values of a sane size; ``what`` is its name in messages.

    Returns:
        All keys and values.

    Raises:
        Untrusted: it is not.
    """
    characters, seen = 0, []
    for value in _values(record, what):
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, int) and value.bit_length() > 64:
            raise Untrusted(f"{what} holds a number of more than 64 bits")
        elif value is not None and not isinstance(value, (bool, int, float)):
            raise Untrusted(f"{what} holds a value of type {type(value).__name__}")
        seen.append(value)
        if len(seen) > MOST_VALUES or characters > LARGEST_CARD:
            raise Untrusted(f"{what} has more than {MOST_VALUES:,} values or {LARGEST_CARD:,} characters")
    return seen


def is_plain_name(name: Any) -> bool:
    """Whether a file can be called so, in the folder where it belongs."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and not name.startswith(".")
        and not any(character in "/\\:" or unicodedata.category(character) == "Cc" for character in name)
    )


def plain(value: Any) -> Any:
    """The same card with spaces for control characters, so that :func:`check_card` takes what we write ourselves."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return "".join(" " if unicodedata.category(character) == "Cc" else character for character in value)
    return value


def _values(record: Any, what: str) -> Iterator[Any]:
    """Keys and values at every level, as often as they are shown."""
    waiting: list[tuple[Any, int]] = [(record, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise Untrusted(f"{what} is more than {DEEPEST} levels deep")
        if isinstance(value, dict):
            yield from value.keys()
            waiting += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += [(each, depth + 1) for each in value]
        else:
            yield value
        if len(waiting) > MOST_VALUES:
            raise Untrusted(f"{what} has more than {MOST_VALUES:,} values")


def _copy_of_archive(path: Path, size: int) -> io.BytesIO:
    """The members, checksums verified, in an archive of our own making."""
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as ours:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise Untrusted("it is compressed, which checkpoints never are")
        if sum(member.file_size for member in members) > size or len({each.filename for each in members}) < len(
            members
        ):
            raise Untrusted("it claims to hold more than it does")
        for member in members:
            content = archive.read(member)
            if member.filename.endswith(".pkl"):
                _check_pickle(io.BytesIO(content), len(content))
            ours.writestr(member.filename, content)
    copy.seek(0)
    return copy


def _legacy(file: io.BufferedReader) -> io.BytesIO:
    """A file of torch before 1.6: pickles one after the other, then the storages."""
    whole = io.BytesIO(file.read())
    if not whole.getbuffer()[: len(_LEGACY_MAGIC)] == _LEGACY_MAGIC:
        raise Untrusted("it is no file of torch")
    for _ in range(_LEGACY_PICKLES):
        _check_pickle(whole, LARGEST_PICKLE)
    whole.seek(0)
    return whole


def _check_pickle(file: io.BytesIO, size: int) -> None:
    """Go through one pickle without building anything; the file stands behind it afterwards."""
    if size > LARGEST_PICKLE:
        raise Untrusted(f"its index has {size:,} bytes")
    for code, argument, _ in pickletools.genops(file):
        if code.name == "GLOBAL" and argument not in _NAMES:
            raise Untrusted(f"it names {argument!r:.100}, which no weights need: it may hold code")
        if code.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX"):
            raise Untrusted("it may hold code")
        if code.name == "PROTO" and argument != 2:
            raise Untrusted(f"it is a pickle of protocol {argument}, not 2")


def _check_claims(content: Any, size: int) -> None:
    """No tensor has more elements than its storage, all together no more than the file, and none is of unusual kind."""
    seen: set[int] = set()
    claimed = 0
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
                raise Untrusted("it holds a tensor of an unusual kind")
            claimed += value.numel() * value.element_size()
            if value.numel() * value.element_size() > value.untyped_storage().nbytes() or claimed > size:
                raise Untrusted(f"it holds tensors that claim {claimed:,} bytes and have fewer")
        elif isinstance(value, (dict, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            waiting += [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
