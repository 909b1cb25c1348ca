"""The static page's folder, with stand-ins for onnxruntime-web; in a browser: tests/web."""

import re
import shutil
import subprocess
import tarfile

import pytest
import torch

from fastnst.errors import InputError
from fastnst.export import export_web, web
from fastnst.export.style_chooser import style_chooser
from fastnst.models.model_file import load_model, save_model
from fastnst.networks import build_network
from tests.models.test_styles import NAMES, write


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    network = build_network("transformer", {"width": 4, "residual_blocks": 1})
    save_model(tmp_path / "small.ckpt", network, {"style": {"name": "mosaic"}})
    return load_model(tmp_path / "small.ckpt")


@pytest.fixture
def runtime(tmp_path):
    folder = tmp_path / "runtime" / "package"
    (folder / "dist").mkdir(parents=True)
    for name in (*web.RUNTIME_FILES, "ort.all.min.mjs"):
        (folder / "dist" / name).write_text(f"// {name}")
    return folder


def test_a_folder_with_everything_and_nothing_else(model, runtime, tmp_path):
    export_web(model, tmp_path / "page", "stained_<glass>", runtime=runtime)
    names = {file.name for file in (tmp_path / "page").iterdir()}
    assert names == {"model.onnx", *web.PAGE_FILES, *web.RUNTIME_FILES} and len(names) == 11
    html = (tmp_path / "page" / "index.html").read_text()
    assert "<h1>stained &lt;glass&gt;</h1>" in html and "{" not in html and "Mix with" not in html
    for name in ("page.js", "worker.js", "style.css"):
        assert "http" not in (tmp_path / "page" / name).read_text().replace("https or localhost", "")


def test_styles_to_choose_from(runtime, tmp_path):
    model = load_model(write(tmp_path / "all.ckpt"))
    export_web(model, tmp_path / "page", "all", runtime=runtime)
    html = (tmp_path / "page" / "index.html").read_text()
    assert re.findall(r'data-name="(.*?)"', html) == list(NAMES)
    assert re.findall("<option>(.*?)</option>", html)[:3] == list(NAMES)
    assert html.count('alt="style picture"') == 3 and "{" not in html
    assert len(list((tmp_path / "page").iterdir())) == 11
    model.card["styles"][1]["name"] = "<b>&_"
    bare = style_chooser(model._replace(thumbnail=None))
    assert 'data-name="&lt;b&gt;&amp;_"' in bare and "<option>&lt;b&gt;&amp; </option>" in bare and "<img" not in bare


def test_a_packed_runtime_and_an_earlier_export(model, runtime, tmp_path):
    with tarfile.open(tmp_path / "ort.tgz", "w:gz") as archive:
        archive.add(runtime, "package")
        archive.add(tmp_path / "small.ckpt", "../../outside")
    page = tmp_path / "page"
    export_web(model, page, "mosaic", runtime=tmp_path / "ort.tgz")
    assert (page / web.RUNTIME_FILES[0]).read_text() == f"// {web.RUNTIME_FILES[0]}"
    (page / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty: add --overwrite"):
        export_web(model, page, "mosaic", runtime=tmp_path / "ort.tgz")
    export_web(model, page, "mosaic", runtime=tmp_path / "ort.tgz", overwrite=True)
    assert (page / "notes.txt").read_text() == "mine"


def test_a_runtime_that_cannot_be_had(model, runtime, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (runtime / "dist" / web.RUNTIME_FILES[2]).unlink()
    with pytest.raises(InputError, match=f"lacks one of .*{web.RUNTIME_FILES[2]}.*npm pack"):
        export_web(model, tmp_path / "page", "mosaic", runtime=runtime)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"there is no npm here to fetch it: run `npm pack"):
        export_web(model, tmp_path / "page", "mosaic")
    monkeypatch.setattr(shutil, "which", lambda name: "npm")

    def offline(*arguments, **options):
        raise subprocess.CalledProcessError(1, "npm", stderr="npm error code ENOTFOUND\nnpm error network\n")

    monkeypatch.setattr(subprocess, "run", offline)
    with pytest.raises(InputError, match=r"npm cannot fetch onnxruntime-web.*ENOTFOUND"):
        export_web(model, tmp_path / "page", "mosaic")
    assert not (tmp_path / "page").exists()
