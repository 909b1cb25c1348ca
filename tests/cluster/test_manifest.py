"""The account of a target: what is done, what is not, and what is in the way."""

import pytest

from fastnst.cluster.manifest import MANIFEST, RUN, SCHEMA, Account, place
from fastnst.cluster.tree import Tree
from fastnst.errors import InputError

SETTINGS = {"model": "mosaic", "strength": 1.0}


def row(source, output="same", **more):
    output = f"{source}.png" if output == "same" else output
    return {**dict.fromkeys(SCHEMA.names), "source": source, "model": "m", "output": output, **more}


@pytest.fixture(params=["", "file://"])
def account(request, tmp_path) -> Account:
    return Account(Tree(f"{request.param}{tmp_path}/out"))


def names(account) -> set[str]:
    return set(account.target.sizes())


def test_a_run_is_taken_up(account):
    """Done is what has a row and lies there; the rest is not."""
    assert account.begin(SETTINGS, False) == []
    for name in ("a.png", "b.png"):
        account.write_bytes(name, b"picture")
    account.write(f"{RUN}/rows-1.parquet", [row("a"), row("gone"), row("bad", None, error="damaged")])
    again = Account(account.target)
    assert [each["source"] for each in again.begin(SETTINGS, False)] == ["a"]


def test_a_finished_run_leaves_one_table(account):
    account.begin(SETTINGS, False)
    account.write_bytes("part-1.tar", b"")
    account.write_bytes("part-2.tar", b"")  # of a worker whose driver died
    account.write(f"{RUN}/rows-1.parquet", [row("a", "part-1.tar/a.png")])
    rows = [row("b", None, error="x"), row("a", "part-1.tar/a.png")]
    account.finish(rows)
    assert names(account) == {MANIFEST, "_run/settings.json", "part-1.tar"}
    assert account.read(MANIFEST) == rows[::-1]
    assert account.begin(SETTINGS, False) == rows[1:]


def test_later_rows_win(account):
    account.begin(SETTINGS, False)
    account.write_bytes("a.png", b"")
    account.finish([row("a", None, error="damaged")])
    account.write(f"{RUN}/rows-2.parquet", [row("a", seconds=2.0)])
    assert account.begin(SETTINGS, False) == [row("a", seconds=2.0)]


def test_other_settings_are_refused(account):
    account.begin(SETTINGS, False)
    with pytest.raises(InputError, match="was painted with another strength: give another folder, or --overwrite"):
        account.begin({**SETTINGS, "strength": 0.5}, False)


def test_a_strangers_folder_is_refused(account):
    account.write_bytes("holiday.png", b"")
    with pytest.raises(InputError, match="holds 1 files that are not of such a run"):
        account.begin(SETTINGS, False)


def test_begun_anew(account):
    """Then results of before are no results, also when this run is taken up after a kill."""
    account.begin(SETTINGS, False)
    account.write_bytes("a.png", b"old")
    account.finish([row("a")])
    assert account.begin({"model": "candy"}, True) == []
    assert Account(account.target).begin({"model": "candy"}, False) == []
    account.finish([row("a")])
    assert account.begin({"model": "candy"}, False) == [row("a")]


def test_damaged_rows_are_named(account):
    account.begin(SETTINGS, False)
    account.write_bytes(f"{RUN}/rows-1.parquet", b"half")
    with pytest.raises(InputError, match=r"rows-1.parquet is damaged"):
        account.begin(SETTINGS, False)


def test_places():
    assert place(row("a", "part-0f.tar/x/y.png")) == "part-0f.tar"
    assert place(row("a", "part-of/y.png")) == "part-of/y.png"
    assert place(row("a", None)) is None
