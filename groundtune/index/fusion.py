"""Joining ranked lists. Knows ranks only."""

from __future__ import annotations

from collections.abc import Mapping


def reciprocal_rank_fusion(ranks: Mapping[str, Mapping[str, int]], *, k: int = 60) -> list[tuple[str, float]]:
    """Ids with their fused scores, best first; equal scores in the order of ids.

    `ranks`: id -> {retriever: 1-based rank}. The score is the sum of 1 / (k + rank) over the retrievers that found the id.
    Source: Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods",
    SIGIR 2009, with their k = 60.
    """
    scores = {id: sum(1.0 / (k + rank) for _, rank in sorted(found.items())) for id, found in ranks.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
