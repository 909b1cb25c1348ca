"""One batch by one worker, without Ray: what it paints, says, keeps, and does when it is asked again."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
import webdataset
from PIL import Image

from fastnst.cluster.inputs import list_pictures
from fastnst.cluster.manifest import RUN, Account
from fastnst.cluster.paint_many import tasks_of
from fastnst.cluster.painting_actor import PaintingActor, batch_name
from fastnst.cluster.tree import Tree
from fastnst.data.sharding import write_shards
from fastnst.errors import InputError
from fastnst.images.reading import read_image
from fastnst.images.tensors import to_bytes
from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls, Stylizer
from fastnst.stylization.files import many_files


def batch_of(source, models=("m",), once=False) -> pa.Table:
    return pa.Table.from_pylist(list(tasks_of(list_pictures(str(source)), list(models), once)))


def paint(painting, source, **more) -> list[dict]:
    return PaintingActor(painting)(batch_of(source, painting.models, **more)).to_pylist()


def expected(model, photo: Path, controls=None) -> torch.Tensor:
    """8-bit pixels."""
    return to_bytes(Stylizer(model, "cpu")(read_image(photo), controls))


def pixels(file) -> torch.Tensor:
    return to_bytes(read_image(file))


@pytest.fixture
def mixed(photos, tmp_path) -> Path:
    """A photograph, one in a sub-folder, and three that cannot be read."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        (folder / name).write_bytes((photos / f"photo{len(name) % 2}.png").read_bytes())
    (folder / "cut.png").write_bytes((photos / "photo2.png").read_bytes()[:500])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    return folder


@pytest.mark.parametrize("store", ["", "file://"])
def test_files(painting, model, mixed, tmp_path, store):
    """Mirrored names, pixels as of one machine, and a reason for each picture that is broken; through a store too."""
    painting = replace(painting, target=Tree(f"{store}{tmp_path}/out"), controls=Controls(strength=0.5))
    rows = {row["source"].removeprefix(f"{store}{mixed}/"): row for row in paint(painting, f"{store}{mixed}")}
    assert {name: row["output"] for name, row in rows.items()} == {
        "a.png": "a.png", "sub/b.png": "sub/b.png", "cut.png": None, "empty.jpg": None, "text.jpg": None,
    }  # fmt: skip
    for name in ("a.png", "sub/b.png"):
        assert torch.equal(pixels(tmp_path / "out" / name), expected(model, mixed / name, Controls(strength=0.5)))
        assert (rows[name]["height"], rows[name]["width"]) == Image.open(mixed / name).size[::-1]
        assert rows[name]["seconds"] > 0 and rows[name]["node"] and rows[name]["error"] is None
    for name, words in (("cut.png", "damaged or cut off"), ("empty.jpg", "empty"), ("text.jpg", "not a picture")):
        assert f"{store}{mixed}/{name}" in rows[name]["error"] and words in rows[name]["error"]
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} - {"a.png", "b.png"}
    assert all(name.startswith(("rows-", "begun-")) for name in left), left  # nothing half done


def test_together_as_on_gpus(painting, photos, mixed, monkeypatch, tmp_path):
    """Pictures of one size in a pass; rows and results as of one after the other."""
    for number in range(3):
        Image.open(photos / "photo3.png").rotate(90 * number, expand=True).save(mixed / f"turned{number}.png")
    painting = replace(painting, engine="plain")
    (network,) = [model.network for models in painting.models.values() for model in models]
    alone = paint(replace(painting, target=Tree(tmp_path / "alone")), mixed)
    passes: list[int] = []
    hook = network.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    monkeypatch.setattr(PaintingActor, "together", True)
    rows = paint(painting, mixed)
    hook.remove()
    assert sorted(passes) == [1, 2, 2] and all(row["seconds"] > 0 for row in rows if row["error"] is None)
    told = ("seconds", "node")
    assert [{**row, **dict.fromkeys(told)} for row in rows] == [{**row, **dict.fromkeys(told)} for row in alone]
    for row in rows:
        if row["error"] is None:
            ours, other = (pixels(tmp_path / folder / row["output"]).int() for folder in ("out", "alone"))
            assert (ours - other).abs().max() <= 1


