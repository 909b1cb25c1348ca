"""Models by download, from a server on this machine."""

import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastnst.errors import InputError
from fastnst.models import model_file, releases
from fastnst.models.model_file import find_model, load_model
from fastnst.models.releases import RELEASES, Release
from tests.conftest import PROJECT


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served, with nothing shipped and an empty home beside it."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(model_file, "SHIPPED", tmp_path / "shipped")
        monkeypatch.setenv("FASTNST_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("FASTNST_RELEASES", f"http://127.0.0.1:{listening.server_port}/")
        yield folder
        listening.shutdown()


def test_the_table_is_what_the_wheel_leaves_out():
    excluded = re.findall(r'^    "/checkpoints/(\w+).ckpt",$', (PROJECT / "pyproject.toml").read_text(), re.M)
    assert excluded == sorted(RELEASES)
    for name, release in RELEASES.items():
        content = (PROJECT / "checkpoints" / f"{name}.ckpt").read_bytes()
        assert release == (len(content), hashlib.sha256(content).hexdigest()), name


def test_downloaded_once(server, trained, tmp_path, monkeypatch, capsys):
    content = (trained / "model.ckpt").read_bytes()
    (server / "candy.ckpt").write_bytes(content)
    monkeypatch.setitem(RELEASES, "candy", Release(len(content), hashlib.sha256(content).hexdigest()))
    for name in ("candy", "candy.ckpt"):
        found = find_model(name)
        assert found == tmp_path / "home" / "checkpoints" / "candy.ckpt" and found.read_bytes() == content
        (server / "candy.ckpt").unlink(missing_ok=True)
    assert load_model(found).card["steps"] == 6
    assert re.fullmatch(r"Downloading http\S+/candy.ckpt \(\d\.\d MB\) ...\n", capsys.readouterr().err)


@pytest.mark.parametrize("content", [b"", b"another", bytes(RELEASES["candy"].size), bytes(RELEASES["candy"].size + 9)])
def test_another_file(server, tmp_path, content):
    (server / "candy.ckpt").write_bytes(content)
    with pytest.raises(InputError, match=r"candy.ckpt is not the candy.ckpt of this fastnst \(its SHA-256 differs\)"):
        find_model("candy")
    assert not (tmp_path / "home").exists()


def test_nobody_or_nothing_there(server, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"cannot be downloaded \(HTTP Error 404: .*\): check FASTNST_RELEASES"):
        find_model("candy")
    for address in ("http://127.0.0.1:9", "nonsense"):
        monkeypatch.setenv("FASTNST_RELEASES", address)
        with pytest.raises(
            InputError, match=rf"^{address}/candy.ckpt cannot be downloaded \(.*put candy.ckpt into"
        ) as raised:
            find_model("candy")
        assert "\n" not in str(raised.value)
    monkeypatch.delenv("FASTNST_RELEASES")
    with pytest.raises(InputError, match=r"'candy' does not come with the installed package: .*set FASTNST_RELEASES"):
        find_model("candy")
    with pytest.raises(InputError, match=r"no model 'nope': .* candy"):
        find_model("nope")
    assert not (tmp_path / "home").exists() and releases.TIMEOUT <= 60
