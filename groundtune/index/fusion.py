"""Joining ranked lists. Knows ranks only."""

from __future__ import annotations

from collections.abc import Mapping

EVEN: Mapping[str, float] = {}
"""Every retriever counts alike."""


def reciprocal_rank_fusion(
    ranks: Mapping[str, Mapping[str, int]], *, k: int = 60, weights: Mapping[str, float] = EVEN
) -> list[tuple[str, float]]:
    """Ids with their fused scores, best first; equal scores in the order of ids.

    `ranks`: id -> {retriever: 1-based rank}. The score is the sum of weight / (k + rank) over the retrievers that found the id;
    a retriever without a weight has 1, and what only retrievers of weight 0 found is left out. Source: Cormack, Clarke and
    Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009, with their
    k = 60; the weights are ours.
    """
    scores = {
        id: sum(weights.get(retriever, 1.0) / (k + rank) for retriever, rank in sorted(found.items()))
        for id, found in ranks.items()
    }
    return sorted(((id, score) for id, score in scores.items() if score > 0), key=lambda item: (-item[1], item[0]))


def score_fusion(scores: Mapping[str, Mapping[str, float]], *, weights: Mapping[str, float] = EVEN) -> list[tuple[str, float]]:
    """Ids with their fused scores, best first; equal scores in the order of ids.

    `scores`: id -> {retriever: score}. Each retriever's scores are stretched to [0, 1] over what it found, and what it did not
    find has 0; the fused score is their weighted mean. Source: Bruch, Gai and Ingber, "An Analysis of Fusion Functions for
    Hybrid Retrieval", TOIS 2023 (their convex combination after min-max).
    """
    found: dict[str, list[float]] = {}
    for one in scores.values():
        for retriever, score in one.items():
            found.setdefault(retriever, []).append(score)
    ends = {retriever: (min(values), max(values)) for retriever, values in found.items()}
    total = sum(weights.get(retriever, 1.0) for retriever in ends)

    def stretched(retriever: str, score: float) -> float:
        low, high = ends[retriever]
        return 1.0 if high == low else (score - low) / (high - low)

    fused = {
        id: sum(weights.get(retriever, 1.0) * stretched(retriever, score) for retriever, score in sorted(one.items())) / total
        for id, one in scores.items()
        if any(weights.get(retriever, 1.0) for retriever in one)
    }
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))
