"""The questions that candidates lost: which are worth showing, and what is shown of each. Knows no permissions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from groundtune.reporting.choice import mean, ran
from groundtune.types import Example, Message

MOST_QUESTIONS = 12
"""Questions shown."""
LONGEST = 600
"""Characters of an answer that are shown."""
AROUND = 240
"""Characters of a document shown on either side of the evidence."""


_EQUAL = 1e-9
"""Scores nearer to each other than this are the same."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How often one candidate scored below the best of the others."""

    candidate: str
    lost: int
    items: int
    shown: tuple[int, ...]
    """Numbers of the questions shown that it lost."""


@dataclass(frozen=True, slots=True)
class Choice:
    items: tuple[str, ...]
    """Ids of the questions to show, those that tell most first."""
    losses: Mapping[str, tuple[int, int]]
    """Candidate -> questions lost, questions scored."""
    nobody: int
    """Questions on which every candidate scored 0."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document with the evidence in it."""

    document: str
    parts: tuple[tuple[str, bool], ...]
    """(text, whether it is the evidence), in order."""
    note: str = ""
    """What a reader must know of it; empty when nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    candidate: str
    score: float | None
    """None where the metric gives none."""
    answer: str | None
    """None where it must not be shown."""
    abstained: bool
    evidence_shown: bool | None
    """Whether the evidence stood in what the candidate was shown; None where it retrieves nothing or nothing was located."""
    best: bool


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    kind: str
    question: str
    history: tuple[Message, ...]
    answers: tuple[str, ...]
    rows: tuple[Row, ...]
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """The section's content."""

    questions: tuple[Question, ...] = ()
    losses: tuple[Loss, ...] = ()
    nobody: int = 0
    readers: tuple[str, ...] = ()
    """Those for whom the texts were chosen, each by the principals that they hold; empty when none are shown."""
    withheld: int = 0
    """Scored questions that these readers may not see."""
    why: str = ""
    """Why no text is shown; empty when there is."""


def choose(
    report: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    *,
    reference: str | None,
    allowed: Collection[str],
    most: int = MOST_QUESTIONS,
) -> Choice:
    """The questions on which each candidate in turn, the reference first, fell furthest behind the best.

    Only `allowed` ones are shown; losses count all. Ties go to the question on which candidates differ more, then to its id.
    """
    metric = report["task"]["metric"]
    values = _values(report, scores)
    best = {item: max(found.values()) for item, found in values.items()}
    spread = {item: best[item] - sum(found.values()) / len(found) for item, found in values.items()}
    names = [one["name"] for one in sorted(ran(report), key=lambda one: (one["name"] != reference, -mean(one, metric)))]
    gaps = {name: {item: best[item] - found[name] for item, found in values.items() if name in found} for name in names}
    lost = {name: [item for item, gap in gaps[name].items() if gap > _EQUAL] for name in names}
    queues = [sorted((-gaps[name][item], -spread[item], item) for item in lost[name] if item in allowed) for name in names]
    in_turn = [entry[2] for round_ in zip_longest(*queues) for entry in round_ if entry is not None]
    return Choice(
        tuple(dict.fromkeys(in_turn))[:most],
        losses={name: (len(lost[name]), len(gaps[name])) for name in names},
        nobody=sum(value <= 0 for value in best.values()),
    )


def questions(
    report: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    *,
    examples: Sequence[Example],
    passages: Mapping[str, tuple[Passage, ...]],
    hidden: Collection[tuple[str, str]] = (),
) -> tuple[Question, ...]:
    """What is shown of each example: every candidate's answer beside its score. `hidden` are (candidate, id) without answer.

    With several seeds the score is their mean and the answer that of the first.
    """
    values = _values(report, scores)
    first = {(score["candidate"], score["item"]): score for score in reversed(scores)}
    found = []
    for example in examples:
        mine = values.get(example.id, {})
        best = max(mine.values(), default=0.0)
        rows = tuple(
            Row(
                one["name"],
                score=mine.get(one["name"]),
                answer=None if (one["name"], example.id) in hidden else cut(score["answer"]),
                abstained=score["abstained"],
                evidence_shown=_shown(example, score["context"]) if one["recipe"].get("context") else None,
                best=mine.get(one["name"], 0.0) > max(0.0, best - _EQUAL),
            )
            for one in ran(report)
            if (score := first.get((one["name"], example.id))) is not None
        )
        shown = example.id, example.kind, example.question, example.history, example.answers
        found.append(Question(*shown, rows, passages.get(example.id, ())))
    return tuple(found)


def marked(text: str, spans: Sequence[tuple[int, int]]) -> tuple[tuple[str, bool], ...]:
    """The text around spans of evidence, cut at spaces, as (text, whether it is evidence). Distant spans leave a gap "…"."""
    parts: list[tuple[str, bool]] = []
    position = 0
    for number, (start, end) in enumerate(sorted(spans)):
        start = max(start, position)
        before = _space_after(text, max(position, start - AROUND)) if start - AROUND > position else position
        if before > position:
            if number:
                tail = _space_before(text, min(before, position + AROUND))
                parts.append((text[position:tail], False))
            parts.append(("… ", False))
        parts += [(text[min(before, start) : start], False), (text[start : max(start, end)], True)]
        position = max(start, end)
    last = _space_before(text, position + AROUND) if position + AROUND < len(text) else len(text)
    parts.append((text[position : max(position, last)], False))
    if last < len(text):
        parts.append((" …", False))
    return tuple(part for part in parts if part[0])


def cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"


def losses(choice: Choice, shown: Sequence[Question]) -> tuple[Loss, ...]:
    """Every candidate's losses, with the numbers of the questions shown that it lost."""
    lost = {
        name: tuple(
            number
            for number, question in enumerate(shown, start=1)
            for row in question.rows
            if row.candidate == name and row.score is not None and not row.best
        )
        for name in choice.losses
    }
    return tuple(Loss(name, count, items, lost[name]) for name, (count, items) in choice.losses.items())


def _values(report: Mapping[str, Any], scores: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Item -> candidate -> the primary metric, averaged over seeds."""
    metric, names = report["task"]["metric"], {one["name"] for one in ran(report)}
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        if score["candidate"] in names and metric in score["metrics"]:
            found[score["item"]][score["candidate"]].append(score["metrics"][metric])
    return {item: {name: sum(rows) / len(rows) for name, rows in mine.items()} for item, mine in found.items()}


def _shown(example: Example, context: Sequence[str]) -> bool | None:
    """Whether a chunk of the context overlaps evidence; chunks are `document#start-end`."""
    spans = [(one.document, start, end) for one in example.evidence for start, end in one.spans]
    if not spans:
        return None
    for chunk in context:
        document, _, reach = chunk.rpartition("#")
        first, _, last = reach.partition("-")
        if any(document == name and int(first) < end and start < int(last) for name, start, end in spans):
            return True
    return False


def _space_after(text: str, position: int) -> int:
    at = text.find(" ", position, position + 40)
    return position if at < 0 else at + 1


def _space_before(text: str, position: int) -> int:
    at = text.rfind(" ", max(0, position - 40), position)
    return position if at < 0 else at
