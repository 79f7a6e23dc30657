"""Learning rates and other values that suit a method and an objective where nobody named one. Knows no data and no network."""

from __future__ import annotations

from dataclasses import replace

from groundtune.types import Tuning

PREFERENCES = ("dpo", "kto", "grpo")
"""Objectives that move a model from where it stands, and so want a small fraction of the rate that teaches it new answers."""
PREFERENCE_SHARE = 0.05
BETA = {"dpo": 0.1, "kto": 0.1}
"""How strongly the start holds, by objective: TRL's defaults; grpo is not held."""

RATES = {"lora": 1e-3, "partial": 1e-4, "full": 1e-4}
"""Peak by method: LoRA wants about ten times what full tuning wants (Schulman and others 2025, "LoRA without regret")."""


def settled(tuning: Tuning) -> Tuning:
    """The same settings with what nobody named."""
    beta = tuning.beta if tuning.beta is not None else BETA.get(tuning.objective, 0.0)
    return replace(tuning, learning_rate=peak(tuning), beta=beta)


def peak(tuning: Tuning) -> float:
    """The learning rate at the top of the schedule."""
    if tuning.learning_rate is not None:
        return tuning.learning_rate
    return RATES[tuning.method] * (PREFERENCE_SHARE if tuning.objective in PREFERENCES else 1)