def test_a_source_that_is_gone(painting, photos):
    batch = batch_of(photos / "photo1.png").to_pylist()
    for source, words in ((f"{photos}/gone.png", "not there"), (f"file://{photos}/gone.png", "no such bucket, folder")):
        table = pa.Table.from_pylist([{**batch[0], "source": source}])
        (row,) = PaintingActor(painting)(table).to_pylist()
        assert words in row["error"] and row["output"] is None


@pytest.mark.parametrize("kind", ["shards", "parquet"])
@pytest.mark.parametrize("store", ["", "file://"])
def test_parts(painting, model, mixed, tmp_path, kind, store):
    """As WebDataset and pyarrow read them."""
    painting = replace(painting, target=Tree(f"{store}{tmp_path}/out"), kind=kind)
    rows = [row for row in paint(painting, mixed) if row["error"] is None]
    (part,) = {row["output"].split("/")[0] for row in rows}
    if kind == "shards":
        dataset = webdataset.WebDataset(str(tmp_path / "out" / part), shardshuffle=False, empty_check=False)
        found = {json.loads(sample["json"])["source"]: sample["png"] for sample in dataset}
    else:
        table = pa.parquet.read_table(tmp_path / "out").to_pylist()  # the whole folder is a data set
        assert all(row["width"] and row["output"].startswith(part) for row in table)
        found = {row["source"]: row["picture"] for row in table}
    assert set(found) == {f"{mixed}/a.png", f"{mixed}/sub/b.png"}
    for source, data in found.items():
        assert torch.equal(pixels(io_file(data, tmp_path)), expected(model, source))


def io_file(data: bytes, folder: Path) -> Path:
    Image.open(io.BytesIO(data)).verify()
    (folder / "picture.png").write_bytes(data)
    return folder / "picture.png"


def test_shards_as_input(painting, model, photos, tmp_path):
    write_shards(sorted(photos.iterdir()), photos, tmp_path / "shards", 20_000)
    rows = paint(painting, tmp_path / "shards")
    assert len(rows) == 8
    for row in rows:
        photo = photos / Path(row["source"]).name
        assert torch.equal(pixels(tmp_path / "out" / row["output"]), expected(model, photo))


