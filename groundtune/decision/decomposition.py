"""Where answers are lost, and where a task stands on the classic matrix, from the scores of probes. Pure; knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from groundtune.evaluation.bounded import BoundedValues
from groundtune.evaluation.statistics import mean_interval, mean_of
from groundtune.types import Example, Interval, Score


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean over items, with its interval over groups of items."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Where the measured retrieval answer loses against a perfect one, on the answerable items that have evidence.

    `retrieval_loss` + `format_loss` + `reading_loss` = 1 - `retrieved`. The path is R -> O -> O_relaxed -> 1, with O the score
    with gold evidence in the prompt, and O_relaxed the same scored by whether the answer is contained.
    """

    items: int
    retrieved: Measure
    gold_evidence: Measure
    gold_evidence_relaxed: Measure
    closed_book: Measure | None
    answer_in_context: Measure
    """Share of these items whose retrieved context holds an accepted answer: a ceiling that needs no model."""
    retrieval_loss: Measure
    format_loss: Measure
    reading_loss: Measure


@dataclass(frozen=True, slots=True)
class Matrix:
    """The position of this task and model, both axes from 0 to 1.

    External data: 1 - relaxed closed-book score, the share of answers that the model does not bring along. Behaviour: 1 - score
    with gold evidence in the prompt (without documents: 1 - closed-book score), the share that is still lost when everything
    that must be known was shown. Of answerable items, those with evidence where there is any. After the matrix of OpenAI's
    guide "Optimizing LLM accuracy", which draws it and does not measure it.
    """

    external_data: Measure | None
    """None without documents, or when the closed book was not raced."""
    behaviour: Measure | None
    words: str


def mean_measure(values: Sequence[float], groups: Sequence[str], *, seed: int = 0) -> Measure:
    """The mean of values in [0, 1]; `groups[i]` is the group of `values[i]`."""
    return Measure(float(np.mean(values)), mean_interval(values, groups, seed=seed))


def relaxed(score: Score, metric: str) -> float:
    """The metric, or 1 where the answer contains an accepted one: what is left when format is forgiven."""
    return max(score.metrics.get(metric, 0.0), score.metrics.get("contains", 0.0))


def decompose(
    probe: Sequence[Score],
    *,
    rag: Sequence[Score],
    closed_book: Sequence[Score] | None,
    examples: Mapping[str, Example],
    held: Mapping[str, bool],
    metric: str,
    seed: int = 0,
) -> Decomposition | None:
    """The path R -> O -> O_relaxed -> 1 on the answerable items that were shown gold evidence; None when there is none.

    `held` says of an item whether its retrieved context holds an accepted answer.
    """
    shown = {score.item: score for score in probe if score.context and examples[score.item].answers}
    rows = {score.item: score for score in rag if score.item in shown and metric in score.metrics}
    items = sorted(item for item in rows if metric in shown[item].metrics)
    if not items:
        return None
    groups = [shown[item].group for item in items]
    retrieved = [rows[item].metrics[metric] for item in items]
    gold = [shown[item].metrics[metric] for item in items]
    forgiven = [relaxed(shown[item], metric) for item in items]
    known = {score.item: score.metrics.get(metric, 0.0) for score in closed_book or ()}

    def share(values: Sequence[float]) -> Measure:
        return mean_measure(values, groups, seed=seed)

    return Decomposition(
        items=len(items),
        retrieved=share(retrieved),
        gold_evidence=share(gold),
        gold_evidence_relaxed=share(forgiven),
        closed_book=share([known[item] for item in items]) if closed_book else None,
        answer_in_context=share([float(held.get(item, False)) for item in items]),
        retrieval_loss=_difference(gold, retrieved, groups, seed=seed),
        format_loss=_difference(forgiven, gold, groups, seed=seed),
        reading_loss=share([1 - value for value in forgiven]),
    )


def matrix(
    *,
    closed_book: Sequence[Score] | None,
    probe: Sequence[Score],
    examples: Mapping[str, Example],
    metric: str,
    has_documents: bool,
    seed: int = 0,
) -> Matrix:
    """The measured position; an axis that no probe measured is None."""
    answerable = [score for score in closed_book or () if examples[score.item].answers and metric in score.metrics]
    shown = [score for score in probe if score.context and examples[score.item].answers and metric in score.metrics]
    if shown:
        items = {score.item for score in shown}
        answerable = [score for score in answerable if score.item in items]
    external = _need(answerable, [relaxed(score, metric) for score in answerable], seed) if has_documents else None
    acting = shown if has_documents else answerable
    behaviour = _need(acting, [score.metrics[metric] for score in acting], seed)
    return Matrix(external, behaviour, _quadrant(external, behaviour, has_documents))


def _need(scores: Sequence[Score], values: Sequence[float], seed: int) -> Measure | None:
    if not scores:
        return None
    return mean_measure([1 - value for value in values], [score.group for score in scores], seed=seed)


def _quadrant(external: Measure | None, behaviour: Measure | None, has_documents: bool) -> str:
    """Which half of each axis, where the interval lies in one of them."""

    def half(found: Measure | None) -> str:
        if found is None:
            return "not measured"
        return "high" if found.interval.low > 0.5 else "low" if found.interval.high < 0.5 else "undecided"

    data = half(external) if has_documents else "not applicable, there are no documents"
    return f"need of external data: {data}; need of capability or behaviour: {half(behaviour)}"


def _difference(first: Sequence[float], second: Sequence[float], groups: Sequence[str], *, seed: int) -> Measure:
    codes: dict[str, int] = {}
    coded = np.array([codes.setdefault(group, len(codes)) for group in groups], dtype=np.int64)
    values = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    interval = mean_of(BoundedValues(values, coded, -1.0, 1.0), level=0.95, seed=seed, prefer_score=False)
    return Measure(float(values.mean()), interval)
