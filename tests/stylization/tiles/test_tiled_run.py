"""Tiles equal the whole picture: values, seams, statistics, memory on disk, and when tiling starts by itself."""

import pytest
import torch

from fastnst.errors import InputError
from fastnst.images.resizing import resize
from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.networks.blocks import InstanceNorm
from fastnst.stylization import Stylizer, memory_estimate, stylizer
from fastnst.stylization.tiles import feature_map
from fastnst.stylization.tiles.feature_map import FeatureMap
from fastnst.stylization.tiles.statistics import RunningStatistics
from fastnst.stylization.tiles.tiled_run import TiledRun, tiles


def network(**arguments) -> TransformerNetwork:
    torch.manual_seed(0)
    made = TransformerNetwork(**{"width": 8, "residual_blocks": 1, "grain": 0.03, **arguments})
    with torch.no_grad():
        for norm in made.modules():
            if isinstance(norm, InstanceNorm):  # as after a training
                norm.weight.normal_(1, 0.3)
                norm.bias.normal_(0, 0.3)
    return made.eval()


def photograph(height: int, width: int) -> torch.Tensor:
    """Smooth and fine structure, bright on the left and dark on the right: no two tiles have the same statistics."""
    random = torch.Generator().manual_seed(1)
    coarse = resize(torch.rand(3, 6, 7, generator=random), height, width)
    fine = 0.2 * torch.rand(3, height, width, generator=random)
    return (0.6 * coarse * torch.linspace(1, 0.2, width) + fine).clamp(0, 1)


@torch.no_grad()
def whole(net: TransformerNetwork, picture: torch.Tensor) -> torch.Tensor:
    return net(picture[None])[0].clamp(0, 1)


@pytest.mark.parametrize("shape", [(96, 128), (97, 130), (16, 300), (203, 16), (18, 17)])
@pytest.mark.parametrize("tile", [32, 50])
def test_tiles_equal_the_whole(shape, tile):
    net, picture = network(), photograph(*shape)
    tile = 1 if shape == (18, 17) else tile
    difference = (TiledRun(net, picture, tile).run() - whole(net, picture)).abs()
    assert difference.max() < 1 / 255 and difference.mean() < 0.1 / 255


@pytest.mark.parametrize(
    "arguments",
    [
        {"upsampling": "transposed"},
        {"residual_blocks": 3},
        {"residual_blocks": 0},
        {"grain": 0},
        {"trunk": 20, "kernel": 5, "separable": True},
    ],
)
def test_every_network(arguments):
    net, picture = network(**arguments), photograph(70, 90)
    assert (TiledRun(net, picture, 40).run() - whole(net, picture)).abs().max() < 1 / 255


def test_no_seam():
    """The error is no larger beside the borders of tiles than elsewhere."""
    net, picture = network(), photograph(128, 128)
    difference = (TiledRun(net, picture, 32).run() - whole(net, picture)).abs().mean(dim=(0, 1))
    seams = [column for border in (32, 64, 96) for column in (border - 1, border)]
    elsewhere = [column for column in range(128) if column not in seams]
    assert difference[seams].mean() < 1.5 * difference[elsewhere].mean()


def test_cut_and_blend_would_differ():
    """What this is for: tiles with statistics of their own are visibly something else."""
    net, picture = network(), photograph(128, 128)
    alone = whole(net, picture[:, :64, 64:])
    assert (alone - whole(net, picture)[:, :64, 64:]).abs().max() > 10 / 255


def test_the_network_is_left_alone():
    net, picture = network(), photograph(40, 40)
    expected = whole(net, picture)
    assert (TiledRun(net, picture, 20).run() - expected).abs().max() < 1 / 255
    assert torch.equal(whole(net, picture), expected)


def test_progress_goes_from_nothing_to_all():
    seen: list[float] = []
    TiledRun(network(), photograph(60, 60), 30, progress=seen.append).run()
    assert seen == sorted(seen) and 0 < seen[0] < 0.1 and seen[-1] == pytest.approx(1)


def test_tiles_cover_everything_once():
    covered = torch.zeros(11, 7)
    for tile in tiles(11, 7, side=4, overlap=2):
        covered[tile.core] += 1
        for core, seen, end in zip(tile.core, tile.seen, (11, 7), strict=True):
            assert seen.start == max(core.start - 2, 0) and seen.stop == min(core.stop + 2, end)
    assert torch.equal(covered, torch.ones(11, 7))


def test_statistics_of_parts_are_those_of_the_whole():
    x = torch.randn(1, 3, 20, 30) * 5 + 1000  # a large mean: sums of squares would lose all digits
    running = RunningStatistics()
    for part in (x[..., :7], x[..., 7:8], x[..., 8:]):
        running.add(part)
    mean, variance = running.result(torch.device("cpu"))
    torch.testing.assert_close(mean, x.double().mean((2, 3), keepdim=True).float())
    torch.testing.assert_close(variance, x.double().var((2, 3), correction=0, keepdim=True).float(), rtol=1e-4, atol=0)


def test_feature_maps_keep_half_precision():
    x = torch.randn(1, 5, 6, 7)
    with FeatureMap(5, 6, 7) as kept:
        kept.write(slice(0, 6), slice(0, 7), x)
        part = kept.read(slice(1, 4), slice(2, 7))
        assert torch.equal(part, x[..., 1:4, 2:7].half().float())
        part.zero_()
        assert kept.read(slice(0, 6), slice(0, 7)).abs().sum() > 0


