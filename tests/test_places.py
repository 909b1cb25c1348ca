"""Where things lie that come with fastnst, or are kept for its user."""

from pathlib import Path

from fastnst.places import home, shipped


def test_home(monkeypatch):
    monkeypatch.setenv("FASTNST_HOME", "/mine")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert home() == Path("/mine")
    monkeypatch.delenv("FASTNST_HOME")
    assert home() == Path("/elsewhere/fastnst")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert home() == Path.home() / ".cache" / "fastnst"


def test_shipped_inside_the_package_or_beside_it(project, monkeypatch, tmp_path):
    assert shipped("configs") == project / "configs"
    monkeypatch.setattr("fastnst.places.PACKAGE", tmp_path)
    (tmp_path / "configs").mkdir()
    assert shipped("configs") == tmp_path / "configs"
