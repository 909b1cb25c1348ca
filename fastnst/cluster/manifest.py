"""What became of each picture: rows that each batch leaves beside its results, and one table of them at the end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from fastnst.cluster.tree import NotThere, Tree
from fastnst.errors import InputError

MANIFEST = "_manifest.parquet"
RUN = "_run"
"""Folder of what a run that has not ended knows; Parquet readers pass over names with an underscore."""
SETTINGS = f"{RUN}/settings.json"

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("model", pa.string()),
        ("output", pa.string()),  # below the target; of a picture in a part PART/name; null if it failed
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("seconds", pa.float32()),  # null where a killed worker had painted it and nobody knows how long
        ("node", pa.string()),
        ("error", pa.string()),  # null if it was painted
    ]
)

Row = dict[str, Any]
Key = tuple[str, str]


def key(row: Row) -> Key:
    return row["source"], row["model"]


class Account:
    """The rows of a target: those of finished runs in the manifest, those since then in the run's folder.

    Args:
        target: where the results are.
    """

    def __init__(self, target: Tree) -> None:
        self.target = target

    def begin(self, settings: dict[str, Any], overwrite: bool) -> list[Row]:
        """Rows of what is painted already and still there; what was left half done is put aside.

        Args:
            settings: what makes the pictures what they are; plain values.
            overwrite: begin anew.

        Raises:
            InputError: the target holds something else, or was painted with other settings.
        """
        text = json.dumps(settings, sort_keys=True, indent=1)
        present = self.target.sizes()
        if not overwrite and present:
            if SETTINGS not in present:
                raise InputError(
                    f"--output {self.target.root} holds {len(present)} files that are not of such a run: give another "
                    "folder, or --overwrite to replace those of the same names."
                )
            before = json.loads(self.target.read(SETTINGS))
            other = sorted(name for name in {*before, *settings} if before.get(name) != settings.get(name))
            if other:
                raise InputError(
                    f"--output {self.target.root} was painted with another {' and another '.join(other)}: give "
                    "another folder, or --overwrite to paint all of it anew."
                )
        if overwrite:
            self.target.remove([name for name in present if name == MANIFEST or name.startswith(f"{RUN}/")])
            present = {}
        self.write_bytes(SETTINGS, text.encode())
        rows: dict[Key, Row] = {}
        for name in sorted(present, key=lambda name: name != MANIFEST):  # later rows win
            if name == MANIFEST or name.startswith(f"{RUN}/rows-"):
                for row in self.read(name) or []:
                    if row["error"] is None and place(row) in present:
                        rows[key(row)] = row
        return list(rows.values())

    def read(self, name: str) -> list[Row] | None:
        """The rows in a file of the target; None without one."""
        try:
            return pa.parquet.read_table(pa.BufferReader(self.target.read(name))).to_pylist()
        except NotThere:
            return None
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.target.where(name)} is damaged ({error}): delete it and start again.") from None

    def write(self, name: str, rows: list[Row]) -> None:
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(pa.Table.from_pylist(rows, SCHEMA), sink)
        self.write_bytes(name, sink.getvalue().to_pybytes())

    def finish(self, rows: Iterable[Row]) -> None:
        """Write the manifest; then the batches' rows, and parts that no row names, are not needed any more."""
        ordered = sorted(rows, key=key)
        self.write(MANIFEST, ordered)
        named = {place(row) for row in ordered}
        present = self.target.sizes()
        self.target.remove(
            [
                name
                for name in present
                if (name.startswith(f"{RUN}/") and name != SETTINGS) or (is_part(name) and name not in named)
            ]
        )

    def write_bytes(self, name: str, data: bytes) -> None:
        """Put a small file there, whole."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "file")
            file.write_bytes(data)
            self.target.put(file, name)


def is_part(name: str) -> bool:
    return name.startswith("part-") and name.endswith((".tar", ".parquet"))


def place(row: Row) -> str | None:
    """The file of the target that holds a picture."""
    output = row["output"]
    first = str(output).partition("/")[0]
    return first if is_part(first) else output