def test_statistics_are_those_of_what_is_stored():
    """Half precision has steps of 1/128 around 10: of a channel that is nearly constant, rounding makes another one."""
    run = TiledRun(network(), photograph(40, 48), 20)
    made = 10 + 1e-3 * torch.rand(1, 8, 10, 12) + torch.linspace(0, 1, 8)[:, None, None]
    norm = InstanceNorm(8)

    def read(rows, columns):
        return made[..., rows, columns]

    with run._convolve(read, torch.nn.Identity(), torch.nn.Sequential(norm), 1) as kept:
        everywhere = slice(0, 10), slice(0, 12)
        stored = kept.read(*everywhere)
        normalised = run._reader(kept, 1, norm)(*everywhere)
    assert (stored - made).abs().max() > 1e-3
    expected = torch.nn.functional.instance_norm(stored.double(), eps=1e-5)
    torch.testing.assert_close(normalised.double(), expected, atol=1e-3, rtol=0)


def test_a_full_disk(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_map.os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"no room for .* MB of feature maps \(No space left on device\): .*TMPDIR"):
        TiledRun(network(), photograph(40, 40), 20).run()


@pytest.fixture
def runs(monkeypatch):
    """Counts the tiled runs."""
    made: list[int] = []

    class Counted(TiledRun):
        def __init__(self, net, picture, tile, device, progress):
            made.append(tile)
            super().__init__(net, picture, tile, device, progress)

    monkeypatch.setattr(stylizer, "TiledRun", Counted)
    return made


def test_tiling_starts_by_itself(runs, monkeypatch):
    model, picture = Model(network(), {}, None), photograph(50, 60)
    expected = Stylizer(model, "cpu")(picture)
    assert runs == []
    needed = memory_estimate.whole_picture_bytes(model.network, 50, 60)
    monkeypatch.setattr(memory_estimate, "free_bytes", lambda device: needed)  # less than all of it may be used
    tiled = Stylizer(model, "cpu")(picture)
    assert len(runs) == 1 and (tiled - expected).abs().max() < 1 / 255
    monkeypatch.setattr(memory_estimate, "free_bytes", lambda device: 2 * needed)
    assert torch.equal(Stylizer(model, "cpu")(picture), expected) and len(runs) == 1


def test_the_engine_needs_less_than_the_plain_network(runs, monkeypatch):
    """Where the plain network would have to go in tiles, the engine still takes the whole picture."""
    monkeypatch.setattr(memory_estimate, "MOST_PIXELS", 1)  # no part worth speaking of for the bands in work
    model, picture = Model(network(), {}, None), photograph(50, 60)
    needed = memory_estimate.whole_picture_bytes(model.network, 50, 60)
    assert 0.4 < memory_estimate.whole_picture_bytes(model.network, 50, 60, engine=True) / needed < 0.45
    monkeypatch.setattr(memory_estimate, "free_bytes", lambda device: needed)
    Stylizer(model, "cpu")(picture)
    assert runs == []
    Stylizer(model, "cpu", engine="plain")(picture)
    assert len(runs) == 1


def no_memory_left():
    """What torch raises on the CPU: a RuntimeError like any other."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    return caught.value


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), no_memory_left()])
@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_tiling_after_running_out_of_memory(runs, monkeypatch, engine, error):
    model, picture = Model(network(), {}, None), photograph(50, 60)
    expected = Stylizer(model, "cpu", engine=engine)(picture)

    def too_large(*_):
        raise error

    stylizer = Stylizer(model, "cpu", engine=engine)
    assert (stylizer.engines[0] is None) == (engine == "plain")
    runner, method = (model.network, "preactivation") if engine == "plain" else (stylizer.engines[0], "_encode")
    with monkeypatch.context() as patch:
        patch.setattr(runner, method, too_large)
        tiled = stylizer(picture)
    assert len(runs) == 1 and (tiled - expected).abs().max() < 1 / 255


def test_other_errors_are_not_taken_for_lack_of_memory(runs, monkeypatch):
    stylizer = Stylizer(Model(network(), {}, None), "cpu", engine="plain")
    monkeypatch.setattr(stylizer.network, "preactivation", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        stylizer(photograph(50, 60))
    assert not runs


def test_forced_tiles(runs):
    model = Model(network(), {}, None)
    for shape in ((1, 1), (1, 77), (33, 18)):
        assert Stylizer(model, "cpu", tile=24)(torch.rand(3, *shape)).shape == (3, *shape)
    assert runs == [24] * 3
    with pytest.raises(InputError, match="tile=0"):
        Stylizer(model, "cpu", tile=0)


def gpu_figures(monkeypatch, free, reserved, allocated):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**40))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated)


def test_a_gpu_without_room_goes_on_in_tiles(runs, monkeypatch):
    """The memory that CUDA reports decides; what it cannot foresee is answered after the error, the cache emptied."""
    gpu, emptied = torch.device("cuda"), []
    gpu_figures(monkeypatch, 1000, 0, 0)
    assert memory_estimate.free_bytes(gpu) == 1000 and not memory_estimate.fits(network(), 16, 16, gpu)
    gpu_figures(monkeypatch, 2**40, 0, 0)
    assert memory_estimate.fits(network(), 4000, 4000, gpu)
    model, picture = Model(network(), {}, None), photograph(50, 60)
    expected = Stylizer(model, "cpu")(picture)
    stylize = Stylizer(model, "cpu")
    stylize.device = gpu
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    to = torch.Tensor.to

    def full(tensor, *args, **kwargs):
        if args == (gpu,) and not emptied:  # the whole picture
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return tensor if args == (gpu,) else to(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", full)
    tiled = stylize(picture)
    assert emptied == [True] and len(runs) == 1 and (tiled - expected).abs().max() < 1 / 255
