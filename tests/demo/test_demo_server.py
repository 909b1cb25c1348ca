"""`scripts/demo.py` as a running server, and what a stranger might send it."""

import asyncio
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import time
import uuid
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from filelock import FileLock

from fastnst.demo import atelier as atelier_module
from fastnst.demo.atelier import LOCK, PREFIX, Atelier
from fastnst.demo.gate import LOOPBACK, REQUESTS_AT_ONCE, UPLOADS_AT_ONCE, Gate
from fastnst.errors import InputError
from fastnst.images.saving import save_image
from fastnst.models.model_file import save_model
from fastnst.networks import build_network
from fastnst.stylization.controls import Controls
from tests.conftest import start_script

PATIENCE = 240
"""Seconds until the server answers; it takes four, but tests may share the machine with a training."""
MEGABYTE = 1_000_000


class Server(NamedTuple):
    process: subprocess.Popen
    port: int
    temporary: Path
    secret: Path

    def ask(self, method: str, path: str, body=None, **headers: str) -> tuple[int, bytes]:
        """Exactly this path: nothing is tidied on the way."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            with suppress(BrokenPipeError):  # who turns something away does not read all of it
                connection.request(method, path, body, sent, encode_chunked=chunked)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def upload(
        self, content: bytes, name: str = "a.png", door: str = "/gradio_api/upload", **headers: str
    ) -> tuple[int, bytes]:
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        form = head + content + f"\r\n--{edge}--\r\n".encode()
        return self.ask("POST", door, form, Content_Type=f"multipart/form-data; boundary={edge}", **headers)

    def paint(self, path: str, side: float = 256, strength: float = 1) -> str:
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


def until(happens) -> None:
    for _ in range(10 * PATIENCE):
        if happens():
            return
        time.sleep(0.1)
    raise AssertionError("never happened")


def started(folder: Path) -> Server:
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 2, "residual_blocks": 1})
    save_model(folder / "blue.ckpt", network, {"style": {"name": "blue"}}, torch.rand(3, 8, 8))
    (folder / "secret.txt").write_text("the secret")
    (folder / "tmp").mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Deprecations within gradio's server would be answers 500; our own code meets them in test_demo.py.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    with open(folder / "log.txt", "w", encoding="utf-8") as log:  # nobody reads a pipe, which is full some time
        process = start_script(
            "demo", "--model", "blue.ckpt", "--port", port, "--device", "cpu", "--max-upload", 1, cwd=folder,
            env={**environment, "TMPDIR": str(folder / "tmp")}, stdout=log, stderr=log,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )  # fmt: skip
    server = Server(process, port, folder / "tmp", folder / "secret.txt")
    for _ in range(10 * PATIENCE):
        assert process.poll() is None, (folder / "log.txt").read_text(encoding="utf-8")
        try:
            server.ask("GET", "/")
            break
        except OSError:
            time.sleep(0.1)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = started(tmp_path_factory.mktemp("demo"))
    yield running
    running.process.kill()
    running.process.communicate()


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


DOORS = ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/", "/gradio_api/stream/", "/theme/")


def test_no_file_outside_can_be_read(server):
    secret = str(server.secret)
    up = "../" * 12
    inside = next(server.temporary.glob("*/uploads/*/*"))  # what may be read can be
    assert server.ask("GET", f"/gradio_api/file={inside}")[0] == 200
    paths = [secret, f"{up}{secret[1:]}", "/etc/passwd", f"{up}etc/passwd", "secret.txt", "blue.ckpt"]
    paths += ["/proc/self/environ", f"{inside.parent}/{up}etc/passwd", f"{inside.parent}/../../../../secret.txt"]
    coded = [path.replace("/", "%2F").replace(".", "%2e") for path in paths]
    tried = 0
    for door in DOORS:
        for path in [*paths, *coded, *(path.replace("/", "\\") for path in paths)]:
            status, body = server.ask("GET", door + path)
            assert status in (400, 403, 404, 405, 422), (door, path, status)
            assert b"the secret" not in body and b"root:" not in body
            tried += 1
    assert tried == 7 * 27


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://127.0.0.1:1/", "/gradio_api/proxy=http://127.0.0.1:1/", "/monitoring", "/openapi.json",
        "/gradio_api/proxy=file:///etc/passwd", "/monitoring/summary", "/docs",
        "/gradio_api/dev/reload", "/gradio_api/vibe-code",
    ],
)  # fmt: skip
def test_what_else_the_server_could_do_is_shut(path, server):
    assert server.ask("GET", path)[0] in (403, 404)


@pytest.mark.parametrize("door", ["process_recording", "vibe-edit", "undo-vibe-edit", "component_server", "run/paint"])
def test_nothing_else_can_be_sent(door, server, picture):
    before = set(server.temporary.rglob("*"))
    assert server.upload(picture, door=f"/gradio_api/{door}")[0] == 404
    assert server.ask("PUT", "/gradio_api/upload", b"x")[0] == 404
    assert set(server.temporary.rglob("*")) == before


def test_pages_from_elsewhere_may_not_use_it(server, picture):
    own = f"127.0.0.1:{server.port}"
    for host in (own, f"localhost:{server.port}"):
        assert server.ask("GET", "/config", Host=host, Origin=f"http://{host}")[0] == 200
    for host in ("elsewhere.example", f"elsewhere.example:{server.port}", f"127.0.0.1.example:{server.port}", "[", ""):
        assert server.ask("GET", "/config", Host=host)[0] in (400, 403)
    for origin in ("http://elsewhere.example", "null", f"http://elsewhere.example@{own}", "http://127.0.0.1:1"):
        assert server.upload(picture, Origin=origin)[0] == 403


def test_broken_pictures_are_answered_in_one_line(server, picture):
    bomb = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb += struct.pack(">I", zlib.crc32(bomb[12:]))
    for number, content in enumerate((b"", b"hello", picture[: len(picture) // 2], bomb, b"GIF89a" + bytes(500))):
        path = json.loads(server.upload(content, f"x{number}.png")[1])[0]
        answer = server.paint(path)
        done = next(line for line in answer.splitlines() if "process_completed" in line)
        error = json.loads(done.removeprefix("data: "))["output"]["error"]
        assert f"x{number}.png" in error and str(server.temporary) not in error and "\n" not in error, error
    assert server.ask("GET", "/config")[0] == 200


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
    def endless(start: bytes):
        yield start or b"-"
        for _ in range(64):
            yield bytes(MEGABYTE // 4)

    edge = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    with suppress(ConnectionError):  # the line may be cut before we have sent all
        assert server.upload(bytes(MEGABYTE + 20_000))[0] == 413
    with suppress(ConnectionError):
        for start, statuses in ((b"", (400,)), (edge, (413,))):
            status, _ = server.ask(
                "POST", "/gradio_api/upload", endless(start), Content_Type="multipart/form-data; boundary=x"
            )
            assert status in statuses
    kept = [path.stat().st_size for path in server.temporary.rglob("*") if path.is_file()]
    assert max(kept, default=0) < MEGABYTE + 20_000


def test_what_the_sliders_cannot_be_set_to_is_refused(server, picture):
    path = json.loads(server.upload(picture)[1])[0]
    for wrong in ({"side": 10**6}, {"side": -1}, {"strength": 7}):
        answer = server.paint(path, **wrong)
        assert "50 x 40" not in answer and '"success":true' not in answer.replace(" ", ""), answer


def test_too_many_uploads_at_once_are_turned_away(server, picture):
    head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    head += b"Content-Length: 500000\r\n\r\n"
    head += b'--x\r\nContent-Disposition: form-data; name="files"; filename="slow.png"\r\n\r\n'
    with ExitStack() as lines:
        for _ in range(UPLOADS_AT_ONCE):
            lines.enter_context(socket.create_connection(("127.0.0.1", server.port))).sendall(head + bytes(99))
        until(lambda: server.upload(picture)[0] == 503)
    until(lambda: server.upload(picture)[0] == 200)  # they have gone


def test_a_stopped_page_leaves_nothing(server, picture):
    assert server.upload(picture, "last.png")[0] == 200 and len(server.folders()) == 1
    server.process.terminate()
    server.process.communicate(timeout=PATIENCE)
    assert server.process.returncode == 128 + signal.SIGTERM and list(server.temporary.iterdir()) == []


def left_behind(temporary: Path) -> list[Path]:
    """Folders as a killed page, one that runs, one that just starts, and somebody else leave them."""
    folders = [temporary / f"{PREFIX}{name}" for name in ("dead", "running", "starting", "foreign")]
    for folder in folders:
        (folder / "uploads").mkdir(parents=True)
        (folder / "uploads" / "picture.png").touch()
    for folder in folders[:3]:
        (folder / LOCK).touch()
    for folder in folders[:2]:
        os.utime(folder / LOCK, (0, 0))
    (temporary / f"{PREFIX}link").symlink_to(folders[0])
    return folders


def test_ctrl_c_leaves_nothing_and_a_start_clears_what_a_killed_page_left(tmp_path, picture):
    (tmp_path / "tmp").mkdir()
    folders = left_behind(tmp_path / "tmp")
    with FileLock(folders[1] / LOCK):
        server = started(tmp_path)
    assert [folder.exists() for folder in folders] == [False, True, True, True]
    assert server.upload(picture)[0] == 200 and len(server.folders()) == 5
    server.process.send_signal(signal.SIGINT)
    server.process.communicate(timeout=PATIENCE)
    assert set(server.temporary.iterdir()) == {*folders[1:], server.temporary / f"{PREFIX}link"}


class Visit:
    """One request to a :class:`Gate`, and what came of it."""

    def __init__(
        self, messages, gate: Gate, method: str = "POST", path: str = "/gradio_api/upload", headers=()
    ) -> None:
        self.messages, self.sent = list(messages), []
        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        asyncio.run(gate(scope, self.receive, self.send))

    async def receive(self):
        if not self.messages:
            await asyncio.sleep(PATIENCE)
        return self.messages.pop(0)

    async def send(self, message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        (start, _) = self.sent
        return start["status"]


async def reads_all(scope, receive, send):
    """An application as gradio's is: wants the whole body, then answers."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("gone")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def part(size: int, more: bool):
    return {"type": "http.request", "body": bytes(size), "more_body": more}


