"""The best answer that ignores the question. Knows references and a metric; the floor that any candidate must clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from groundtune.errors import DataError
from groundtune.interfaces import Metric
from groundtune.types import NOT_IN_DOCUMENTS, Answer, Example

_CONSTANTS = 200
"""References tried, the commonest first; with more distinct ones none of them alone scores much."""


@dataclass(frozen=True, slots=True)
class Constant:
    """An answer given to every question, and its mean score."""

    answer: str
    score: float


def best_constant(examples: Sequence[Example], metric: Metric) -> Constant:
    """The best of always abstaining and always saying one of the commonest references; ties go to the first in the alphabet.

    Raises DataError when the metric applies to none of the examples.
    """
    counts = Counter(reference for example in examples for reference in dict.fromkeys(example.answers))
    common = sorted(counts, key=lambda reference: (-counts[reference], reference))[:_CONSTANTS]
    answers = [Answer(NOT_IN_DOCUMENTS, abstained=True), *(Answer(reference) for reference in common)]
    found = []
    for answer in answers:
        values = [value for example in examples if (value := metric(example, answer)) is not None]
        if values:
            found.append(Constant(answer.text, sum(values) / len(values)))
    if not found:
        raise DataError("the metric applies to none of the questions.", remedy="Choose another primary metric.")
    return min(found, key=lambda constant: (-constant.score, constant.answer))
