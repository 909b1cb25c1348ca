"""Which pictures a source means, told by hand."""

import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from fastnst.cluster.inputs import Picture, list_pictures, matches, plain_name, shared_stems
from fastnst.data.sharding import write_shards
from fastnst.errors import InputError


@pytest.fixture
def folder(tmp_path, photos) -> Path:
    """Two photographs below one another, one hidden, and what is no picture."""
    for name in ("a.png", "deep/er/b.png", "deep/.hidden.png", "notes.txt"):
        target = tmp_path / "in" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((photos / "photo0.png").read_bytes())
    return tmp_path / "in"


def names(source, target=None) -> list[str]:
    return [picture.name for picture in list_pictures(str(source), target and str(target))]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_folders_patterns_and_files(folder, scheme):
    assert names(f"{scheme}{folder}") == ["a.png", "deep/er/b.png"]
    assert names(f"{scheme}{folder}/*.png") == ["a.png"]
    assert names(f"{scheme}{folder}/**/*.png") == ["a.png", "deep/er/b.png"]
    assert names(f"{scheme}{folder}/deep/*/b.p[mn]g") == ["er/b.png"]
    assert names(f"{scheme}{folder}/a.png") == ["a.png"]
    assert list_pictures(f"{scheme}{folder}/a.png") == [Picture(f"{scheme}{folder}/a.png", "a.png")]


def test_results_below_the_source_are_no_pictures_to_paint(folder):
    assert names(folder, folder / "deep") == ["a.png"]
    assert names(f"file://{folder}", f"file://{folder}/deep") == ["a.png"]


def test_relative_paths_are_told_in_full(folder, monkeypatch):
    """Workers have another current folder."""
    monkeypatch.chdir(folder.parent)
    assert [picture.source for picture in list_pictures("in")] == [f"{folder}/a.png", f"{folder}/deep/er/b.png"]


def test_lists(folder):
    table = pa.table({"label": [3, 4], "path": ["a.png", f"{folder}/deep/er/b.png"]})
    pa.parquet.write_table(table, folder / "list.parquet")
    pa.csv.write_csv(table, folder / "list.csv")
    for name in ("list.parquet", "list.csv"):
        found = list_pictures(str(folder / name))
        assert found == [Picture(f"{folder}/a.png", "a.png"), Picture(f"{folder}/deep/er/b.png", "deep/er/b.png")]
    named = pa.table({"url": ["s3://b/x.jpg", "s3://c/y.jpg"], "name": ["one.jpg", "../../two.jpg"]})
    pa.csv.write_csv(named, folder / "named.csv")
    assert names(folder / "named.csv") == ["one.jpg", "two.jpg"]
    (folder / "both.csv").write_text(f"url\ns3://b/x.jpg\n{folder}/a.png\n")
    assert names(folder / "both.csv") == [f"{folder}/a.png"[1:], "b/x.jpg"]


def test_shards(photos, tmp_path):
    write_shards(sorted(photos.iterdir()), photos, tmp_path, 20_000)
    files = sorted(tmp_path.glob("*.tar"))
    assert len(files) > 1
    found = list_pictures(str(tmp_path))
    assert len(found) == 8 and [picture.name.split("/")[0] for picture in found] == sorted(
        picture.name.split("/")[0] for picture in found
    )
    for picture in found:
        data = (tmp_path / picture.shard[1]).read_bytes()[picture.offset : picture.offset + picture.size]
        assert data == (photos / Path(picture.name).name).read_bytes()
    first = list_pictures(str(files[0]))
    assert first == [picture for picture in found if picture.shard[1] == files[0].name]
    assert list_pictures(f"{tmp_path}/*.tar") == found
    with tarfile.open(files[0]) as archive:
        assert {Path(picture.name).name for picture in first} == {Path(name).name for name in archive.getnames()}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "there is no such file or folder"),
        ("no*where/*.jpg", "no pictures there"),
        ("file:///no/where", "there is no such"),
        ("empty.csv", "names no pictures"),
        ("broken.parquet", "no list that can be read"),
        ("twice.csv", "more than once"),
        ("unheard://bucket/x", "cannot be reached"),
    ],
)
def test_what_cannot_be_meant(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").write_text("path\n")
    Path("broken.parquet").write_bytes(b"PAR1")
    Path("twice.csv").write_text("path\na.png\na.png\n")
    with pytest.raises(InputError, match=message):
        list_pictures(source)


def test_patterns():
    assert matches("a/b/c.jpg", "**/*.jpg") and matches("c.jpg", "**/*.jpg") and matches("a/b", "a/**")
    assert not matches("a/c.jpg", "*.jpg") and not matches("c.png", "**/*.jpg")


def test_names_stay_below_the_target():
    assert plain_name("/etc/../../x.jpg") == "etc/x.jpg"
    assert plain_name("..\\..\\x.jpg") == "x.jpg"
    assert plain_name("../..") == "unnamed"


def test_names_that_would_meet():
    assert shared_stems([Picture("", name) for name in ("a.jpg", "a.png", "b.jpg", "c/a.jpg")]) == {"a"}