def test_slow_and_large_requests_are_cut_off(tmp_path):
    gate = Gate(reads_all, str(tmp_path), largest=100)
    assert Visit([part(50, True), part(50, False)], gate).status == 200
    assert Visit([part(50, True), part(51, False)], gate).status == 413
    patience, gate.seconds = gate.seconds, 0.05
    assert Visit([part(50, True)], gate).status == 408
    assert Visit([part(50, True)], gate, path="/gradio_api/queue/join").status == 408
    gate.seconds = patience
    assert Visit([part(0, False)], gate, "GET", "/config").status == 200
    for length, status in ((b"100", 200), (b"101", 413), (b"-1", 413), (b"a", 413)):
        assert Visit([part(9, False)], gate, headers=[(b"content-length", length)]).status == status
    assert gate.requests == gate.uploading == 0


def test_uploads_are_turned_away_while_there_is_no_room(tmp_path):
    (tmp_path / "a").write_bytes(bytes(60))
    tidied = []
    gate = Gate(reads_all, str(tmp_path), largest=100, room=100, tidy=lambda: tidied.append(1))
    for length, status in ((b"40", 200), (b"41", 507)):
        assert Visit([part(9, False)], gate, headers=[(b"content-length", length)]).status == status
    assert Visit([part(9, False)], gate, path="/gradio_api/queue/join").status == 200 and len(tidied) == 2
    gate.requests = REQUESTS_AT_ONCE
    assert Visit([part(0, False)], gate, "GET", "/").status == 503


