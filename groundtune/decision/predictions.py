"""What a candidate is expected to score, said before it is built, from probes and ceilings only; scored afterwards.

Per item a low, an expected and a high value; the mean of the middle ones is the expectation, and the interval reaches from the
lower end of the low ones' interval to the upper end of the high ones'. With H whether the retrieved context holds an accepted
answer, O the gold-evidence probe, m what abstaining without asking the model earns, c the best constant answer, N the nearest
example's answer, B, F and R the closed book, the nearest-examples and the retrieved-context answers *where they were raced
before*, r the reader probe:

| candidate | low | expected | high |
|---|---|---|---|
| prompt | 0 | c | O, or 1 without evidence |
| few_shot | 0 | the best on average of N, B and c | the best of N, B and O, or 1 without documents |
| rag | m | O where H, else m | O relaxed where H, else the better of m and B; 1 where nothing can be answered |
| tuned | 0 | the best on average of N, B, F and c | the best of N, B, F relaxed, or 1 without documents |
| rag_tuned | the expectation of rag, or R | r where H, or halfway from O relaxed to 1; else m | 1 where H, else N |

What is shown or learns labelled answers can at least say the commonest, hence the c.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.decision.decomposition import relaxed
from groundtune.evaluation.statistics import mean_interval
from groundtune.store.artefacts import write_whole
from groundtune.types import Candidate, Example, Score


@dataclass(frozen=True, slots=True)
class Prediction:
    candidate: str
    expected: float
    low: float
    high: float
    basis: str
    """The probes that it rests on."""
    created: float
    """Seconds since the epoch: before the candidate was built."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A prediction beside what was measured."""

    prediction: Prediction
    measured: float
    error: float
    """Measured minus expected."""
    inside: bool
    """Whether the interval holds what was measured."""


@dataclass(frozen=True)
class Evidence:
    """What is known before a candidate is built: item -> value in [0, 1]; None where a probe did not run."""

    examples: Mapping[str, Example]
    """The scored items."""
    has_documents: bool
    constant: float
    """Mean score of the best constant answer."""
    held: Mapping[str, bool] | None = None
    mechanical: Mapping[str, float] | None = None
    """What abstaining without asking the model earns."""
    gold: Mapping[str, float] | None = None
    gold_relaxed: Mapping[str, float] | None = None
    reader: Mapping[str, float] | None = None
    nearest: Mapping[str, float] | None = None
    closed_book: Mapping[str, float] | None = None
    examples_shown: Mapping[str, float] | None = None
    retrieved: Mapping[str, float] | None = None


def values(scores: Sequence[Score], metric: str) -> dict[str, float] | None:
    """Item -> metric; None without scores."""
    return {score.item: score.metrics[metric] for score in scores if metric in score.metrics} or None


def forgiven(scores: Sequence[Score], metric: str) -> dict[str, float] | None:
    """Item -> relaxed metric; None without scores."""
    return {score.item: relaxed(score, metric) for score in scores if metric in score.metrics} or None


def predict(candidate: Candidate, evidence: Evidence, *, clock: Callable[[], float] = time.time) -> Prediction:
    """The prediction for a candidate of this recipe, whatever its name."""
    retrieves, tuned, shows = candidate.context is not None, candidate.tuning is not None, candidate.examples is not None
    if retrieves:
        expected, low, high, basis = _retrieving(evidence, tuned=tuned)
    else:
        expected, low, high, basis = _without_context(evidence, tuned=tuned, shows=shows)
    items = sorted(evidence.examples)
    groups = [evidence.examples[item].group for item in items]
    middle = float(np.mean([expected[item] for item in items]))
    bottom = mean_interval([low[item] for item in items], groups).low
    top = mean_interval([high[item] for item in items], groups).high
    return Prediction(candidate.name, middle, min(bottom, middle), max(top, middle), basis, clock())


