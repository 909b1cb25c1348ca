"""Builds of torch without NNPACK, as for Windows and many a Mac: torch's own convolutions serve everything."""

import pytest
import torch

from fastnst.data.sources import sample_photos
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.stylization import Stylizer
from tests.conftest import same, weights


@pytest.fixture
def without_nnpack(monkeypatch):
    def missing(*_):
        raise RuntimeError("NNPACK is not there")

    monkeypatch.setattr(torch.backends.nnpack, "is_available", lambda: False)
    monkeypatch.setattr(torch, "_nnpack_spatial_convolution", missing)


def test_pictures_are_the_same(monkeypatch, request):
    photo = resize_short_side(read_image(sample_photos()[0]), 64)
    usual = Stylizer("mosaic", "cpu")(photo)
    request.getfixturevalue("without_nnpack")
    assert (Stylizer("mosaic", "cpu")(photo) - usual).abs().max() < 1e-3


def test_a_training_runs(train, tmp_path, without_nnpack):
    assert train("output_dir=one").code == train("output_dir=other").code == 0
    assert same(weights(tmp_path / "one"), weights(tmp_path / "other"))
