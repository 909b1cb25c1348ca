"""Optical flow, and what it steadies and measures."""

import numpy as np
import pytest
import torch

from fastnst.errors import InputError
from fastnst.images.resizing import resize
from fastnst.stylization.controls import Controls
from fastnst.stylization.moving import painter
from fastnst.stylization.moving.painter import Painter
from fastnst.stylization.moving.steady.optical_flow import Flow
from fastnst.stylization.moving.steady.steadiness import Flicker, Steady


@pytest.fixture(scope="module")
def frames() -> list[torch.Tensor]:
    """A picture with structure of all sizes that moves by (2, 1) pixels a frame."""
    random = torch.Generator().manual_seed(0)
    large = sum(resize(torch.rand(3, side, side, generator=random), 160, 160) / 3 for side in (8, 24, 60))
    return [large[:, number : number + 96, 2 * number : 2 * number + 120] for number in range(6)]


def test_flow_finds_the_motion(frames):
    flow = Flow()
    assert flow(frames[0]) is None
    positions, trust = flow(frames[1])
    assert flow(frames[2][:, 1:]) is None  # another size
    rows, columns = np.mgrid[:96, :120]
    inner = (slice(15, -15), slice(15, -15))
    assert np.abs(positions[..., 0] - columns - 2)[inner].mean() < 0.3
    assert np.abs(positions[..., 1] - rows - 1)[inner].mean() < 0.3
    assert trust[inner].mean() > 0.8


def test_flicker_and_its_cure(frames):
    random = torch.Generator().manual_seed(1)
    noisy = [(frame + 0.1 * torch.randn(frame.shape, generator=random)).clamp(0, 1) for frame in frames]
    plain, steadied, own, steady, flow = Flicker(), Flicker(), Flicker(), Steady(0.8), Flow()
    for frame, result in zip(frames, noisy, strict=True):
        motion = flow(frame)
        plain.add(frame, result, motion)
        steadied.add(frame, steady(result, motion), motion)
        own.add(frame, frame, motion)
    assert steadied.ratio < 0.5 * plain.ratio
    assert own.ratio == pytest.approx(1) and str(Flicker()).endswith("two frames or more")


def test_steadying_and_measuring_share_one_flow(frames, monkeypatch):
    """Forth and back for each pair of frames, whoever asks."""
    made = []

    class Counted(Flow):
        def __call__(self, now):
            made.append(super().__call__(now))
            return made[-1]

    monkeypatch.setattr(painter, "Flow", Counted)
    paint = Painter(lambda picture, controls: 1 - picture, Controls(), Steady(), Flicker())
    for frame in frames:
        paint(frame)
    assert made[0] is None and None not in made[1:] and len(made) == len(frames)
    assert Painter(lambda picture, controls: picture).flow is None


def test_nothing_is_carried_over_a_cut(frames):
    steady, flow = Steady(0.9), Flow()
    steady(torch.zeros_like(frames[0]), flow(frames[0]))
    other = 1 - frames[0].flip(-1)
    assert (steady(other, flow(other)) - other).abs().mean() < 0.03
    with pytest.raises(InputError, match="temporal=1"):
        Steady(1.0)


def test_two_motions_as_one(frames):
    flow = Flow()
    flow(frames[0])
    first, second = flow(frames[1]), flow(frames[2])
    positions, trust = second.after(first)
    rows, columns = np.mgrid[:96, :120]
    inner = (slice(15, -15), slice(15, -15))
    assert np.abs(positions[..., 0] - columns - 4)[inner].mean() < 0.6
    assert np.abs(positions[..., 1] - rows - 2)[inner].mean() < 0.6
    assert (trust <= second.trust).all() and trust[inner].mean() > 0.7


def test_the_network_sees_less_noise_when_frames_are_steadied(frames):
    """A painter that shows what it sees, ten times as strongly: half the noise is gone before it paints."""
    random = torch.Generator().manual_seed(2)
    noisy = [(frame + 0.02 * torch.randn(frame.shape, generator=random)).clamp(0, 1) for frame in frames]
    seen: list[torch.Tensor] = []

    def watch(picture, controls):
        seen.append(picture)
        return picture

    paint = Painter(watch, steady=Steady(0.8))
    for frame in noisy:
        paint(frame)
    inner = (slice(None), slice(20, -20), slice(20, -20))
    errors = [(picture - frame)[inner].std().item() for picture, frame in zip(seen, frames, strict=True)]
    assert errors[0] == pytest.approx(0.02, rel=0.1) and errors[-1] < 0.6 * errors[0]
