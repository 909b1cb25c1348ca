"""Warnings about constant and saturated pictures."""

import warnings

import pytest
import torch

from fastnst.training.callbacks.output_watch import OutputWatch


@pytest.mark.parametrize(
    ("pictures", "warning"),
    [
        (
            torch.full((2, 3, 16, 16), 0.5),
            "step 7: a stylized picture is nearly one colour .*raise loss.content_weight",
        ),
        (torch.linspace(-0.5, 1.5, 3 * 256).reshape(1, 3, 16, 16), "50% of the values are outside .*range_weight"),
    ],
    ids=["constant", "saturated"],
)
def test_output_watch_warns_once_and_says_what_to_do(pictures, warning):
    watch = OutputWatch()
    with pytest.warns(UserWarning, match=warning):
        watch.examine(pictures, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.examine(pictures, 8)


def test_output_watch_is_quiet_about_pictures(photos):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OutputWatch().examine(torch.rand(3, 3, 16, 16), 1)
        OutputWatch().examine(torch.empty(0, 3, 16, 16), 1)


def test_constant_output_in_a_training(train):
    """A learning rate so high that everything breaks at once is said, one way or the other."""
    answer = train("learning_rate=100", "trainer.max_steps=4", "preview_every=1", "range_weight=0")
    assert "warning: step" in answer.err
    assert all(line.startswith(("warning: ", "error: ")) for line in answer.err.splitlines())
