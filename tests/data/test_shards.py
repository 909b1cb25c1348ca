"""Shards hold the same photographs as the folder that they were made from, and give the same batches."""

import io
import json
import shutil
import tarfile
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from fastnst.data.datamodule import PhotoDataModule
from fastnst.data.photos import PhotoDataset, PhotoSampler, collate
from fastnst.data.sharding import write_index, write_shards
from fastnst.data.shards import INDEX, Shards, SourceLost, Store
from fastnst.data.sources import folder_photos
from fastnst.errors import InputError
from tests.conftest import run_script


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Twelve photographs in two folders, one of them broken."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (40 + number, 50, 3), np.uint8)
        path = folder / ("a" if number % 2 else "b") / f"{number:02}.v1.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / "a" / "03.v1.png").write_bytes(b"rubbish")
    return folder


@pytest.fixture(scope="module")
def packed(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    assert len(write_shards(folder_photos(source), source, folder, shard_bytes=30_000)) == 4
    return folder


def batches(data: PhotoDataModule) -> list:
    return list(data.train_dataloader())


def module(root, **options) -> PhotoDataModule:
    given = {"image_size": 32, "batch_size": 2, "steps": 8, "workers": 0, "validation_photos": 2}
    data = PhotoDataModule("webdataset", str(root), **{**given, **options})
    data.setup()
    return data


def test_what_is_packed_comes_out(source, packed):
    shards = Shards(packed)
    assert len(shards.photos) == 12
    for photo, original in zip(shards.photos, folder_photos(source), strict=True):
        place = shards.places[str(photo)]
        assert shards.store.read(place.shard, place.offset, place.size) == original.read_bytes()
        assert photo.name == original.name.replace(".v1", "_v1") and photo.parent.name == original.parent.name
    assert not list(packed.glob(".*"))


def test_packing_again_gives_the_same_bytes_and_replaces_nothing(source, packed, tmp_path):
    again = write_shards(folder_photos(source), source, tmp_path / "again", shard_bytes=30_000)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in sorted(packed.glob("*.tar"))]
    with pytest.raises(InputError, match="holds shards already"):
        write_shards(folder_photos(source), source, packed)


def test_batches_are_those_of_the_dataset_over_the_files(source, packed):
    """By a second route: the data set over the original files in the same order."""
    shards = Shards(packed)
    from_files = PhotoDataset(folder_photos(source), 32, seed=3)
    from_shards = PhotoDataset(shards.photos, 32, seed=3, open_photo=shards.open_photo)
    for k in range(30):
        one, other = from_files[k], from_shards[k]
        assert torch.equal(one["image"], other["image"])
        assert len(one["skipped"]) == len(other["skipped"])


def test_workers_processes_and_resuming_change_nothing(packed):
    whole = batches(module(packed))
    assert [b["skipped"] for b in whole] == [b["skipped"] for b in batches(module(packed, workers=2))]
    pictures = torch.stack([b["images"] for b in whole])
    assert torch.equal(pictures, torch.stack([b["images"] for b in batches(module(packed, workers=2))]))
    later = module(packed)
    later.trainer = SimpleNamespace(global_rank=0, world_size=1, global_step=5)
    rest = batches(later)
    assert torch.equal(pictures[5:], torch.stack([b["images"] for b in rest]))
    bad = {path for b in whole for path in b["skipped"]}
    assert len(bad) == 1 and bad.pop().endswith("03_v1.png")
    shards = Shards(packed)
    data = PhotoDataset(shards.photos, 32, 0, 16, open_photo=shards.open_photo)
    ranks = [list(DataLoader(data, 2, sampler=PhotoSampler(0, 16, r, 2), collate_fn=collate)) for r in range(2)]
    alone = list(DataLoader(data, 4, sampler=PhotoSampler(0, 16), collate_fn=collate))
    for step in range(4):
        together = torch.stack([ranks[0][step]["images"], ranks[1][step]["images"]], dim=1).flatten(0, 1)
        assert torch.equal(together, alone[step]["images"])


