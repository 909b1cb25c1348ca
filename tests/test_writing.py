"""A file is written whole or not at all, with the permissions that it should have, and leaves nothing beside it."""

import os
import signal
import stat

import pytest

from fastnst.errors import InputError
from fastnst.writing import require_writable, written_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    with written_whole(path) as beside:
        assert beside.parent == path.parent and beside.suffix == ".bin" and beside.name.startswith(".")
        beside.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new" and names(path.parent) == ["file.bin"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), InputError("wrong"), KeyboardInterrupt()])
def test_what_was_there_stays_when_it_fails(tmp_path, failure):
    path = tmp_path / "file"
    path.write_text("old")
    with (
        pytest.raises(InputError if isinstance(failure, OSError) else type(failure)) as caught,
        written_whole(path) as it,
    ):
        it.write_text("half")
        raise failure
    assert path.read_text() == "old" and names(tmp_path) == ["file"]
    if isinstance(failure, OSError):
        expected = f"{path} cannot be written (No space left on device): choose another folder or make room."
        assert str(caught.value) == expected


def test_a_disk_that_is_full_at_the_end(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused = pytest.raises(InputError, match=r"\(No space left on device\): make room\.")
    with refused, written_whole(tmp_path / "file", advice="make room") as beside:
        beside.write_text("new")
    assert names(tmp_path) == []


def test_killed_it_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    child = os.fork()
    if child == 0:
        with written_whole(path) as beside:
            beside.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert path.read_text() == "old"
    (left,) = set(tmp_path.iterdir()) - {path}
    assert left.match(".*.part*")


def test_the_one_before_is_kept(tmp_path):
    path, previous = tmp_path / "last", tmp_path / "previous"
    for text in ("one", "two", "three"):
        with written_whole(path, keep=previous) as beside:
            beside.write_text(text)
    assert (path.read_text(), previous.read_text()) == ("three", "two") and names(tmp_path) == ["last", "previous"]


def test_permissions(tmp_path):
    """Those of the file that is replaced; else those that any new file has."""
    usual = os.umask(0o027)
    try:
        for given, expected in ((None, 0o640), (0o604, 0o604)):
            if given is not None:
                (tmp_path / "file").chmod(given)
            with written_whole(tmp_path / "file") as beside:
                beside.write_text("x")
            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == expected
    finally:
        os.umask(usual)


def test_what_cannot_be_written_is_known_before(tmp_path):
    (tmp_path / "file").write_text("old")
    for path, reason in ((tmp_path / "file" / "x", "File exists|Not a directory"), (tmp_path, "it is a folder")):
        with pytest.raises(InputError, match=rf"{path} cannot be written \(({reason})\)"):
            require_writable(path)
        with pytest.raises(InputError, match=rf"{path} cannot be written \(({reason})\)"), written_whole(path):
            pytest.fail("begun")
    require_writable(tmp_path / "file")
    require_writable(tmp_path / "new" / "file")
    assert names(tmp_path) == ["file", "new"] and names(tmp_path / "new") == []
