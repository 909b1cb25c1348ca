"""Models of the Hugging Face Hub: from its cache, from a server on this machine, from folders; and what is refused."""

import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from huggingface_hub import constants
from safetensors import safe_open

import fastnst
from fastnst.errors import InputError
from fastnst.models.hub import as_address
from fastnst.models.model_file import find_model
from tests.conftest import run_script
from tests.models.test_styles import write

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PICTURE = torch.rand(3, 20, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(trained, tmp_path):
    """A model as a repository holds it."""
    return fastnst.Stylizer(trained / "model.ckpt", "cpu").save_pretrained(tmp_path / "saved")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """huggingface_hub's cache, empty, and no network; the documented layout: refs/, snapshots/COMMIT/."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def put(cache, repository, file):
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    (place / "snapshots" / COMMIT).mkdir(parents=True)
    shutil.copyfile(file, place / "snapshots" / COMMIT / "model.safetensors")


def test_a_folder_comes_back_whole(folder, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # folders need no package
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "README.md"}
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert set(file.metadata()) == {"format", "version", "card"}
    before, after = fastnst.load_model(trained / "model.ckpt"), fastnst.load_model(folder / "model.safetensors")
    assert before.card == after.card and torch.equal(before.thumbnail, after.thumbnail)
    for name, value in before.network.state_dict().items():
        assert torch.equal(value, after.network.state_dict()[name]), name
    expected = fastnst.Stylizer(before, "cpu")(PICTURE)
    for name in (folder, str(folder), folder / "model.safetensors", trained, trained / "model.ckpt"):
        assert torch.equal(fastnst.Stylizer.from_pretrained(name, "cpu", engine="auto")(PICTURE), expected)
    page = (folder / "README.md").read_text()
    assert page.startswith("---\nlibrary_name: fastnst\n") and "paints photographs as `mosaic`" in page


def test_nothing_is_replaced_unasked(folder, trained, tmp_path):
    stylizer = fastnst.Stylizer(trained / "model.ckpt", "cpu")
    (folder / "README.md").write_text("my own words")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"README\.md exists: .*overwrite=True"):
        stylizer.save_pretrained(folder)
    assert [path.name for path in folder.iterdir()] == ["README.md"]
    stylizer.save_pretrained(folder, overwrite=True)
    assert find_model(str(folder)) == folder / "model.safetensors"
    assert "my own words" not in (folder / "README.md").read_text()
    with pytest.raises(InputError, match="a mixture of 2 models"):
        fastnst.Stylizer([trained / "model.ckpt"] * 2, "cpu").save_pretrained(tmp_path / "two")


def test_many_styles(tmp_path):
    path = write(tmp_path / "many.ckpt")
    stylizer = fastnst.Stylizer(path, "cpu", shares={"ink": 1.0})
    again = fastnst.Stylizer.from_pretrained(stylizer.save_pretrained(tmp_path / "many"), "cpu", shares={"ink": 1.0})
    torch.testing.assert_close(again(PICTURE), stylizer(PICTURE), atol=1e-3, rtol=0)


def test_from_the_cache_without_network(folder, trained, cache, photos):
    put(cache, "somebody/mosaic", folder / "model.safetensors")
    expected = fastnst.Stylizer(trained / "model.ckpt", "cpu")(PICTURE)
    for name, revision in (
        ("somebody/mosaic", None), ("somebody/mosaic", COMMIT), ("hf://somebody/mosaic", None),
        (f"hf://somebody/mosaic@{COMMIT}", None),
    ):  # fmt: skip
        assert torch.equal(fastnst.Stylizer.from_pretrained(name, "cpu", revision=revision)(PICTURE), expected)
    arguments = ("--model", "hf://somebody/mosaic", "--device", "cpu", "--output", "out.png")
    answer = run_script("stylize", photos / "photo1.png", *arguments, cwd=cache.parent)
    assert answer.code == 0 and (cache.parent / "out.png").exists(), answer.err


def test_what_lies_here_comes_first(folder, cache):
    shutil.copytree(folder, cache.parent / "somebody" / "mosaic")
    assert as_address("somebody/mosaic") == "somebody/mosaic"
    assert find_model("somebody/mosaic").parent.resolve() == cache.parent / "somebody" / "mosaic"


@pytest.mark.parametrize("name", ["../mosaic", "outputs/run/model", "runs/model.ckpt", "mosaic", "a/b.safetensors"])
def test_paths_are_not_sent_to_the_hub(name, cache):
    assert as_address(name) == name
    with pytest.raises(InputError, match="revision=v1 is for a repository on the Hub"):
        as_address(name, "v1")


def test_what_cannot_be_had_is_one_line(cache, monkeypatch):
    for given, said in (
        ("nobody/nothing", r"^hf://nobody/nothing: model.safetensors is neither in the cache nor .*: check the name"),
        ("hf://nobody", r"^hf://nobody: expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION\.$"),
        ("somebody/-", r"no model 'somebody/-'"),
    ):
        with pytest.raises(InputError, match=said) as raised:
            fastnst.Stylizer.from_pretrained(given, "cpu")
        assert "\n" not in str(raised.value)
    (cache.parent / "empty").mkdir()
    with pytest.raises(InputError, match=r"the folder empty holds no model: expected model.safetensors or model.ckpt"):
        fastnst.Stylizer.from_pretrained("empty", "cpu")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"^hf://a/b: the Hub needs .*pip install 'fastnst\[hub\]'\.$"):
        fastnst.Stylizer.from_pretrained("a/b", "cpu")


def test_a_pickle_under_that_name_is_not_unpickled(trained, cache):
    put(cache, "somebody/trap", trained / "model.ckpt")
    with pytest.raises(InputError, match="is damaged or not a model file"):
        fastnst.Stylizer.from_pretrained("somebody/trap", "cpu")


def test_from_a_server(folder, trained, cache, monkeypatch):
    """One that answers as the Hub does, on this machine."""
    content = (folder / "model.safetensors").read_bytes()

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/somebody/mosaic/resolve/main/model.safetensors"
            self.send_response(200 if found else 404)
            headers = {"ETag": '"abc"', "X-Repo-Commit": COMMIT} if found else {"X-Error-Code": "RepoNotFound"}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content) if found else 0))
            self.end_headers()
            if found and self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        template = f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        fetched = find_model("hf://somebody/mosaic")
        with pytest.raises(InputError, match=r"nor to be had from the Hub \(RepositoryNotFoundError: 404"):
            find_model("hf://somebody/else")
        server.shutdown()
    assert fetched.read_bytes() == content and fetched.is_relative_to(cache)
    assert list(cache.glob("models--somebody--*/snapshots/*/*")) == [fetched]