def test_foreign_shards_and_shards_whose_index_is_old_are_read_through(packed, tmp_path):
    folder = tmp_path / "foreign"
    shutil.copytree(packed, folder)
    (folder / INDEX).unlink()
    assert [p.name for p in Shards(folder).photos] == [p.name for p in Shards(packed).photos]
    shutil.copy(packed / INDEX, folder)
    first = sorted(folder.glob("*.tar"))[0]
    shutil.copy(sorted(folder.glob("*.tar"))[-1], first)  # of another size than the index says
    assert len(Shards(folder).photos) < 12
    assert write_index(folder) == len(Shards(folder).photos)


def test_webdataset_reads_ours_and_we_read_webdatasets(source, packed, tmp_path):
    import webdataset

    urls = [str(path) for path in sorted(packed.glob("*.tar"))]
    theirs = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [each["png"] for each in theirs] == [path.read_bytes() for path in folder_photos(source)]
    with webdataset.TarWriter(str(tmp_path / "theirs.tar")) as writer:
        for number, path in enumerate(folder_photos(source)):
            writer.write({"__key__": f"{number:04}", "png": path.read_bytes(), "txt": "a caption"})
    ours = Shards(tmp_path)
    assert [path.name for path in ours.photos] == [f"{number:04}.png" for number in range(12)]
    assert ours.open_photo(ours.photos[0]).size == (50, 41)


def test_a_cut_off_shard_gives_what_is_before_the_cut(packed, tmp_path):
    whole = sorted(packed.glob("*.tar"))[0]
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:15_000])
    said = []
    shards = Shards(tmp_path, said.append)
    assert 1 <= len(shards.photos) < len(Shards(packed).photos) / 2
    readable = 0
    for photo in shards.photos:
        try:
            readable += shards.open_photo(photo).size > (0, 0)
        except InputError as error:
            assert not isinstance(error, SourceLost)  # one broken photograph
    assert readable >= 1


def test_a_compressed_shard_is_named(packed, tmp_path):
    import gzip

    (tmp_path / "a.tar").write_bytes(gzip.compress(sorted(packed.glob("*.tar"))[0].read_bytes()))
    said = []
    with pytest.raises(InputError, match="no shards with pictures"):
        Shards(tmp_path, said.append)
    assert "uncompressed" in said[0]


