"""The figures of steadiness on pictures whose figures are known, and the table end to end."""

from argparse import Namespace

import numpy as np
import pytest
import torch

from fastnst.benchmark.commands import under_motion
from fastnst.benchmark.instruments.made_film import NOISE, made_film
from fastnst.errors import InputError
from fastnst.images.resizing import resize
from fastnst.images.saving import save_image
from fastnst.models.model_file import save_model
from fastnst.networks import build_network
from fastnst.stylization.moving.steady.optical_flow import Motion


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    small = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))
    return 0.25 + 0.5 * resize(small, 96, 128)


def test_errors_of_known_painters(photo):
    """The photograph itself errs by light and noise alone; a pattern fixed to the frame by every motion of it."""
    own = under_motion.made_errors(photo, lambda picture, controls: picture, temporal=False)
    assert all(own[kind] < 1e-6 for kind in ("pan", "zoom", "turn"))
    assert own["light"] == pytest.approx((0.1 * photo).square().mean().item(), rel=1e-3)
    assert own["noise"] == pytest.approx(0.02**2, rel=0.05)
    door = 0.2 * (torch.arange(128) % 16 < 8).float()
    fixed = under_motion.made_errors(photo, lambda picture, controls: 0.8 * picture + door, temporal=False)

    assert fixed["pan"] == pytest.approx(0.2**2 * 2.6 / 8, rel=0.2)
    assert fixed["zoom"] > 1e-3 and fixed["turn"] > 1e-3 and fixed["light"] < own["light"]
    steadied = under_motion.made_errors(photo, lambda picture, controls: 0.8 * picture + door, temporal=True)
    assert steadied["pan"] < 0.25 * fixed["pan"]


def test_drift_and_columns(monkeypatch):
    """Four frames that move by a pixel each, the picture getting brighter by a hundredth a frame."""
    monkeypatch.setattr(under_motion, "LATER", 4)
    columns, rows = np.meshgrid(np.arange(20, dtype=np.float32), np.arange(10, dtype=np.float32))
    motion = Motion(np.stack([columns - 1, rows], -1), (columns >= 1).astype(np.float32))
    wide = torch.rand(3, 10, 30, generator=torch.Generator().manual_seed(0)) * 0.5
    row, since = under_motion.Row(None), None
    for number in range(4):
        frame = wide[:, :, 10 - number : 30 - number]
        last = None if number == 0 else motion
        since = last if since is None or last is None else last.after(since)
        row.add(frame, frame + 0.01 * number, last, since)
    assert row.drift == pytest.approx(0.03, abs=1e-5)
    assert len(row.columns) == 4 and torch.equal(row.columns[1], wide[:, :, 19] + 0.01)


def test_a_made_film_moves_and_has_noise(photo):
    frames = list(made_film(torch.full((3, 60, 80), 0.5), 3, 40, 60))
    assert [frame.shape for frame in frames] == [(3, 40, 60)] * 3
    assert (frames[1] - frames[2]).std().item() == pytest.approx(NOISE * 2**0.5, rel=0.1)
    first, later = (list(made_film(photo, 31, 64, 96))[number] for number in (0, 30))
    assert (first - later).abs().mean() > 0.02


def test_the_table(tmp_path, photo, monkeypatch, capsys):
    monkeypatch.setattr(under_motion, "MADE", (4, 48, 64))
    monkeypatch.setattr(under_motion, "LATER", 3)
    torch.manual_seed(0)
    settings = {**under_motion.DEFAULT_OBJECTIVE, "style": {"name": "mosaic", "size": 64}}
    save_model(
        tmp_path / "one.ckpt", build_network("transformer", {"width": 4, "residual_blocks": 1}), {"settings": settings}
    )
    (tmp_path / "photos").mkdir()
    save_image(photo, tmp_path / "photos" / "one.png")
    model = str(tmp_path / "one.ckpt")
    options = Namespace(models=[model], film=None, frames=None, photos=tmp_path / "photos", count=1, style=None)
    answer, strip = under_motion.run(options, torch.device("cpu"))
    source, plain, steadied = answer["rows"]
    assert source["flicker"] == 1 and plain["flicker"] > steadied["flicker"] > 0
    assert plain["made"]["all"] > steadied["made"]["all"] and plain["objective"] > 0 and "objective" not in steadied
    assert plain["drift"] > 0
    background = strip[:, -1, -1]
    for left in (4, 4 + 52, 4 + 2 * 52):  # each strip is as wide as high, four frames or four hundred
        assert (strip[:, -52:-4, left : left + 48] == background[:, None, None]).all(0).float().mean() < 0.1
    printed = capsys.readouterr().out
    assert f"{model} --temporal" in printed and f"{plain['made']['zoom']:.4f}" in printed


def test_a_style_picture_that_is_gone_is_said_before_the_film_is_watched(tmp_path, monkeypatch):
    style = {"name": "mine", "size": 64, "image": str(tmp_path / "gone.jpg")}
    settings = {**under_motion.DEFAULT_OBJECTIVE, "style": style}
    model = tmp_path / "one.ckpt"
    save_model(model, build_network("transformer", {"width": 4, "residual_blocks": 1}), {"settings": settings})
    monkeypatch.setattr(under_motion, "watch", lambda *arguments: pytest.fail("minutes later"))
    options = Namespace(models=[str(model)], film=None, frames=None, photos=None, count=1, style=None)
    with pytest.raises(InputError, match=r"gone\.jpg that the model was trained on is not here: give --style PATH"):
        under_motion.run(options, torch.device("cpu"))
