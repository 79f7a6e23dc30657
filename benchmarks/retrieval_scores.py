"""Rankings -> scores of questions, and means over collections with intervals. Knows spans, grades and groups; no system."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

Place = tuple[str, int, int]
"""(document, start, end): characters of the document's text."""

RESAMPLES = 9_999


def documents_of(hits: Sequence[Place]) -> list[str]:
    """Documents in the order of their best chunk."""
    return list(dict.fromkeys(document for document, _, _ in hits))


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], *, k: int) -> float:
    """nDCG@k with the grade itself as gain, as trec_eval's `ndcg_cut`. Source: Jarvelin and Kekalainen, "Cumulated gain-based
    evaluation of IR techniques", TOIS 2002, with the discount log2(rank + 1).
    """
    ideal = _discounted(sorted(grades.values(), reverse=True)[:k])
    return _discounted([grades.get(document, 0) for document in ranked[:k]]) / ideal if ideal else 0.0


def recall(ranked: Sequence[str], grades: Mapping[str, int], *, k: int) -> float:
    """Share of the relevant documents that stand among the first k."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def evidence_recall(hits: Sequence[Place], passages: Sequence[Sequence[Place]], *, k: int) -> float:
    """Mean over passages of the share of a passage's characters that stand in the first k hits together."""
    held = _joined(hits[:k])
    wanted = [_joined(passage) for passage in passages]
    shares = [_common(one, held) / _length(one) for one in wanted]
    return sum(shares) / len(shares) if shares else 0.0


def within(hits: Sequence[Place], characters: int) -> list[Place]:
    """The first hits that take so many characters together, the last one cut."""
    kept: list[Place] = []
    for document, start, end in hits:
        if characters > 0:
            kept.append((document, start, min(end, start + characters)))
            characters -= end - start
    return kept


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Of what was retrieved against what was wanted, in characters; every character counts once."""

    recall: float
    precision: float
    iou: float


def span_scores(hits: Sequence[Place], wanted: Sequence[Place], *, k: int) -> SpanScores:
    """Source: Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval", Chroma 2024, in characters, not tokens."""
    shown, relevant = _joined(hits[:k]), _joined(wanted)
    both, of_shown, of_relevant = _common(shown, relevant), _length(shown), _length(relevant)
    return SpanScores(both / of_relevant, both / of_shown if of_shown else 0.0, both / (of_shown + of_relevant - both))


@dataclass(frozen=True, slots=True)
class Sample:
    """Scores, or differences of scores, of one collection's questions."""

    values: Sequence[float]
    groups: Sequence[str]
    """The group of each value."""


def mean_over(samples: Sequence[Sample], *, level: float = 0.95, seed: int = 0) -> tuple[float, float, float]:
    """The mean of the collections' means, with its two-sided BCa interval over groups (Efron 1987): (mean, low, high).

    Groups are drawn anew within each collection, so that every collection counts alike whatever its size.
    """
    totals = [_totals(sample) for sample in samples]
    mean = sum(float(sums.sum() / sizes.sum()) for sums, sizes in totals) / len(totals)
    if all(len(np.unique(np.round(sums / sizes, 12))) == 1 for sums, sizes in totals):
        return mean, mean, mean

    def statistic(*drawn: np.ndarray, axis: int) -> np.ndarray:
        means = [sums[at].sum(axis=axis) / sizes[at].sum(axis=axis) for at, (sums, sizes) in zip(drawn, totals, strict=True)]
        total: np.ndarray = np.mean(np.stack(means), axis=0)
        return total

    found = bootstrap(
        tuple(np.arange(len(sums)) for sums, _ in totals),
        statistic,
        vectorized=True,
        confidence_level=level,
        n_resamples=RESAMPLES,
        batch=500,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return mean, float(found.low), float(found.high)


# --- inside -------------------------------------------------------------------------------------------------------------


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _joined(spans: Sequence[Place]) -> list[Place]:
    """The same characters as spans that neither touch nor overlap."""
    joined: list[Place] = []
    for document, start, end in sorted(spans):
        if joined and joined[-1][0] == document and start <= joined[-1][2]:
            joined[-1] = (document, joined[-1][1], max(end, joined[-1][2]))
        else:
            joined.append((document, start, end))
    return joined


def _length(joined: Sequence[Place]) -> int:
    return sum(end - start for _, start, end in joined)


def _common(some: Sequence[Place], others: Sequence[Place]) -> int:
    return sum(
        max(0, min(end, last) - max(start, first))
        for document, start, end in some
        for other, first, last in others
        if document == other
    )


def _totals(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Sums and sizes of the groups, in the order in which they are first named."""
    codes: dict[str, int] = {}
    coded = np.array([codes.setdefault(group, len(codes)) for group in sample.groups], dtype=np.int64)
    values = np.asarray(sample.values, dtype=np.float64)
    return np.bincount(coded, values), np.bincount(coded).astype(np.float64)
