"""Bands of a picture side by side: the same map as in one piece, and threads that end as their caller does."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from fastnst.networks import build_network
from fastnst.stylization.cpu import borders, workers
from fastnst.stylization.cpu.bands import Bands
from fastnst.stylization.cpu.engine import CpuEngine
from fastnst.stylization.cpu.workers import Workers


@pytest.fixture
def threads():
    """Sets how many threads torch may use, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def small_network(**arguments):
    torch.manual_seed(1)
    network = build_network("transformer", {"width": 8, "residual_blocks": 2, "grain": 0.03, **arguments}).eval()
    return network.requires_grad_(False)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_pixels_do_not_depend_on_the_number_of_threads(threads, count):
    for arguments in ({}, {"kernel": 5, "separable": True}):
        network = small_network(**arguments)
        for height, width in ((16, 20), (67, 30), (131, 18), (260, 17)):
            picture = torch.rand(1, 3, height, width)
            expected = network(picture)
            threads(count)
            assert workers.workers().count == torch.get_num_threads() == count
            torch.testing.assert_close(CpuEngine(network)(picture), expected, rtol=0, atol=1e-3)


def test_where_the_cuts_are():
    assert Bands(Workers(3), 100, 50).rows(4) == [slice(0, 132), slice(132, 264), slice(264, 400)]
    assert Bands(Workers(3), 20, 50).rows(1) == [slice(0, 10), slice(10, 20)]  # three would be under 8 rows
    assert Bands(Workers(3), 4, 50).rows(2) == [slice(0, 8)]
    assert Bands(Workers(1), 256, 256).rows(1) == [slice(start, start + 32) for start in range(0, 256, 32)]
    assert len(Bands(Workers(3), 256, 256).cuts) == 10  # a whole number of bands for each


@pytest.mark.parametrize("border", [1, 4])
def test_filled_and_closed_bands_are_the_padded_picture(border):
    torch.manual_seed(0)
    picture = torch.rand(1, 2, 24, 9)
    whole = F.pad(picture, (border,) * 4, mode="reflect")
    maps = list(picture.split([8, 10, 6], 2))
    start = 0
    for number, part in enumerate(maps):
        x = borders.bordered(part, border)
        borders.fill(x, border, maps, number, lambda rows, target: target.copy_(rows))
        borders.close(x, border, borders.REFLECT, first=number == 0, last=number == 2)
        assert torch.equal(x, whole[..., start : start + part.shape[-2] + 2 * border, :])
        start += part.shape[-2]


def test_interleaved_bands_are_the_enlarged_picture():
    torch.manual_seed(0)
    phases = torch.rand(1, 4 * 3, 12, 5)
    order = phases.view(1, 4, 3, 12, 5).transpose(1, 2).reshape(1, 12, 12, 5)
    whole = F.pad(F.pixel_shuffle(order, 2), (1, 1, 1, 1), mode="replicate")
    maps = list(phases.split([7, 5], 2))
    for number, rows in enumerate((slice(0, 16), slice(14, 26))):
        x = borders.bordered(maps[number], 1, factor=2)
        borders.interleave(x, maps, number, lambda some, target: target.copy_(some))
        borders.close(x, 1, borders.REPLICATE, first=number == 0, last=number == 1)
        assert torch.equal(x, whole[..., rows, :])


@pytest.mark.parametrize("failing", [0, 1, 7])
def test_an_error_in_one_band_reaches_the_caller_when_no_other_is_at_work(failing):
    team, begun, ended = Workers(3), [], []

    def work(number):
        begun.append(number)
        if number == failing:
            raise MemoryError("too large")
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(MemoryError, match="too large"):
        team.run(lambda: team.map(work, range(8)))
    assert set(ended) == set(begun) - {failing}
    assert failing == 7 or len(begun) < 8  # those behind it were not begun
    assert team.run(lambda: team.map(str, range(8))) == list("01234567")  # and goes on working


def test_torch_uses_one_thread_in_a_worker_and_as_many_as_before_elsewhere(threads):
    threads(3)
    team = Workers(3)
    assert team.run(lambda: team.map(lambda _: torch.get_num_threads(), range(3))) == [1, 1, 1]
    assert torch.get_num_threads() == 3
    assert ThreadPoolExecutor(1).submit(torch.get_num_threads).result() == 3


def test_several_callers_at_once(threads):
    threads(2)
    network = small_network()
    engine, pictures = CpuEngine(network), [torch.rand(1, 3, 70 + 3 * number, 20) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(engine, pictures))
    for picture, one in zip(pictures, found, strict=True):
        torch.testing.assert_close(one, network(picture), rtol=0, atol=1e-3)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c_gives_the_picture_up():
    team, stages = Workers(2), []

    def run():
        for stage in range(200):
            team.map(lambda _: time.sleep(0.05), range(2))
            stages.append(stage)

    killer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    killer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            team.run(run)
    finally:
        signal.signal(signal.SIGINT, before)
    done = len(stages)
    assert done < 100
    time.sleep(0.2)
    assert len(stages) == done  # nothing goes on in the background
    assert team.run(lambda: team.map(str, range(2))) == ["0", "1"]


def test_giving_up_a_run_that_has_just_ended_does_not_stop_the_next():
    team = Workers(2)

    def next_run():
        team.abandoned = earlier  # its caller was interrupted in the moment it ended
        return team.map(str, range(2))

    earlier = team.run(lambda: team.present)
    assert team.run(next_run) == ["0", "1"]
    with pytest.raises(InterruptedError):
        team.run(lambda: setattr(team, "abandoned", team.present) or team.map(str, range(2)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_has_workers_of_its_own():
    program = (
        "import os, torch; from fastnst.stylization.cpu.workers import workers; torch.set_num_threads(2);"
        "team = workers(); team.run(lambda: team.map(str, range(2)));"
        "child = os.fork();"
        "other = workers(); result = other.run(lambda: other.map(str, range(2)));"
        "print(result, (other is team) == (child != 0), flush=True);"
        "os._exit(0) if child == 0 else os.waitpid(child, 0)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert answer.stdout.splitlines() == ["['0', '1'] True"] * 2, answer.stderr
