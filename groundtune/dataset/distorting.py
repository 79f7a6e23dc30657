"""The checks for what distorts: near duplicates, test items, contradictory labels, outliers. Knows examples as texts."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from groundtune.dataset.findings import Gate, Step, without
from groundtune.dataset.near import NearDuplicates, WordRuns, normal
from groundtune.types import Example

MANY = 20
"""Examples from which on one can be an outlier."""
FAR = 3.5
"""Modified z-score of an outlier: Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers"."""


def _said(example: Example) -> str:
    """What the model reads and learns of an example, without its evidence."""
    return "\n".join([*(message.content for message in example.history), example.question, *example.answers])


def duplicates(examples: Sequence[Example], gate: Gate) -> Step:
    """Of examples that say nearly the same, question and answer, the first stays."""
    seen = NearDuplicates()
    reasons: dict[str, str] = {}
    origins: dict[str, str] = {}
    for example in examples:
        like = seen.like(_said(example))
        if like:
            reasons[example.id] = f"nearly the same as {like[0][0]!r} ({origins[like[0][0]]}): {like[0][1]:.0%} alike"
        if not like or ("duplicates", example.id) in gate.leave:
            seen.add(example.id, _said(example))
            origins[example.id] = example.origin
    return without(examples, "duplicates", reasons, gate)


def overlap(examples: Sequence[Example], gate: Gate) -> Step:
    """What gives a test item away: the item itself, thirteen of its words in a row, or nearly its question."""
    held = gate.held_out
    runs = WordRuns({key: [one.question, *one.answers] for key, one in held.items()})
    questions = NearDuplicates()
    for key, one in held.items():
        questions.add(key, one.question)
    reasons = {}
    for example in examples:
        asked = [message.content for message in example.history if message.role == "user"] + [example.question]
        like = max((found for text in asked for found in questions.like(text)[:1]), key=lambda one: one[1], default=None)
        key = runs.repeated_by(_said(example))
        if example.id in held:
            reasons[example.id] = "is a test item"
        elif key:
            reasons[example.id] = f"repeats words of the test item {key!r}"
        elif like is not None:
            reasons[example.id] = f"asks nearly what the test item {like[0]!r} asks: {like[1]:.0%} alike"
    return without(examples, "overlap", reasons, gate)


def labels(examples: Sequence[Example], gate: Gate) -> Step:
    """The same question with answers that share nothing: the minority goes, and all of them where there is no majority."""
    asked: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        documents = sorted({evidence.document for evidence in example.evidence})
        context = [normal(message.content) for message in example.history] + documents
        asked["\n".join([*context, normal(example.question)])].append(example)
    reasons = {}
    for group in asked.values():
        votes = Counter(answer for one in group for answer in _answers(one))
        best, count = votes.most_common(1)[0]
        if all(best in _answers(one) for one in group):
            continue
        clear = 2 * count > len(group)
        for one in group:
            if not (clear and best in _answers(one)):
                others = [other.origin for other in group if not _answers(other) & _answers(one)]
                reasons[one.id] = f"the same question has another answer: {', '.join(others[:3]) or 'several'}"
    return without(examples, "labels", reasons, gate)


def _answers(example: Example) -> frozenset[str]:
    """Normal answers; that there is none is an answer too."""
    return frozenset(normal(answer) or answer for answer in example.answers) or frozenset({""})


def outliers(examples: Sequence[Example], gate: Gate) -> Step:
    """Lengths and shares of signs that are far from those of the others."""
    if len(examples) < MANY:
        return list(examples), []
    measures: dict[str, Callable[[Example], float]] = {
        "length of the question": lambda one: math.log1p(len(one.question.split())),
        "length of the answer": lambda one: math.log1p(max((len(answer.split()) for answer in one.answers), default=0)),
        "share of signs": lambda one: _signs(_said(one)),
    }
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for name, measure in measures.items():
        values = [measure(one) for one in examples]
        middle = statistics.median(values)
        spread = statistics.median(abs(value - middle) for value in values)
        for one, value in zip(examples, values, strict=True):
            far = 0.6745 * abs(value - middle) / spread if spread else 0.0
            if far > FAR:
                reasons[one.id].append(f"{name} is far from the others' (modified z {far:.1f})")
    return without(examples, "outliers", {one: "; ".join(why) for one, why in reasons.items()}, gate)


def _signs(text: str) -> float:
    """Share of characters that are neither letters, digits nor blank."""
    return sum(not (letter.isalnum() or letter.isspace()) for letter in text) / max(1, len(text))
