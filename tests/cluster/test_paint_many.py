"""What a run finds in its target before it asks Ray for anything."""

from dataclasses import replace

import pytest

from fastnst.cluster.inputs import list_pictures
from fastnst.cluster.manifest import Account
from fastnst.cluster.paint_many import Summary, paint_many, settings_of, tasks_of
from fastnst.cluster.painting_actor import PaintingActor
from fastnst.errors import InputError
from fastnst.stylization import Controls
from tests.cluster.test_painting_actor import batch_of
from tests.cluster.test_session import Nodes


@pytest.fixture
def finished(painting, photos):
    """The target of a run that painted all photographs, and then lost its driver."""
    Account(painting.target).begin(settings_of(painting, False), False)
    PaintingActor(painting)(batch_of(photos))
    return painting


def test_what_is_done_is_not_handed_out(finished, photos):
    assert paint_many(Nodes({"CPU": 1}), list_pictures(str(photos)), finished) == Summary(0, 0, 8)
    assert len(Account(finished.target).read("_manifest.parquet")) == 8


def test_results_of_other_pictures_are_not_replaced(finished, photos, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/photo3.jpg").write_bytes((photos / "photo0.png").read_bytes())
    before = (tmp_path / "out/photo3.png").read_bytes()
    with pytest.raises(InputError, match=r"in/photo3.jpg would go where .+/photo3.png went: give another --output"):
        paint_many(Nodes({"CPU": 1}), list_pictures(f"{tmp_path}/in"), finished)
    assert (tmp_path / "out/photo3.png").read_bytes() == before


def test_settings_tell_models_and_controls_apart(painting, model):
    same = settings_of(painting, False)
    assert settings_of(replace(painting, device="cuda", overwrite=True), False) == same
    for other in (replace(painting, controls=Controls(detail=0.5)), replace(painting, models={"m": [model, model]})):
        assert settings_of(other, False) != same


def test_names_do_not_meet(photos, tmp_path):
    for name in ("a.jpg", "a.png", "b.png", "sub/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((photos / "photo0.png").read_bytes())
    tasks = list(tasks_of(list_pictures(str(tmp_path)), ["m", "n"], False))
    assert [task["name"] for task in tasks[::2]] == ["m/a.jpg", "m/a.png", "m/b", "m/sub/a"]
    assert len({task["name"] for task in tasks}) == 8
