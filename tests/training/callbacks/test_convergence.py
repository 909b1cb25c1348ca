"""Whether a run has converged: by its own callback, and by hand from the same numbers."""

import types

import pytest
import torch

from fastnst.losses import Objective
from fastnst.training.callbacks.convergence import Convergence
from fastnst.training.module import StyleTransferModule


def run(totals, callback=None, first=0, steps=None):
    callback = callback or Convergence()
    for number, total in enumerate(totals[first:], first + 1):
        module = object.__new__(StyleTransferModule)
        module.__dict__.update(steps=steps or len(totals), last_objective=Objective(torch.tensor(total), {}, {}, {}))
        callback.on_train_batch_end(types.SimpleNamespace(global_step=number), module, None, None, 0)
    return callback


def test_says_how_much_the_last_quarter_brought():
    totals = [9.0] * 10 + [8.0] * 10 + [4.0] * 10 + [3.0] * 10
    assert "by 25%" in run(totals).words()
    assert run([9.0] * 20 + [4.0] * 10 + [3.9] * 10).words().startswith("Converged")
    assert run([9.0] * 20 + [3.0] * 10 + [4.0] * 10).words().startswith("Converged")


def test_a_resumed_run_says_the_same():
    totals = [10.0 - 0.1 * n for n in range(50)]
    whole = run(totals)
    part = run(totals[:33], steps=50)
    resumed = Convergence()
    resumed.load_state_dict(part.state_dict())
    assert run(totals, resumed, first=33).words() == whole.words()
    third, last = sum(totals[25:38]) / 13, sum(totals[38:]) / 12
    assert f"by {1 - last / third:.0%}" in whole.words()


@pytest.mark.parametrize("totals", [[1.0] * 8, [0.0] * 40])
def test_too_little_to_say(totals):
    words = run(totals).words()
    assert words is None or words.startswith("Converged")


def test_a_run_that_was_stopped_early_says_nothing():
    assert run([5.0] * 25, steps=100).words() is None
