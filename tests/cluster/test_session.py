"""Ray on this machine: what it is asked for, and how it says that it cannot."""

from dataclasses import replace

import pytest

from fastnst.cluster import session as module
from fastnst.cluster.inputs import list_pictures
from fastnst.cluster.paint_many import paint_many
from fastnst.cluster.session import own_error, places, session
from fastnst.errors import InputError


@pytest.fixture(scope="module")
def ray():
    with session() as ray:
        yield ray


class Nodes:
    """What `places` sees of a cluster."""

    def __init__(self, *resources):
        self.resources = resources

    def nodes(self):
        return [{"Alive": True, "Resources": each} for each in self.resources] + [
            {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}}
        ]


def test_one_worker_for_each_group_of_cores_or_each_gpu():
    head, cpus, gpus = {}, {"CPU": 16.0}, {"CPU": 8.0, "GPU": 2.0}
    assert places(Nodes(head, cpus), None, None) == (4, {"num_cpus": 4})
    assert places(Nodes({"CPU": 2.0}, cpus), None, None) == (9, {"num_cpus": 2})
    assert places(Nodes({"CPU": 2.0}, cpus), 3, None) == (5, {"num_cpus": 3})
    assert places(Nodes(head, cpus, gpus), None, None) == (2, {"num_gpus": 1, "num_cpus": 1})
    assert places(Nodes(head, cpus, gpus), None, "cpu") == (6, {"num_cpus": 4})
    with pytest.raises(InputError, match="--cores 99: no node has so many; the largest has 16"):
        places(Nodes(cpus), 99, None)
    with pytest.raises(InputError, match="no node of the cluster has a core"):
        places(Nodes(head), None, None)


@pytest.mark.cluster
def test_a_node_that_joins_with_another_version_ends_the_run(ray, painting, photos):
    with pytest.raises(InputError, match=r"^node .+ has fastnst .+, this machine 9.9: install the same on both\.$"):
        paint_many(ray, list_pictures(str(photos)), replace(painting, version="9.9"))


@pytest.mark.cluster
def test_a_device_that_no_node_has(ray, painting, photos):
    with pytest.raises(InputError, match=r"^--device cuda:7 on node .+: "):
        paint_many(ray, list_pictures(str(photos)), replace(painting, device="cuda:7"))


@pytest.mark.cluster
def test_nodes_with_another_version_are_refused_by_name(ray, monkeypatch):
    monkeypatch.setattr(module, "__version__", "9.9")
    with pytest.raises(InputError, match=r"node .+ has fastnst .+, this machine 9.9"):
        module.require_versions(ray)


def test_errors_of_others_are_not_ours():
    assert own_error(ValueError("x")) is None
    outer = RuntimeError("of Ray")
    outer.__cause__ = InputError("ours\nadvice")
    assert str(own_error(outer)) == "ours"
