"""How a batch of painted pictures is kept: as files under mirrored names, as a shard, or as a Parquet file."""

from __future__ import annotations

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastnst.cluster.manifest import SCHEMA, Row
from fastnst.cluster.tree import Tree
from fastnst.errors import InputError

KINDS = ("files", "shards", "parquet")
UPLOADS = 8
"""Files that are on their way to an object store at once."""


def keep_files(folder: Path, rows: list[Row], target: Tree) -> None:
    """Copy each row's ``output`` below a folder to the target; where that fails, the row says so."""

    def keep(row: Row) -> None:
        try:
            target.put(folder / row["output"], row["output"])
        except InputError as error:
            row.update(output=None, error=str(error))

    with ThreadPoolExecutor(UPLOADS) as uploads:
        list(uploads.map(keep, rows))


def keep_part(folder: Path, rows: list[Row], target: Tree, kind: str, batch: str) -> None:
    """Pack each row's ``output`` below a folder into one file; the rows then say which.

    A shard is as WebDataset has them: ``KEY.png`` with ``KEY.json`` behind it. A Parquet file has the rows' columns
    and ``picture``, the bytes of the file.

    Raises:
        InputError: the part cannot be written.
    """
    name = f"part-{batch}.{'tar' if kind == 'shards' else 'parquet'}"
    packed = folder / name
    if kind == "shards":
        stems: set[str] = set()
        with tarfile.open(packed, "w") as archive:
            for row in rows:
                stem, _, ending = row["output"].rpartition(".")
                stem = stem.replace(".", "_")  # WebDataset takes what follows the first dot for the kind
                while stem in stems:
                    stem += "_"
                stems.add(stem)
                add(archive, f"{stem}.{ending}", (folder / row["output"]).read_bytes())
                add(archive, f"{stem}.json", json.dumps({n: row[n] for n in ("source", "model")}).encode())
                row["output"] = f"{name}/{stem}.{ending}"
    else:
        import pyarrow as pa
        import pyarrow.parquet

        pictures = [(folder / row["output"]).read_bytes() for row in rows]
        for row in rows:
            row["output"] = f"{name}/{row['output']}"
        table = pa.Table.from_pylist(rows, SCHEMA).append_column("picture", pa.array(pictures, pa.binary()))
        pa.parquet.write_table(table, packed, compression="none")  # pictures are compressed already
    target.put(packed, name)


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