def test_a_name_at_a_proxy_can_be_allowed(tmp_path):
    gate = Gate(reads_all, str(tmp_path), largest=100, names=[*LOOPBACK, "paint.example"])
    for host, status in ((b"paint.example", 200), (b"[::1]:7860", 200), (b"other.example", 403)):
        assert Visit([part(0, False)], gate, "GET", "/", headers=[(b"host", host)]).status == status


def test_broken_off_uploads_are_forgotten_and_a_full_page_says_so(tmp_path, picture, monkeypatch):
    save_model(tmp_path / "a.ckpt", build_network("transformer", {"width": 2}), {"style": {"name": "a"}})
    (tmp_path / "a.png").write_bytes(picture)
    atelier = Atelier([str(tmp_path / "a.ckpt")], "cpu")
    old, new, whole = atelier.uploads / "tmp1", atelier.uploads / "tmp2", atelier.uploads / "0a" / "a.png"
    whole.parent.mkdir()
    for path in (old, new, whole):
        path.touch()
    for path in (old, whole):
        os.utime(path, (0, 0))
    atelier.forget_old_results()
    assert [path.exists() for path in (old, new, whole)] == [False, True, True]
    monkeypatch.setattr(atelier_module, "ROOM", 0)
    new.write_bytes(b"1")
    with pytest.raises(InputError, match="no room for more pictures"):
        atelier.paint("a", tmp_path / "a.png", Controls())
    folder = Path(atelier.results.name)
    atelier.close()
    assert not folder.exists()


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
