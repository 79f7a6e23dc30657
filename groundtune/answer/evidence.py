"""How much speaks for the answer standing in what was found. Knows a question and hits; asks no model."""

from __future__ import annotations

from collections.abc import Sequence

from groundtune.answer.citations import content_words
from groundtune.answer.ranking import heading_path
from groundtune.types import Hit, Query


def evidence_of(query: str | Query, hits: Sequence[Hit]) -> float | None:
    """A number, larger where more speaks for it; 0 without hits, None where hits carry no cosine.

    The cosine of the best hit, plus the lead of the nearest hit over the mean of all that was found, plus half the share of the
    question's content words that the best hit holds: about 0 to 2. On its own each tells answerable from unanswerable questions
    less well than the sum (docs/experiments.md). What counts as enough depends on embedder and documents: it is calibrated.
    """
    if not hits:
        return 0.0
    cosines = [float(hit.metadata["cosine"]) for hit in hits if "cosine" in hit.metadata]
    if not cosines:
        return None
    best = hits[0]
    wanted = content_words(str(Query.of(query)))
    held = wanted & content_words(f"{heading_path(best.title, best.chunk.headings)}\n{best.chunk.text}")
    lead = max(float(hit.metadata["lead"]) for hit in hits if "lead" in hit.metadata)
    return float(best.metadata.get("cosine", min(cosines))) + lead + len(held) / max(1, len(wanted)) / 2
