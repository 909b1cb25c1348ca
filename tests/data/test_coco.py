"""The download, against a server on this machine that misbehaves in every way we could think of."""

import hashlib
import io
import re
import shutil
import stat
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastnst.commands import download_coco as download_coco_command
from fastnst.data import coco
from fastnst.data.coco import ARCHIVES, Archive, download, download_coco, unpack
from fastnst.errors import InputError, input_errors_end_with_code_2


def zipped_photos(extra: dict[str, bytes] | None = None, count: int = 3, folder: str = "tiny2017") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{folder}/", b"")
        for index in range(count):
            picture = io.BytesIO()
            noise = np.random.default_rng(index).integers(0, 255, (120, 160, 3), np.uint8)
            Image.fromarray(noise).save(picture, "JPEG")
            archive.writestr(f"{folder}/{index:012}.jpg", picture.getvalue())
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def archive_of(content: bytes, photos: int = 3) -> Archive:
    return Archive("tiny2017", len(content), hashlib.md5(content).hexdigest(), photos)


class Server(ThreadingHTTPServer):
    """Serves one file; ``cuts`` says after how many bytes each of the first answers breaks off."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.cuts: list[int] = []
        self.codes: list[int] = []
        self.knows_ranges = True
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/zips"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.codes:
            self.send_error(server.codes.pop(0))
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and server.knows_ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(zipped_photos()) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(coco.time, "sleep", waits.append)
    return waits


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fetch(server: Server, target: Path, **options: object) -> None:
    archive = archive_of(server.content)
    download(f"{server.url}/tiny2017.zip", target, archive.size, archive.md5, **options)


def test_from_question_to_photographs(server, tmp_path):
    questions, stages = [], []
    root = tmp_path / "data" / "coco"
    folder = download_coco(
        archive_of(server.content),
        root,
        url=server.url + "/",
        agree=lambda question: not questions.append(question),
        progress=lambda stage, done, total: stages.append((stage, done <= total, done == total)),
    )
    assert folder == root / "tiny2017" and len(names(folder)) == 3
    assert names(root) == ["tiny2017"]  # neither zip nor half-done things are left
    assert len(questions) == 1 and "free in" in questions[0] and "MB to download" in questions[0]
    assert {stage for stage, _, end in stages if end} == {"download", "check", "unpack"}
    assert all(sensible for _, sensible, _ in stages)
    again = download_coco(archive_of(server.content), root, url="http://127.0.0.1:1", agree=lambda question: False)
    assert again == folder  # done already: no question, no network


def test_no_means_no(server, tmp_path):
    with pytest.raises(InputError, match="not downloaded, as you asked"):
        download_coco(archive_of(server.content), tmp_path, url=server.url, agree=lambda question: False)
    assert server.asked == [] and names(tmp_path) == []


def test_a_line_cut_again_and_again_is_taken_up_where_it_broke(server, tmp_path):
    server.cuts = [1000, 1, 500]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == server.content
    assert server.asked == [None, "bytes=1000-", "bytes=1001-", "bytes=1501-"]
    assert names(tmp_path) == ["a.zip"]


def test_a_later_run_goes_on_where_the_earlier_one_stopped(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(server.content[:1234])
    fetch(server, tmp_path / "a.zip")
    assert server.asked == ["bytes=1234-"]
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_a_finished_part_is_only_checked(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(server.content)
    fetch(server, tmp_path / "a.zip")
    assert server.asked == [] and names(tmp_path) == ["a.zip"]


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(server.content + b"more")
    fetch(server, tmp_path / "a.zip")
    assert server.asked == [None] and (tmp_path / "a.zip").read_bytes() == server.content


def test_a_server_that_ignores_range_sends_everything_again(server, tmp_path):
    server.knows_ranges = False
    server.cuts = [2000]
    fetch(server, tmp_path / "a.zip")
    assert server.asked == [None, "bytes=2000-"]
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_errors_of_the_moment_are_tried_again_with_growing_pauses(server, tmp_path, no_waiting):
    server.codes = [503, 429, 500]
    fetch(server, tmp_path / "a.zip")
    assert no_waiting == [2, 4, 8]
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_it_is_given_up_when_nothing_new_comes(server, tmp_path, no_waiting):
    (tmp_path / "a.zip.part").write_bytes(server.content[:100])
    server.cuts = [0] * 100
    with pytest.raises(InputError, match="run it again to resume from 100 bytes"):
        fetch(server, tmp_path / "a.zip", attempts=4)
    # The first try counts as progress: it finds the 100 bytes of the earlier run.
    assert len(server.asked) == 5 and names(tmp_path) == ["a.zip.part"]


def test_no_server_at_all(tmp_path):
    with pytest.raises(InputError, match="could not be downloaded"):
        download("http://127.0.0.1:1/a.zip", tmp_path / "a.zip", 10, "", attempts=2)
    assert names(tmp_path) == []


def test_a_wrong_address_is_not_tried_again(server, tmp_path):
    server.codes = [404]
    with pytest.raises(InputError, match="404 Not Found; check the address"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.asked) == 1 and names(tmp_path) == []


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path):
    with pytest.raises(InputError, match="checksum"):
        download(server.url, tmp_path / "a.zip", len(server.content), "0" * 32)
    assert names(tmp_path) == []


def test_a_file_of_another_size_is_refused_before_it_is_loaded(server, tmp_path):
    with pytest.raises(InputError, match="instead of 19,336,861,798"):
        download(server.url, tmp_path / "a.zip", ARCHIVES["train2017"].size, "")
    assert names(tmp_path) == []


def test_a_full_disk_while_downloading(server, tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(coco, "_open_for_writing", lambda part, keep: Full())
    with pytest.raises(InputError, match="No space left"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.asked) == 1


def test_too_little_room_is_said_before_anything_is_loaded(server, tmp_path, monkeypatch):
    monkeypatch.setattr(coco.shutil, "disk_usage", lambda root: shutil._ntuple_diskusage(0, 0, 20_000_000_000))
    with pytest.raises(InputError, match=r"needs 38\.7 GB more in .*, 20\.0 GB are free"):
        download_coco(ARCHIVES["train2017"], tmp_path, url=server.url)
    assert server.asked == []


def test_an_incomplete_folder_in_the_way(server, tmp_path):
    folder = download_coco(archive_of(server.content), tmp_path, url=server.url)
    next(folder.glob("*.jpg")).unlink()
    with pytest.raises(InputError, match="2 of 3 photographs"):
        download_coco(archive_of(server.content), tmp_path, url=server.url)


# Unpacking


@pytest.mark.parametrize(
    "evil",
    ["../evil.jpg", "tiny2017/../../evil.jpg", "/tmp/evil.jpg", "evil.jpg", "other/evil.jpg", "tiny2017\\..\\evil.jpg"],
)
def test_nothing_is_unpacked_outside_of_its_folder(tmp_path, evil):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.zip").write_bytes(zipped_photos({evil: b"evil"}))
    with pytest.raises(InputError, match="does not belong"):
        unpack(tmp_path / "root" / "a.zip", tmp_path / "root" / "tiny2017", 3)
    assert names(tmp_path) == ["root"] and names(tmp_path / "root") == ["a.zip"]


def test_links_are_not_unpacked(tmp_path):
    buffer = io.BytesIO(zipped_photos())
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("tiny2017/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="does not belong"):
        unpack(tmp_path / "a.zip", tmp_path / "tiny2017", 3)
    assert names(tmp_path) == ["a.zip"]


def test_damaged_or_incomplete_archives_leave_no_folder(tmp_path):
    content = bytearray(zipped_photos())
    content[2000] ^= 0xFF  # inside the first photograph
    (tmp_path / "bit.zip").write_bytes(content)
    (tmp_path / "cut.zip").write_bytes(content[:5000])
    (tmp_path / "few.zip").write_bytes(zipped_photos(count=2))
    for name, message in (("bit", "damaged"), ("cut", "damaged"), ("few", "2 photographs instead of 3")):
        with pytest.raises(InputError, match=message):
            unpack(tmp_path / f"{name}.zip", tmp_path / "tiny2017", 3)
    assert names(tmp_path) == ["bit.zip", "cut.zip", "few.zip"]


def test_what_a_broken_off_unpacking_left_is_cleared_away(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped_photos())
    (tmp_path / ".tiny2017.unpacking" / "tiny2017").mkdir(parents=True)
    (tmp_path / ".tiny2017.unpacking" / "tiny2017" / "half.jpg").write_bytes(b"half")
    unpack(tmp_path / "a.zip", tmp_path / "tiny2017", 3)
    assert names(tmp_path) == ["a.zip", "tiny2017"] and len(names(tmp_path / "tiny2017")) == 3


# The command line


@pytest.fixture
def script(monkeypatch, server):
    monkeypatch.setitem(ARCHIVES, "val2017", archive_of(server.content))
    return download_coco_command


def test_command_line(script, server, tmp_path, capsys, monkeypatch):
    arguments = ["--split", "val2017", "--root", str(tmp_path), "--url", server.url]
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(SystemExit) as ended, input_errors_end_with_code_2():
        script.main(arguments)
    assert ended.value.code == 2 and "as you asked" in capsys.readouterr().err

    def nobody(question):
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(InputError, match="--yes"):
        script.main(arguments)
    assert script.main([*arguments, "--yes"]) == 0
    assert f"3 photographs in {tmp_path / 'tiny2017'}" in capsys.readouterr().out


def test_interrupted_by_hand(script, server, tmp_path, capsys, monkeypatch):
    def interrupt(question):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert script.main(["--split", "val2017", "--root", str(tmp_path), "--url", server.url]) == 130
    assert "run it again" in capsys.readouterr().err


def test_published_archives():
    assert {name: archive.photos for name, archive in ARCHIVES.items()} == {"train2017": 118287, "val2017": 5000}
    assert all(name == archive.name and len(archive.md5) == 32 for name, archive in ARCHIVES.items())