@pytest.mark.parametrize(
    "index",
    [
        b"{",
        b"[]",
        b'{"format": 1, "shards": {"../../etc/passwd.tar": {"bytes": 9, "members": []}}}',
        b'{"format": 1, "shards": {"photos-000000.tar": {"bytes": SIZE, "members": [["a.png", 0, 99999999999]]}}}',
        b'{"format": 1, "shards": {"photos-000000.tar": {"bytes": SIZE, "members": [["a.png", -5, 3]]}}}',
        b'{"format": 2, "shards": {}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_or_hostile_index_is_one_line(packed, tmp_path, index):
    shutil.copytree(packed, tmp_path / "shards")
    size = (tmp_path / "shards" / "photos-000000.tar").stat().st_size
    (tmp_path / "shards" / INDEX).write_bytes(index.replace(b"SIZE", str(size).encode()))
    with pytest.raises(InputError, match=r"is damaged|has format 2"):
        Shards(tmp_path / "shards")


def test_members_that_are_no_pictures_are_left_alone(tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as archive:
        for name, kind in (("../../x.png", tarfile.SYMTYPE), ("dir.png", tarfile.DIRTYPE), (".hidden.png", b"0")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        picture = io.BytesIO()
        Image.new("RGB", (40, 40), "red").save(picture, "PNG")
        member = tarfile.TarInfo("red.png")
        member.size = picture.tell()
        archive.addfile(member, io.BytesIO(picture.getvalue()))
    assert [path.name for path in Shards(tmp_path).photos] == ["red.png"]


def test_a_shard_that_goes_away_ends_the_run_in_one_line(packed, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(packed, folder)
    data = module(folder, workers=1, validation_photos=0)
    for shard in folder.glob("*.tar"):
        shard.unlink()
    with pytest.raises(SourceLost) as caught:
        batches(data)
    assert len(str(caught.value).splitlines()) == 1 and "was it moved?" in str(caught.value)


def test_an_object_store(source, packed):
    """fsspec's store in memory stands for s3://, gs:// and the like."""
    memory = fsspec.filesystem("memory")
    for path in packed.iterdir():
        memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    local, remote = module(packed), module("memory://bucket")
    assert remote.at_once == 16
    assert [p.name for p in remote.training_paths] == [p.name for p in local.training_paths]
    for one, other in zip(batches(local), batches(remote), strict=True):
        assert torch.equal(one["images"], other["images"])
    memory.rm(f"/bucket/{INDEX}")
    assert write_index("memory://bucket") == 12 and memory.exists(f"/bucket/{INDEX}")


def test_a_web_server_that_does_not_list_its_folders(packed):
    class Server(SimpleHTTPRequestHandler):
        """Answers ranges, as object stores do."""

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(packed))

        def do_GET(self):
            path = packed / self.path.strip("/")
            if not path.is_file():
                self.send_error(403)
                return
            data = path.read_bytes()
            wanted = self.headers.get("Range")
            if wanted:
                first, last = wanted.removeprefix("bytes=").split("-")
                data = data[int(first) : int(last) + 1 if last else None]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        shards = Shards(root)
        local = Shards(packed)
        assert [p.name for p in shards.photos] == [p.name for p in local.photos]
        for one, other in list(zip(shards.photos, local.photos, strict=True))[:4:3]:  # the second is the broken one
            assert shards.open_photo(one).tobytes() == local.open_photo(other).tobytes()
    finally:
        server.shutdown()


@pytest.mark.parametrize("status", [None, 403])
def test_a_store_that_refuses_is_asked_once(status):
    refusal = PermissionError("keep out") if status is None else OSError("keep out")
    refusal.status = status
    asked = []

    def read():
        asked.append(None)
        raise refusal

    with pytest.raises(SourceLost, match=r"memory://nowhere refuses a\.tar \(keep out\); may you read it\?"):
        Store("memory://nowhere")._patiently(read, "a.tar")
    assert len(asked) == 1


def test_a_store_that_fails_now_and_then_is_asked_again():
    store = Store("memory://nowhere", attempts=3, pause=0)
    answers = iter([OSError("reset"), TimeoutError("slow"), b"picture"])

    def read():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert store._patiently(read, "a.tar") == b"picture"
    with pytest.raises(SourceLost, match="does not answer"):
        Store("memory://nowhere", attempts=2, pause=0)._patiently(lambda: 1 / 0, "a.tar")


@pytest.mark.parametrize(
    ("root", "message"),
    [("missing", "is not there"), (".", "no shards"), ("nonsense://a/b", "cannot be reached")],
)
def test_wrong_places(tmp_path, monkeypatch, root, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        Shards(root)


def test_the_command_line(source, tmp_path):
    answer = run_script("make_shards", source, "shards", cwd=tmp_path)
    assert answer.code == 0 and "12 photographs; train on them with: data=webdataset data.root=shards" in answer.out
    assert len(json.loads((tmp_path / "shards" / INDEX).read_text())["shards"]["photos-000000.tar"]["members"]) == 12
    assert "holds shards already" in run_script("make_shards", source, "shards", cwd=tmp_path).error()
    (tmp_path / "shards" / INDEX).unlink()
    assert run_script("make_shards", "--index", "shards", cwd=tmp_path).code == 0
    assert (tmp_path / "shards" / INDEX).exists()
    assert "give a folder of photographs" in run_script("make_shards", source, cwd=tmp_path).error()
    assert "no shards" in run_script("make_shards", "--index", source, cwd=tmp_path).error()
