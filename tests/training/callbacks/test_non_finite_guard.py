"""What goes wrong in a training is noticed, named and counted."""

import itertools
from collections.abc import Container

import pytest
import torch

from fastnst.losses.perceptual import CONTENT_DISTANCES
from fastnst.models.model_file import load_model
from fastnst.training.callbacks.non_finite_guard import NonFiniteGuard
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from tests.conftest import events, load, same, weights


@pytest.fixture
def break_content(monkeypatch):
    """Makes the content term NaN in the numbered calls (one call for each training step until validation)."""

    ordinary = CONTENT_DISTANCES["normalized"]

    def calls_in(numbers: Container[int]) -> None:
        calls = []

        def broken(features, target):
            calls.append(None)
            return ordinary(features, target) * (torch.nan if len(calls) in numbers else 1.0)

        monkeypatch.setitem(CONTENT_DISTANCES, "normalized", broken)

    return calls_in


@pytest.fixture
def history(monkeypatch):
    """The weights after each step."""
    seen = []

    def remember(self, trainer, pl_module, *arguments):
        seen.append({name: value.detach().clone() for name, value in pl_module.network.state_dict().items()})

    monkeypatch.setattr(SkippedPhotos, "on_train_batch_end", remember)
    return seen


def test_a_step_that_is_not_finite_is_skipped_and_counted(train, tmp_path, break_content, history):
    break_content({2})
    answer = train("trainer.max_steps=4", "validate_every=4", "output_dir=run")
    assert answer.code == 0
    assert (
        answer.err == "warning: step 1: the loss term content/relu3_3 is not finite; the step is skipped (1 so far).\n"
    )
    assert "Steps skipped because a loss was not finite: 1." in answer.out
    changed = [any(not torch.equal(a[name], b[name]) for name in a) for a, b in itertools.pairwise(history)]
    assert changed == [False, True, True]
    assert all(value.isfinite().all() for value in history[-1].values())


def test_repeated_ones_stop_the_run_with_the_term_and_what_to_change(train, tmp_path, break_content, monkeypatch):
    with monkeypatch.context():
        break_content(range(3, 1000))
        answer = train("trainer.max_steps=50", "validate_every=50", "output_dir=run")
    assert answer.code == 2
    *skipped, last = answer.err.splitlines()
    assert len(skipped) == 10 + 1 + 10 + 1 + 10 and all(line.startswith("warning: step ") for line in skipped)
    back = "10 steps in a row were not finite; continuing with the weights of step 0 and half the learning rate"
    assert skipped[10] == f"warning: step 11: {back} (0.0005)."
    assert skipped[21] == f"warning: step 21: {back} (0.00025)."
    assert last.startswith(
        "error: 10 steps in a row were not finite, again after going back to good weights 2 times, first broken: the "
        "loss term content/relu3_3."
    )
    assert "lower learning_rate (now 0.00025) or the weight of that term" in last and "ckpt_path=last" in last
    model = load_model(tmp_path / "run" / "model.ckpt")  # what there was before is saved
    assert all(value.isfinite().all() for value in model.network.state_dict().values())
    monkeypatch.undo()
    again = train("trainer.max_steps=34", "output_dir=run", "ckpt_path=last", "learning_rate=1e-4")
    assert again.code == 0, again.err
    assert "Resuming from step 31 of run/last.ckpt; changed since: " in again.out
    assert "learning_rate 0.001 -> 0.0001" in again.out
    assert "Steps skipped because a loss was not finite: 30." in again.out
    rates = [event.value for event in events(tmp_path / "run").Scalars("lr-Adam")]
    expected = [1e-3] * 12 + [5e-4] * 10 + [2.5e-4] * 9 + [1e-4] * 3
    assert rates == pytest.approx(expected)


def test_it_goes_back_to_the_very_weights_of_the_last_good_step(train, tmp_path, break_content, history, monkeypatch):
    """Kept after step 4; the steps 8 to 10 are not finite, and after the third the weights are those again."""
    monkeypatch.setattr(
        NonFiniteGuard.__init__, "__defaults__", (1, 3, 2, 4)
    )  # and of these: patience, tries, keep_every
    break_content({8, 9, 10})
    answer = train("trainer.max_steps=11", "validate_every=50", "output_dir=run")
    assert answer.code == 0
    assert "step 9: 3 steps in a row were not finite; continuing with the weights of step 4 and half" in answer.err
    assert same(history[9], history[3])
    assert not same(history[8], history[3]) and same(history[8], history[6])  # until then those of step 7
    assert not same(history[10], history[9])  # and on from there
    state = load(tmp_path / "run" / "last.ckpt")["optimizer_states"][0]["state"][0]
    assert state["step"].item() == 4 + 1  # the optimiser's moments went back, too


@pytest.mark.parametrize("optimizer", ["adam", "muon", "{_target_: torch.optim.Adam, fused: true}"])
def test_steps_nobody_reads_are_skipped_just_the_same(train, tmp_path, optimizer, break_content):
    """The same weights, bit for bit, and the same words, whether each step is read or some."""
    said = {}
    for every in (1, 4):
        break_content({3, 6, 7, 10})
        answer = train("trainer.max_steps=11", "validate_every=11", f"trainer.log_every={every}", "save_every=5",
                       f"output_dir=run{every}", f"optimizer={optimizer}")  # fmt: skip
        assert answer.code == 0, answer.err
        said[every] = answer.err.splitlines()
    words = "the loss term content/relu3_3 is not finite; the step is skipped"
    assert said[1] == said[4] == [f"warning: step {n}: {words} ({k} so far)." for k, n in enumerate((2, 5, 6, 9), 1)]
    assert same(weights(tmp_path / "run1"), weights(tmp_path / "run4"))


def test_the_run_stops_in_the_same_step_where_ten_are_read_at_once(train, break_content):
    """Broken from step 4 on: twice back to good weights, and the end after step 33."""
    told = []
    for every in (1, 10):
        break_content(range(5, 1000))
        answer = train("trainer.max_steps=60", "validate_every=60", f"trainer.log_every={every}", f"output_dir={every}")
        assert answer.code == 2
        told.append(answer.err)
    assert told[0] == told[1] and "step 33: the loss term" in told[0] and "step 34: the loss term" not in told[0]
