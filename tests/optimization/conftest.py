"""A loss network with random weights: small pictures and few layers, fractions of a second."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # random_pictures.py beside this file
from random_pictures import noise, random_weights

from fastnst.features import VGG
from fastnst.losses import PerceptualLoss


@pytest.fixture(scope="session")
def vgg() -> VGG:
    return VGG(["conv1_1", "relu1_1", "relu1_2", "relu2_1"], random_weights())


@pytest.fixture
def content() -> torch.Tensor:
    return noise(1)


@pytest.fixture
def loss(vgg) -> PerceptualLoss:
    return PerceptualLoss(
        vgg, noise(2, 16, 16)[None], {"relu2_1": 1.0}, {"relu1_1": 1.0, "relu2_1": 0.5},
        content_weight=1, style_weight=10, moments_weight=0, tv_weight=0,
        content_distance="relative", style_distance="relative",
    )  # fmt: skip
