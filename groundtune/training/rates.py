"""Learning rates that suit a method where nobody named one. Knows no data and no network."""

from __future__ import annotations

from dataclasses import replace

from groundtune.types import Tuning

RATES = {"lora": 1e-3, "partial": 1e-4, "full": 1e-4}
"""Peak by method: LoRA wants about ten times what full tuning wants (Schulman and others 2025, "LoRA without regret")."""


def settled(tuning: Tuning) -> Tuning:
    """The same settings with a learning rate."""
    return tuning if tuning.learning_rate is not None else replace(tuning, learning_rate=RATES[tuning.method])


def peak(tuning: Tuning) -> float:
    """The learning rate at the top of the schedule."""
    return tuning.learning_rate if tuning.learning_rate is not None else RATES[tuning.method]