def test_webdataset_keys_of_names_with_dots(painting, photos, tmp_path):
    for name in ("a.b.png", "a_b.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes((photos / "photo0.png").read_bytes())
    rows = paint(replace(painting, kind="shards"), tmp_path / "in")
    assert sorted(row["output"].partition("/")[2] for row in rows) == ["a_b.png", "a_b_.png"]


def test_several_models(painting, model, photos, tmp_path):
    torch.manual_seed(2)
    other = Model(TransformerNetwork(width=4, residual_blocks=1).eval(), {}, None)
    painting = replace(painting, models={"m": [model], "n": [other]})
    rows = paint(painting, photos)
    assert sorted(row["output"] for row in rows) == sorted(f"{n}/photo{i}.png" for i in range(8) for n in "mn")
    assert torch.equal(pixels(tmp_path / "out/n/photo3.png"), expected(other, photos / "photo3.png"))
    rows = paint(replace(painting, target=Tree(tmp_path / "once")), photos, once=True)
    assert sorted(row["output"] for row in rows) == [f"photo{i}.png" for i in range(8)]
    assert {row["model"] for row in rows} == {"m", "n"}
    mixed = replace(painting, models={"m+n": [model, other]}, mix=[0.25, 0.75], target=Tree(tmp_path / "mixed"))
    assert len(paint(mixed, photos)) == 8
    wanted = to_bytes(Stylizer([model, other], "cpu", mix=[0.25, 0.75])(read_image(photos / "photo3.png")))
    assert torch.equal(pixels(tmp_path / "mixed/photo3.png"), wanted)


def test_forms(painting, photos, tmp_path):
    """A still becomes what was asked for, an animation goes on moving."""
    (tmp_path / "in").mkdir()
    first, second = (Image.open(photos / f"photo{i}.png").resize((40, 30)) for i in range(2))
    first.save(tmp_path / "in/moving.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "in/still.gif")
    first.save(tmp_path / "in/still.png")
    rows = paint(replace(painting, form=".jpg"), tmp_path / "in")
    assert sorted(row["output"] for row in rows) == ["moving.gif", "still.gif.jpg", "still.png.jpg"]
    assert Image.open(tmp_path / "out/moving.gif").n_frames == 2


@pytest.mark.parametrize("kind", ["files", "parquet"])
def test_a_batch_is_not_painted_twice(painting, photos, kind, monkeypatch):
    """Ray hands it out again where the answer was lost on its way."""
    painting = replace(painting, kind=kind)
    before = paint(painting, photos)
    monkeypatch.setattr("fastnst.cluster.painting_actor.stylize_files", None)
    assert paint(painting, photos) == before


class Killed(BaseException):
    """The end of the process, as far as the batch can tell."""


def test_a_batch_is_taken_up_where_its_worker_died(painting, photos, tmp_path, monkeypatch):
    painted = []

    def paint_three(*arguments):
        painted.append(None)
        if len(painted) == 4:
            raise Killed
        return original(*arguments)

    original = many_files.paint
    monkeypatch.setattr(many_files, "paint", paint_three)
    with pytest.raises(Killed):
        paint(painting, photos)
    there = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    assert 2 <= len(there) <= 3
    rows = paint(painting, photos)
    assert [row["error"] for row in rows] == [None] * 8
    assert sum(row["seconds"] is None for row in rows) == len(there)
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == time for name, time in there.items())


def test_a_picture_that_kills_its_workers_is_given_up(painting, photos, monkeypatch):
    """The others are painted all the same."""

    def die_of_one(stylizer, still, controls, tell):
        if still.content.shape[-1] == 76:  # photo4
            raise Killed
        return original(stylizer, still, controls, tell)

    original = many_files.paint
    monkeypatch.setattr(many_files, "paint", die_of_one)
    deaths = 0
    while True:
        try:
            rows = paint(painting, photos)
            break
        except Killed:
            deaths += 1
    assert deaths == 3  # one in the crowd, two of which it is known who it was
    assert [Path(row["source"]).stem for row in rows if row["error"]] == ["photo4"]
    assert "2 workers died while they painted it" in rows[4]["error"]


def test_memory_that_runs_out_ends_nothing(painting, photos, monkeypatch):
    def full(stylizer, still, controls, tell):
        if still.content.shape[-1] == 76:
            raise MemoryError
        return original(stylizer, still, controls, tell)

    original = many_files.paint
    monkeypatch.setattr(many_files, "paint", full)
    rows = paint(painting, photos)
    assert [Path(row["source"]).stem for row in rows if row["error"]] == ["photo4"]


def test_a_file_that_another_run_left_is_no_result(painting, photos, tmp_path, monkeypatch):
    """Nor is it when the worker that found it there has died."""

    def die_of_one(stylizer, still, controls, tell):
        if still.content.shape[-1] == 76:  # photo4
            raise Killed
        return original(stylizer, still, controls, tell)

    original = many_files.paint
    (tmp_path / "out").mkdir()
    for number in (0, 6):
        (tmp_path / f"out/photo{number}.png").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(many_files, "paint", die_of_one)
        with pytest.raises(Killed):
            paint(painting, photos)
    assert (tmp_path / "out/photo6.png").read_bytes() == b"old"
    rows = paint(painting, photos)
    assert [row["seconds"] is None for row in rows] == [False, True, True, True, *[False] * 4]
    assert all(Image.open(tmp_path / "out" / row["output"]).size for row in rows)


def test_another_version_is_refused_by_name(painting, photos):
    with pytest.raises(InputError, match=r"node .+ has fastnst .+, this machine 9.9: install the same on both"):
        paint(replace(painting, version="9.9"), photos)


def test_a_target_that_is_full_is_said(painting, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/photo0.png").mkdir()  # a folder in the way
    row, *others = paint(painting, photos)
    assert "folder" in row["error"] and not any(other["error"] for other in others)


def test_names_of_batches(photos):
    tasks = batch_of(photos).to_pylist()
    assert batch_name(tasks) == batch_name(tasks) != batch_name(tasks[1:])


def test_rows_are_left_beside_the_results(painting, photos):
    rows = paint(painting, photos)
    account = Account(painting.target)
    (name,) = [name for name in account.target.sizes() if name.startswith(f"{RUN}/rows-")]
    assert account.read(name) == rows
