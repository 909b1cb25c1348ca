"""How a training descends, from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastnst.settings.own_classes import is_own, make


def descent(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Optimiser, schedule and learning rate, for :class:`~fastnst.training.steps.training_module.TrainingModule`."""
    chosen = {name: settings[name] for name in ("optimizer", "schedule", "learning_rate")}
    for name, value in chosen.items():
        if not isinstance(value, str) and name != "learning_rate":
            chosen[name] = make(name, value | {"_partial_": True} if is_own(value) else value)
    return chosen
