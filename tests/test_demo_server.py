"""`scripts/demo.py` as a running server, and what a stranger might send it."""

import http.client
import json
import os
import signal
import socket
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from fastnst import demo
from fastnst.checkpoints import save_model
from fastnst.demo import PREFIX, Atelier
from fastnst.errors import InputError
from fastnst.images.files import save_image
from fastnst.networks import build_network
from fastnst.stylization.controls import Controls
from tests.conftest import start_script

PATIENCE = 240
"""Seconds until the server answers; it takes four, but tests may share the machine with a training."""
MEGABYTE = 1_000_000


class Server(NamedTuple):
    port: int
    temporary: Path
    secret: Path

    def ask(self, method: str, path: str, body=None, **headers: str) -> tuple[int, bytes]:
        """Exactly this path: nothing is tidied on the way."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(
                method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}, encode_chunked=chunked
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def upload(self, content: bytes, name: str = "a.png") -> tuple[int, bytes]:
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        form = head + content + f"\r\n--{edge}--\r\n".encode()
        return self.ask("POST", "/gradio_api/upload", form, Content_Type=f"multipart/form-data; boundary={edge}")

    def paint(self, path: str, side: float = 64, strength: float = 1) -> str:
        """What the page's button sends, and all that comes back."""
        session = uuid.uuid4().hex
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "x.png"}
        data = {"data": [None, picture, strength, "style", 1, 0, side], "fn_index": 1, "session_hash": session}
        status, answer = self.ask(
            "POST", "/gradio_api/queue/join", json.dumps(data).encode(), Content_Type="application/json"
        )
        if status != 200:
            return f"{status} {answer.decode()}"
        return self.ask("GET", f"/gradio_api/queue/data?session_hash={session}")[1].decode()

    def folders(self) -> list[Path]:
        return list(self.temporary.glob(f"{PREFIX}*"))


def started(folder: Path):
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 2, "residual_blocks": 1})
    save_model(folder / "blue.ckpt", network, {"style": {"name": "blue"}}, torch.rand(3, 8, 8))
    (folder / "secret.txt").write_text("the secret")
    (folder / "tmp").mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start_script(
        "demo", "--model", "blue.ckpt", "--port", port, "--device", "cpu", "--max-upload", 1, cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
    )  # fmt: skip
    server = Server(port, folder / "tmp", folder / "secret.txt")
    for _ in range(10 * PATIENCE):
        assert process.poll() is None, process.communicate()
        try:
            server.ask("GET", "/")
            break
        except OSError:
            time.sleep(0.1)
    return server, process


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running, process = started(tmp_path_factory.mktemp("demo"))
    yield running
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("picture") / "a.png"
    save_image(torch.rand(3, 40, 50), path)
    return path.read_bytes()


def test_it_listens_on_this_machine_only(server):
    with open("/proc/net/tcp") as table:
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    assert [each for each in listening if each.endswith(f":{server.port:04X}")] == [f"0100007F:{server.port:04X}"]
    other = socket.socket()
    other.settimeout(2)
    with pytest.raises(OSError), other:
        other.connect(("127.0.0.2", server.port))


def test_upload_and_paint(server, picture):
    status, answer = server.upload(picture)
    (path,) = json.loads(answer)
    assert status == 200 and Path(path).parent.parent.parent in server.folders()
    assert "50 x 40 in" in server.paint(path)


def test_no_file_outside_can_be_read(server):
    secret = str(server.secret)
    up = "../" * 12
    paths = [
        secret,
        f"{up}{secret[1:]}",
        "/etc/passwd",
        f"{up}etc/passwd",
        "secret.txt",
        "blue.ckpt",
        "/proc/self/environ",
    ]
    coded = [path.replace("/", "%2F").replace(".", "%2e") for path in paths]
    doors = (
        "/gradio_api/file=",
        "/file=",
        "/gradio_api/file/",
        "/static/",
        "/assets/",
        "/gradio_api/stream/",
        "/theme/",
    )
    tried = 0
    for door in doors:
        for path in [*paths, *coded, *(path.replace("/", "\\") for path in paths)]:
            status, body = server.ask("GET", (door + path).replace(" ", "%20"))
            assert status in (400, 403, 404, 405, 422) or b"<!doctype html>" in body.lower(), (door, path, status)
            assert b"the secret" not in body and b"root:" not in body
            tried += 1
    assert tried == 7 * 21
    for path in ("http://127.0.0.1:1/", "file:///etc/passwd"):
        assert server.ask("GET", f"/gradio_api/proxy={path}")[0] >= 400


