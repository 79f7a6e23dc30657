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
