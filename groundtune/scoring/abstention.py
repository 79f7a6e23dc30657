"""Whether an assistant abstains from the right questions. Knows two flags an item, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundtune.types import Answer, Example


def abstention(example: Example, answer: Answer) -> float:
    """1 when the assistant abstained from an unanswerable item or answered an answerable one, else 0."""
    return float(answer.abstained == (not example.answers))


@dataclass(frozen=True, slots=True)
class AbstentionReport:
    """Abstaining as a detector of unanswerable items. Shares are None where nothing was counted in the denominator."""

    precision: float | None
    """Share of the abstentions that fell on unanswerable items."""
    recall: float | None
    """Share of the unanswerable items from which the assistant abstained."""
    abstained: int
    unanswerable: int
    items: int


def abstention_report(examples: Sequence[Example], answers: Sequence[Answer]) -> AbstentionReport:
    """Precision and recall of abstaining over a set; `answers[i]` belongs to `examples[i]`."""
    return abstention_counts(
        [not example.answers for example in examples],
        [answer.abstained for answer in answers],
    )


def abstention_counts(unanswerable: Sequence[bool], abstained: Sequence[bool]) -> AbstentionReport:
    """The same from two flags an item, for stored scores."""
    both = sum(known and said for known, said in zip(unanswerable, abstained, strict=True))
    said, known = sum(abstained), sum(unanswerable)
    return AbstentionReport(
        precision=both / said if said else None,
        recall=both / known if known else None,
        abstained=said,
        unanswerable=known,
        items=len(abstained),
    )
