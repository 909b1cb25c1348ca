"""CycleGAN's losses by a second route, its pool of pictures, and trainings that stop and go on."""

import pytest
import torch

from fastnst.benchmark.unpaired import cycle_gan, timed_training
from fastnst.benchmark.unpaired.cycle_gan import CycleGan, discriminator_loss, distance, judged_real
from fastnst.benchmark.unpaired.picture_pool import PicturePool
from fastnst.benchmark.unpaired.timed_training import Account, crops, rate, train
from fastnst.errors import InputError


def made(width=4):
    torch.manual_seed(0)
    return CycleGan(width, 1)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 3, 64, 64, generator=generator), torch.rand(1, 3, 64, 64, generator=generator)


@pytest.fixture
def data(photos):
    return [crops(sorted(photos.iterdir())[some], 64, 64, seed=0) for some in (slice(4), slice(4, 8))]


def test_losses_by_hand():
    assert judged_real(torch.tensor([1.0, 0.0, 3.0])).item() == pytest.approx((0 + 1 + 4) / 3)
    halves = discriminator_loss(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    assert halves.item() == pytest.approx(0.5 * (1 / 2) + 0.5 * (4 / 2))
    assert distance(torch.zeros(3), torch.tensor([0.0, 0.5, 1.0])).item() == pytest.approx(1.0)  # of -1..1: 0, 1, 2


def test_a_step_descends_on_the_papers_objective(pair, monkeypatch):
    """Equations 1 to 3 and the identity loss, written out picture by picture, and Adam's first step on them."""
    monkeypatch.setattr(cycle_gan, "computes_in_bfloat16", lambda kind: False)
    ours, theirs = made(), made()
    photo, painting = pair
    g, f, judge_y, judge_x = theirs.paint, theirs.unpaint, theirs.judge_paintings, theirs.judge_photos
    fake_y, fake_x = g(photo), f(painting)
    mean = torch.mean
    terms = {
        "painted": mean((judge_y(fake_y) - 1) ** 2),
        "unpainted": mean((judge_x(fake_x) - 1) ** 2),
        "cycle": 2 * mean(abs(f(fake_y) - photo)) + 2 * mean(abs(g(fake_x) - painting)),
        "identity": 2 * mean(abs(g(painting) - painting)) + 2 * mean(abs(f(photo) - photo)),
    }
    objective = terms["painted"] + terms["unpainted"] + 10 * terms["cycle"] + 5 * terms["identity"]
    gradients = torch.autograd.grad(objective, theirs.generators)
    y, x = fake_y.detach(), fake_x.detach()
    judges = mean((judge_y(painting) - 1) ** 2) / 2 + mean(judge_y(y) ** 2) / 2
    judges = judges + mean((judge_x(photo) - 1) ** 2) / 2 + mean(judge_x(x) ** 2) / 2
    gradients += torch.autograd.grad(judges, theirs.judges)
    before = [one.detach().clone() for one in (*ours.generators, *ours.judges)]
    losses = ours.step(photo, painting, rate=0.5)
    for name, value in {**terms, "judges": judges}.items():
        assert losses[name] == pytest.approx(value.item(), rel=1e-4), name
    for was, now, gradient in zip(before, (*ours.generators, *ours.judges), gradients, strict=True):
        clear = gradient.abs() > 1e-5  # the first step of Adam is the rate times the gradient's sign
        expected = was - 0.5 * 2e-4 * gradient.sign()
        torch.testing.assert_close(now.detach()[clear], expected[clear], atol=2e-6, rtol=0)


def test_the_pool_hands_out_half_of_the_time_what_it_had():
    torch.manual_seed(0)
    pool = PicturePool(size=5)
    pictures = [torch.full((3, 1, 1), float(number)) for number in range(405)]
    given = [int(pool.exchange(picture)[0, 0, 0]) for picture in pictures]
    assert given[:5] == [0, 1, 2, 3, 4] and PicturePool().size == 50
    older = [number for number, one in enumerate(given) if one != number]
    assert 160 < len(older) < 240 and len({given[number] for number in older}) == len(older)
    assert len(pool.pictures) == 5


def test_the_rate_falls_in_the_second_half():
    assert [rate(part) for part in (0, 0.25, 0.5, 0.75, 1)] == [1, 1, 1, 0.5, 0]


def test_a_training_goes_on_where_it_stopped(data, tmp_path, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(timed_training, "clock", lambda device: float(next(ticks)))  # a step a second
    whole = made()
    account = train(whole, *data, 6.0, tmp_path / "whole.ckpt")
    assert account.steps == 6 and account.seconds == 6 and {len(one) for one in account.curve.values()} == {6}

    stopped, step = made(), CycleGan.step

    def interrupt(gan, *arguments):
        if interrupt.left == 0:
            raise KeyboardInterrupt
        interrupt.left -= 1
        return step(gan, *arguments)

    interrupt.left = 4
    monkeypatch.setattr(CycleGan, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, *data, 6.0, tmp_path / "parts.ckpt")
    monkeypatch.setattr(CycleGan, "step", step)
    torch.manual_seed(99)
    resumed = made()
    assert train(resumed, *data, 6.0, tmp_path / "parts.ckpt") == account
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)
    assert train(made(), *data, 6.0, tmp_path / "parts.ckpt") == account  # only read


def test_a_file_of_something_else(data, tmp_path):
    file = tmp_path / "training.ckpt"
    torch.save({"account": Account(1.0, 1, {})._asdict(), **made(2).progress()}, file)
    for _ in range(2):
        with pytest.raises(InputError, match=r"training.ckpt holds no training that can go on \(.*give another --keep"):
            train(made(), *data, 6.0, file)
        file.write_bytes(b"nothing")
