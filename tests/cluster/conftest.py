"""A network and a painting that take no time."""

import pytest
import torch

from fastnst.cluster.painting_actor import Painting
from fastnst.cluster.tree import Tree
from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls
from fastnst.stylization.files.one_file import Handling


@pytest.fixture(scope="session")
def model() -> Model:
    torch.manual_seed(1)
    return Model(TransformerNetwork(width=4, residual_blocks=1).eval(), {}, None)


@pytest.fixture
def painting(model, tmp_path) -> Painting:
    return Painting(
        {"m": [model]}, Controls(), Handling(overwrite=True), None, "cpu", None, "auto", None, "files",
        Tree(tmp_path / "out"),
    )  # fmt: skip
