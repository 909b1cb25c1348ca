"""Checkpoints made to do harm, for whatever reads checkpoints."""

import os
import pickle
import struct
import zipfile
from pathlib import Path

import torch

from fastnst.networks import build_network


def rewritten(source, target, change=lambda name, content: content, compression=zipfile.ZIP_STORED):
    """The archive again, its members changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for member in old.infolist():
            new.writestr(member.filename, change(member.filename, old.read(member)))
    return target


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def tensor(elements: int, size: int, stride: int, offset: int = 0) -> bytes:
    """The pickle of {"a": tensor} by hand: ``elements`` in its storage, of one dimension."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(elements) + b"tQ"
    arguments = b"(" + storage + number(offset) + number(size) + b"\x85" + number(stride) + b"\x85\x89"
    return (
        b"\x80\x02}"
        + text("a")
        + b"ctorch._utils\n_rebuild_tensor_v2\n"
        + arguments
        + b"ccollections\nOrderedDict\n)RtRs."
    )


class Malice:
    """Unpickled, it makes a file."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.system, (f"touch {self.folder / 'ran'}",)


def with_pickle(source, target, content: bytes):
    return rewritten(source, target, lambda name, old: content if name.endswith("data.pkl") else old)


def hostile_checkpoints(model: Path, folder: Path, part: str = "card") -> dict[str, Path]:
    """Files that torch itself would read, or run, or die of; what runs makes a file ``ran`` in the folder.

    Args:
        model: a good one, with a dictionary inside.
        folder: where they are written.
        part: name in that dictionary of what some of them replace.
    """
    made = {}
    content = torch.load(model, weights_only=True)
    for name, value in {
        "code": {**content, part: Malice(folder)},
        "code in a key": {**content, part: {"a": [Malice(folder)]}},
        "a whole module": build_network("transformer", {"width": 2, "residual_blocks": 1}),
    }.items():
        made[name] = folder / f"{name}.ckpt"
        torch.save(value, made[name])
    for name, pickled in {
        "2^40 elements": tensor(2**40, 2**40, 1),
        "2^40 elements in a small storage": tensor(4, 2**40, 1),
        "2^40 elements without a step": tensor(4, 2**40, 0),
        "behind its storage": tensor(4, 4, 1, offset=2**40),
        "negative": tensor(4, -4, 1),
        "a bytearray of 2^35": b"\x80\x02cbuiltins\nbytearray\n" + number(2**35) + b"\x85R.",
        "doubled 30 times": b"\x80\x02"
        + b"c_codecs\nencode\n" * 30
        + text("a" * 9)
        + (text("hex") + b"\x86R") * 30
        + b".",
        "os.system": b"cos\nsystem\n(S'touch " + os.fsencode(folder / "ran") + b"'\ntR.",
        "os.system, protocol 4": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        "a text of 2^31": b"\x80\x02X" + struct.pack("<I", 2**31) + b"abc.",
        "no end": b"\x80\x02}",
        "nothing": b"",
        "from an empty stack": b"\x80\x02s.",
    }.items():
        made[name] = with_pickle(model, folder / f"{name}.ckpt", pickled)
    made["compressed"] = rewritten(model, folder / "compressed.ckpt", compression=zipfile.ZIP_DEFLATED)
    zeros = bytes(64 << 20)
    made["zip bomb"] = rewritten(
        model, folder / "bomb.ckpt", lambda name, old: zeros if name.endswith("data/0") else old, zipfile.ZIP_DEFLATED
    )
    made["overlapping members"] = overlapping(model, folder / "overlapping.ckpt")
    made["a checksum is wrong"] = folder / "flipped.ckpt"
    whole = bytearray(model.read_bytes())
    with zipfile.ZipFile(model) as archive:
        place = max(archive.infolist(), key=lambda member: member.file_size).header_offset
    whole[place + 300] ^= 1
    made["a checksum is wrong"].write_bytes(whole)
    made["an old pickle"] = folder / "old.pth"
    torch.save({"a": Malice(folder)}, made["an old pickle"], _use_new_zipfile_serialization=False)
    made["an old tensor of 2^40"] = folder / "old_tensor.pth"
    torch.save({"a": torch.zeros(123)}, made["an old tensor of 2^40"], _use_new_zipfile_serialization=False)
    old = made["an old tensor of 2^40"].read_bytes()
    assert old.count(b"K{") >= 2
    made["an old tensor of 2^40"].write_bytes(old.replace(b"K{", number(2**40)))
    made["a plain pickle"] = folder / "plain.pkl"
    made["a plain pickle"].write_bytes(pickle.dumps(Malice(folder)))
    made["a tar file"] = folder / "tar.ckpt"
    made["a tar file"].write_bytes(b"../../escaped".ljust(257, b"\0") + b"ustar\x0000".ljust(8000, b"\0"))
    return made


def overlapping(source, target):
    """Each entry of the directory points to the largest member."""
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
    largest = max(members, key=lambda member: member.file_size)
    whole = source.read_bytes()
    entries = [place for place in range(len(whole) - 4) if whole[place : place + 4] == b"PK\x01\x02"]
    changed = bytearray(whole)
    for place in entries:
        changed[place + 20 : place + 28] = struct.pack("<II", largest.file_size, largest.file_size)
        changed[place + 42 : place + 46] = struct.pack("<I", largest.header_offset)
    target.write_bytes(changed)
    return target
