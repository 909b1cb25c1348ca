"""What goes wrong in a training is noticed, named and counted."""

import itertools

import pytest
import torch

from fastnst.losses.perceptual import CONTENT_DISTANCES
from fastnst.models.model_file import load_model
from fastnst.training.callbacks.non_finite_guard import NonFiniteGuard
from fastnst.training.callbacks.skipped_photos import SkippedPhotos
from tests.conftest import events, load, same


@pytest.fixture
def break_content(monkeypatch):
    """Makes the content term NaN in the numbered calls (one call for each training step until validation)."""

    def from_to(first: int, last: float) -> None:
        ordinary, calls = CONTENT_DISTANCES["normalized"], []

        def broken(features, target):
            calls.append(None)
            return ordinary(features, target) * (torch.nan if first <= len(calls) <= last else 1.0)

        monkeypatch.setitem(CONTENT_DISTANCES, "normalized", broken)

    return from_to


@pytest.fixture
def history(monkeypatch):
    """The weights after each step."""
    seen = []

    def remember(self, trainer, pl_module, *arguments):
        seen.append({name: value.detach().clone() for name, value in pl_module.network.state_dict().items()})

    monkeypatch.setattr(SkippedPhotos, "on_train_batch_end", remember)
    return seen


def test_a_step_that_is_not_finite_is_skipped_and_counted(train, tmp_path, break_content, history):
    break_content(2, 2)
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
        break_content(3, float("inf"))
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
    monkeypatch.setattr(NonFiniteGuard.__init__, "__defaults__", (3, 2, 4))  # patience, tries, keep_every
    break_content(8, 10)
    answer = train("trainer.max_steps=11", "validate_every=50", "output_dir=run")
    assert answer.code == 0
    assert "step 9: 3 steps in a row were not finite; continuing with the weights of step 4 and half" in answer.err
    assert same(history[9], history[3])
    assert not same(history[8], history[3]) and same(history[8], history[6])  # until then those of step 7
    assert not same(history[10], history[9])  # and on from there
    state = load(tmp_path / "run" / "last.ckpt")["optimizer_states"][0]["state"][0]
    assert state["step"].item() == 4 + 1  # the optimiser's moments went back, too
