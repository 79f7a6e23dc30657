"""What can be turned on a generated company. Knows ranges; generates nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields

from groundtune.errors import UsageError

FEWEST = 10
"""Least number of questions, labelled or in all."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """Raises UsageError naming the knob that is out of range."""

    unknown: float = 0.9
    """Share of the answerable questions about facts of the firm, which no model can know; the others are common knowledge."""
    style: float = 0.33
    """Strength of the house style: which share of its three elements every answer shows."""
    labelled: int = 160
    """Most questions that may be learned from: `train_questions` of the workspace."""
    difficulty: float = 0.4
    """Share of the questions in an asker's words; the others use the document's."""
    churn: float = 0.4
    """Share of the facts that had another value in an earlier edition, where there is one."""
    questions: int = 320
    """In all, those without an answer included."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"{value!r} is no number.", subject=field.name)
            if field.name in ("labelled", "questions"):
                if int(value) != value or value < FEWEST:
                    raise UsageError(f"{value} is no count of at least {FEWEST}.", subject=field.name)
            elif not 0 <= value <= 1:
                raise UsageError(f"{value} is not between 0 and 1.", subject=field.name)
