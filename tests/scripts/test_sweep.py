"""Several trainings from one command: one after the other, side by side, one of them failing, and the page of all."""

import json
import os
import re
import signal
import threading
import time

import pytest

from fastnst.models.model_file import load_model
from fastnst.training.machine import devices
from fastnst.training.sweep_page import Outcome, finish_sweep, write_gallery
from tests.conftest import start_script
from tests.scripts.test_kills import train_in_a_child


def gallery(folder) -> str:
    (page,) = (folder / "outputs" / "multirun").glob("*/index.html")
    return page.read_text()


def test_styles_side_by_side_with_a_gallery(small, tmp_path):
    # A process of its own: joblib starts its workers from the main module.
    process = start_script(
        "train", "-m", *small, "style=mosaic,ink", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        "output_dir=sweep/${style.name}", cwd=tmp_path,
    )  # fmt: skip
    watchdog = threading.Timer(500, process.kill)
    watchdog.start()
    out, err = process.communicate()
    watchdog.cancel()
    assert process.returncode == 0, err
    runs = sorted(path.parent for path in (tmp_path / "sweep").rglob("model.ckpt"))
    assert [load_model(run / "model.ckpt").card["style"]["name"] for run in runs] == ["ink", "mosaic"]
    assert "2 of 2 trainings done. Gallery: outputs/multirun/" in out
    page = gallery(tmp_path)
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["0: style=mosaic", "1: style=ink"]
    assert page.count("data:image/jpeg;base64,") == 2 and page.count("On held-out photographs") == 2


def test_one_that_fails_does_not_stop_the_others(train, tmp_path):
    answer = train("-m", "learning_rate=-1,1e-3", "trainer=free_gpu", "trainer.max_steps=2")
    assert answer.code == 1, answer.err
    assert "error: learning_rate=-1" in answer.err and "1 of 2 trainings done" in answer.out
    page = gallery(tmp_path)
    assert 'class="problem"' in page and page.count("data:image/jpeg;base64,") == 1
    assert len(list((tmp_path / "outputs" / "mosaic").glob("*/model.ckpt"))) == 1


def test_a_sweep_of_several_processes_each_is_refused(train):
    answer = train("-m", "seed=0", "trainer=ddp", "trainer.devices=2")
    assert answer.code == 2 and "each job on one device" in answer.err


def test_a_job_that_was_killed_is_counted(train, small, tmp_path, capsys):
    """A job leaves word when it begins, under its own number; what a launcher did not come to has none."""

    def kill_the_second():
        from fastnst.training import trainer

        ordinary = trainer.fit

        def fit(run, module, *others):
            if module.seed == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            ordinary(run, module, *others)

        trainer.fit = fit

    assert train_in_a_child(["-m", *small, "seed=0,1,2"], tmp_path, kill_the_second) is None
    (sweep,) = (tmp_path / "outputs" / "multirun").iterdir()
    done = json.loads((sweep / "0000.json").read_text())
    (sweep / "0003.json").write_text(json.dumps({**done, "overrides": [*small, "seed=3"]}))
    with pytest.raises(SystemExit) as end:
        finish_sweep(sweep)
    assert end.value.code == 1 and "2 of 4 trainings done" in capsys.readouterr().out
    titles = re.findall(r"<h2>(.*?)</h2>", (sweep / "index.html").read_text())
    assert titles == ["0: seed=0", "1: seed=1", "2: ", "3: seed=3"]


def test_a_hostile_title_is_text(tmp_path):
    write_gallery([Outcome("<script>x</script>", tmp_path, "<b>")], tmp_path / "a" / "index.html", "<i>")
    page = (tmp_path / "a" / "index.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>" not in page and "<i>" not in page
    assert "No model." in page and not list((tmp_path / "a").glob(".*"))


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_each_training_gets_a_gpu_of_its_own_and_a_third_waits(two_gpus):
    order = []
    with devices.free_device() as first:
        with devices.free_device() as second:
            assert {first, second} == {0, 1}

            def third():
                with devices.free_device(pause=0.05) as number:
                    order.append(number)

            waiting = threading.Thread(target=third)
            waiting.start()
            time.sleep(0.3)
            assert order == []
        waiting.join(20)
        assert order == [second]


def test_gpus_are_the_same_under_other_numbers(two_gpus, monkeypatch):
    with devices.free_device() as first:
        assert first == 0
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
        with devices.free_device() as second:
            assert second == 0  # the machine's GPU 1


def test_without_a_gpu_there_is_nothing_to_wait_for(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 0)
    with devices.free_device() as number:
        assert number is None
