"""What is kept of photograph and painting: the figures by numpy, and what they promise."""

import numpy as np
import pytest
import torch

from fastnst.features import fidelity
from fastnst.features.fidelity import CONTENT_LAYERS, MOTIF_LAYERS, STYLE_LAYERS, FidelityMeter
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize_short_side
from fastnst.losses.perceptual import CONTENT_LAYERS as DESCENDED_CONTENT
from fastnst.losses.perceptual import STYLE_LAYERS as DESCENDED_STYLE
from fastnst.styles import picture_path


def picture(seed: int, height: int = 40, width: int = 32) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def meter():
    return FidelityMeter()


def test_no_layer_is_descended_on():
    assert not {*CONTENT_LAYERS, *STYLE_LAYERS, *MOTIF_LAYERS} & {*DESCENDED_CONTENT, *DESCENDED_STYLE}


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


def test_motifs_by_numpy_at_a_quarter_of_the_size(meter):
    stylized, painting = picture(0, 96, 64), picture(2, 128, 80)
    found = meter.compare(*(meter.describe(one) for one in (stylized, stylized, painting)))
    small = [resize_short_side(one, side) for one, side in ((stylized, 16), (painting, 20))]
    x, s = (
        {layer: value[0].flatten(1).double().numpy() for layer, value in meter.vgg(one[None]).items()} for one in small
    )
    motifs = []
    for layer in ("relu3_1", "relu4_1", "relu5_1"):
        a, b = (np.concatenate([each[layer].mean(1), each[layer].std(1)]) for each in (x, s))
        motifs.append(np.linalg.norm(a - b) / np.linalg.norm(b))
    assert found.motifs == pytest.approx(np.mean(motifs), rel=1e-4)


def test_motifs_see_how_the_painting_is_arranged(meter):
    """Mosaic's tiles laid anew: their strokes are the same, its shapes are gone."""
    painting = resize_short_side(read_image(picture_path("mosaic")), 256)[:, :256, :256]
    tiles = painting.unfold(1, 16, 16).unfold(2, 16, 16).flatten(1, 2)  # (3, 256, 16, 16)
    tiles = tiles[:, torch.randperm(256, generator=torch.Generator().manual_seed(0))].unflatten(1, (16, 16))
    laid = tiles.transpose(2, 3).reshape(3, 256, 256)
    whole, other, flipped = (meter.describe(one) for one in (painting, laid, painting.flip(2)))
    found, mirrored = meter.compare(other, whole, whole), meter.compare(flipped, whole, whole)
    assert found.motifs > 2 * found.style
    assert mirrored.motifs < 0.7 * found.motifs


def test_the_photograph_keeps_all_and_the_painting_has_no_distance(meter):
    photo, painting = meter.describe(picture(1)), meter.describe(picture(2))
    assert meter.compare(photo, photo, painting).content == pytest.approx(1, abs=1e-5)
    assert meter.compare(painting, photo, painting).style == meter.compare(painting, photo, painting).motifs == 0
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
