"""What is kept of photograph and painting: both figures by numpy, and what they promise."""

import numpy as np
import pytest
import torch

from fastnst.features import fidelity
from fastnst.features.fidelity import CONTENT_LAYERS, STYLE_LAYERS, FidelityMeter
from fastnst.losses.perceptual import CONTENT_LAYERS as DESCENDED_CONTENT
from fastnst.losses.perceptual import STYLE_LAYERS as DESCENDED_STYLE


def picture(seed: int, height: int = 40, width: int = 32) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def meter():
    return FidelityMeter()


def test_no_layer_is_descended_on():
    assert not {*CONTENT_LAYERS, *STYLE_LAYERS} & {*DESCENDED_CONTENT, *DESCENDED_STYLE}


def test_figures_by_numpy(meter):
    stylized, photo, painting = picture(0), picture(1), picture(2, 24, 48)
    found = meter.compare(*(meter.describe(one) for one in (stylized, photo, painting)))
    x, p, s = (
        {layer: value[0].flatten(1).double().numpy() for layer, value in meter.vgg(one[None]).items()}
        for one in (stylized, photo, painting)
    )
    content = []
    for layer in ("relu3_1", "relu4_1"):
        varying = [c for c in range(len(p[layer])) if p[layer][c].std() > 1e-4]
        values = [np.corrcoef(x[layer][c], p[layer][c])[0, 1] if x[layer][c].std() > 0 else 0 for c in varying]
        content.append(np.mean(values))
    style = []
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"):
        a, b = (np.concatenate([each[layer].mean(1), each[layer].std(1)]) for each in (x, s))
        style.append(np.linalg.norm(a - b) / np.linalg.norm(b))
    assert found.content == pytest.approx(np.mean(content), abs=1e-4)
    assert found.style == pytest.approx(np.mean(style), rel=1e-4)


def test_the_photograph_keeps_all_and_the_painting_has_no_distance(meter):
    photo, painting = meter.describe(picture(1)), meter.describe(picture(2))
    assert meter.compare(photo, photo, painting).content == pytest.approx(1, abs=1e-5)
    assert meter.compare(painting, photo, painting).style == 0
    assert meter.compare(photo, photo, painting).style > 0
    unrelated, large = (meter.describe(picture(seed, 160, 160)) for seed in (3, 4))
    assert abs(meter.compare(unrelated, large, painting).content) < 0.3  # not 0: at the borders both see black


def test_channels_that_the_photograph_leaves_out_do_not_count():
    photo = torch.rand(3, 4, 5)
    photo[1] = 0.5
    assert fidelity.content_kept(photo, photo).item() == pytest.approx(1)
    flat = photo.clone()
    flat[0] = 0.1  # one of the two that count says nothing any more
    assert fidelity.content_kept(flat, photo).item() == pytest.approx(0.5)