def _without_context(
    evidence: Evidence, *, tuned: bool, shows: bool
) -> tuple[dict[str, float], dict[str, float], dict[str, float], str]:
    known = {"nearest example's answer": evidence.nearest, "closed book": evidence.closed_book}
    if tuned:
        known["nearest examples"] = evidence.examples_shown
    if not (tuned or shows):
        known = {}
    found = {name: rows for name, rows in known.items() if rows is not None}
    best = max(found, key=lambda name: _mean(found[name]), default="")
    items = list(evidence.examples)
    if best and _mean(found[best]) < evidence.constant:
        best = ""
    expected = {item: found[best].get(item, 0.0) if best else evidence.constant for item in items}
    if not evidence.has_documents:
        high = dict.fromkeys(items, 1.0)
    else:
        reading = {} if tuned else evidence.gold or {}
        ceiling = 1.0 if not found and not reading else 0.0
        high = {
            item: max([ceiling, reading.get(item, _mean(reading)), *(rows.get(item, 0.0) for rows in found.values())])
            for item in items
        }
        high = {item: value if evidence.examples[item].answers else 1.0 for item, value in high.items()}
    basis = f"best of {', '.join((*found, 'best constant answer'))}" if found else "best constant answer"
    return (
        expected,
        dict.fromkeys(items, 0.0),
        high,
        basis + ("; gold evidence as ceiling" if evidence.gold and not tuned else ""),
    )


def _retrieving(evidence: Evidence, *, tuned: bool) -> tuple[dict[str, float], dict[str, float], dict[str, float], str]:
    gold, gold_relaxed, mechanical = evidence.gold or {}, evidence.gold_relaxed or {}, evidence.mechanical or {}
    average, average_relaxed = (_mean(gold) if gold else 0.5), (_mean(gold_relaxed) if gold_relaxed else 1.0)
    expected: dict[str, float] = {}
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for item, example in evidence.examples.items():
        floor = mechanical.get(item, 0.0)
        if not example.answers:
            expected[item], low[item], high[item] = floor, floor, 1.0
            continue
        held = bool((evidence.held or {}).get(item, False))
        reading, forgiving = gold.get(item, average), gold_relaxed.get(item, average_relaxed)
        plain = max(floor, reading) if held else floor
        if not tuned:
            other = (evidence.closed_book or {}).get(item, 0.0)
            expected[item], low[item], high[item] = plain, floor, max(forgiving, reading) if held else max(floor, other)
            continue
        learned = (evidence.reader or {}).get(item, (1 + forgiving) / 2)
        expected[item] = learned if held else floor
        low[item] = (evidence.retrieved or {}).get(item, plain)
        high[item] = 1.0 if held else max(floor, (evidence.nearest or {}).get(item, 0.0))
    basis = "answer-in-context recall, gold evidence" if gold else "answer-in-context recall"
    if tuned and evidence.reader is not None:
        basis += ", reader"
    if tuned and evidence.retrieved is not None:
        basis += ", retrieved context as floor"
    return expected, low, high, basis


def _mean(rows: Mapping[str, float]) -> float:
    return sum(rows.values()) / len(rows) if rows else 0.0


class Book:
    """The predictions of one run, in a file that is written before each candidate is built and never overwritten."""

    def __init__(self, path: Path, *, fingerprint: str) -> None:
        """An interrupted run finds what it had predicted; predictions about other items are dropped."""
        self._path, self._fingerprint = path, fingerprint
        self._rows: dict[str, Any] = {}
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):  # absent, or damaged on disk
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["fingerprint"] == fingerprint:
                self._rows = {name: asdict(Prediction(**row)) for name, row in stored["predictions"].items()}

    def write(self, prediction: Prediction) -> None:
        if prediction.candidate in self._rows:
            return
        self._rows[prediction.candidate] = asdict(prediction)
        content = {"fingerprint": self._fingerprint, "predictions": self._rows}
        write_whole(self._path, (json.dumps(content, indent=1) + "\n").encode())

    def scored(self, measured: Mapping[str, float]) -> tuple[Scored, ...]:
        """Every prediction whose candidate was measured, in the order of prediction."""
        found = [Prediction(**row) for name, row in self._rows.items() if name in measured]
        return tuple(
            Scored(one, value := measured[one.candidate], value - one.expected, one.low <= value <= one.high) for one in found
        )
