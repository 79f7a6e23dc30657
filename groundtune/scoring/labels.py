"""Answers that are one label out of a fixed set. Knows strings only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from groundtune.types import Answer, Example

_WRAPPING = " \t\r\n\"'`*.,;:!()[]{}"


def label_of(text: str) -> str:
    """The label that a text gives: folded case, without surrounding quotes, brackets and punctuation."""
    return text.strip(_WRAPPING).casefold() or text.strip().casefold()


def label_accuracy(example: Example, answer: Answer) -> float:
    """1 when the answer is a reference label and nothing else, else 0; without reference labels 1 exactly when it abstained."""
    if not example.answers or answer.abstained:
        return float(answer.abstained and not example.answers)
    return float(label_of(answer.text) in {label_of(reference) for reference in example.answers})


def macro_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> float:
    """Unweighted mean of the labels' F1 over a set, in [0, 1]; NaN for an empty set.

    The classes are the first references that occur, and "abstain" for items without one; an answer that is any reference of
    its item counts as the first. An answer outside the classes costs its item's class recall and no class precision, as with
    `sklearn.metrics.f1_score(labels=classes, average="macro", zero_division=0)`.
    """
    right: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for example, answer in zip(examples, answers, strict=True):
        references = [label_of(reference) for reference in example.answers] or [""]
        said = "" if answer.abstained else label_of(answer.text)
        if said in references:
            said = references[0]
        wanted[references[0]] += 1
        given[said] += 1
        right[references[0]] += said == references[0]
    scores = [2 * right[label] / (wanted[label] + given[label]) for label in sorted(wanted)]
    return sum(scores) / len(scores) if scores else float("nan")