def test_no_file_outside_can_be_painted(server):
    for path in (str(server.secret), "/etc/passwd", "../../secret.txt", "blue.ckpt", "http://127.0.0.1:1/a.png"):
        answer = server.paint(path)
        assert "50 x 40" not in answer and '"success":true' not in answer.replace(" ", ""), answer


@pytest.mark.parametrize(
    "name", ["../../../escaped.png", "/escaped.png", "..\\escaped.png", "a/../../escaped.png", "\x00.png", "x" * 5000]
)
def test_uploads_stay_in_their_folder(name, server, picture):
    before = {path for path in server.temporary.parent.rglob("*") if not path.is_relative_to(server.temporary)}
    status, answer = server.upload(picture, name)
    if status == 200:
        (path,) = json.loads(answer)
        (folder,) = server.folders()
        assert Path(path).resolve().is_relative_to(folder / "uploads")
    assert {path for path in server.temporary.parent.rglob("*") if not path.is_relative_to(server.temporary)} == before


def test_large_uploads_are_turned_away_before_they_reach_the_disk(server):
    status, _ = server.upload(bytes(MEGABYTE + 20_000))
    assert status == 413

    def endless():
        for _ in range(64):
            yield bytes(MEGABYTE // 4)

    try:
        status, _ = server.ask("POST", "/gradio_api/upload", endless(), Content_Type="multipart/form-data; boundary=x")
        assert status >= 400
    except OSError:
        pass  # the line was cut, as it should be
    kept = [path.stat().st_size for path in server.temporary.rglob("*") if path.is_file()]
    assert max(kept, default=0) < MEGABYTE + 20_000


def test_what_the_sliders_cannot_be_set_to_is_refused(server, picture):
    path = json.loads(server.upload(picture)[1])[0]
    for wrong in ({"side": 10**6}, {"side": -1}, {"strength": 7}):
        answer = server.paint(path, **wrong)
        assert "50 x 40" not in answer and '"success":true' not in answer.replace(" ", ""), answer


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_page_leaves_nothing(how, tmp_path, picture):
    server, process = started(tmp_path)
    assert server.upload(picture)[0] == 200 and len(server.folders()) == 1
    process.send_signal(how)
    process.communicate(timeout=PATIENCE)
    assert list(server.temporary.iterdir()) == []


def test_what_a_killed_page_left_is_cleared_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(demo.tempfile, "tempdir", str(tmp_path))
    dead, alive, other = (tmp_path / f"{PREFIX}{name}" for name in ("4194305-x", f"{os.getpid()}-x", "mine"))
    for folder in (dead, alive, other):
        (folder / "uploads").mkdir(parents=True)
    demo.forget_dead_demos()
    assert [folder.exists() for folder in (dead, alive, other)] == [False, True, True]


def test_a_painting_that_takes_too_long_is_broken_off(tmp_path, picture):
    save_model(tmp_path / "a.ckpt", build_network("transformer", {"width": 2}), {"style": {"name": "a"}})
    (tmp_path / "a.png").write_bytes(picture)
    atelier = Atelier([str(tmp_path / "a.ckpt")], "cpu", max_seconds=1e-9)
    with pytest.raises(InputError, match="more than 1e-09 seconds: choose a smaller"):
        atelier.paint("a", tmp_path / "a.png", Controls())
    atelier.max_seconds = 0.01
    with atelier.locks["a"], pytest.raises(InputError, match="try again later"):
        atelier.paint("a", tmp_path / "a.png", Controls())
    atelier.max_seconds = 1000
    assert atelier.paint("a", tmp_path / "a.png", Controls()).after.exists()
