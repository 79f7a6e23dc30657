"""From the rows that two retrievers found to the best ones: fused, collapsed, reranked. Knows no index, caller or database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from groundtune.answer.near_duplicates import Passages, shingles, told_apart
from groundtune.config import Retrieval
from groundtune.index.fusion import reciprocal_rank_fusion, score_fusion
from groundtune.interfaces import FoundChunk, Reranker


@dataclass(frozen=True, slots=True)
class Considered:
    """A row on its way through the stages; every rank and place counts from 1."""

    row: FoundChunk
    fused: float
    """Score of the fusion."""
    fused_rank: int
    same_as: str = ""
    """Id of the chunk that stands for it, where its text is a near duplicate; empty otherwise."""
    stands_for: tuple[str, ...] = ()
    """Ids of the chunks that were collapsed into this one."""
    reranked: float | None = None
    """Score of the reranker; None where it was not asked."""
    place: int | None = None
    """In the final order; None where another stands for it."""


def heading_path(title: str, headings: Sequence[str]) -> str:
    """Title and heading path in one line, nothing said twice."""
    return " > ".join(dict.fromkeys(part for part in (title, *headings) if part))


def passage(row: FoundChunk) -> str:
    """Heading and text of a row, as a reader is shown them."""
    return f"{heading_path(row.title, row.chunk.headings)}\n{row.chunk.text}"


def rank(
    question: str,
    rows: Sequence[FoundChunk],
    *,
    settings: Retrieval,
    newest: Callable[[str], float],
    reranker: Reranker | None = None,
) -> list[Considered]:
    """Every row in the final order; those that another stands for come last.

    `newest`: document -> when it was changed. Of near duplicates in several documents the one changed last stands where the
    best of them stood; in one document the best itself.
    """
    weights = {"text": settings.text_weight, "vector": settings.vector_weight}
    by_id = {row.chunk.id: row for row in rows}
    if settings.fusion == "scores":
        fused = score_fusion({id: row.scores for id, row in by_id.items()}, weights=weights)
    else:
        fused = reciprocal_rank_fusion({id: row.ranks for id, row in by_id.items()}, k=settings.rrf_k, weights=weights)
    considered = [Considered(by_id[id], score, place) for place, (id, score) in enumerate(fused, start=1)]
    best = _collapsed(question, considered, settings.near_duplicate, newest)
    if reranker is not None:
        best = [*_reranked(question, best[: settings.rerank], reranker), *best[settings.rerank :]]
    stands = {id: one.row.chunk.id for one in best for id in one.stands_for}
    ordered = [replace(one, place=place) for place, one in enumerate(best, start=1)]
    hidden = [replace(one, same_as=stands[one.row.chunk.id]) for one in considered if one.row.chunk.id in stands]
    return ordered + hidden


def _collapsed(
    question: str, considered: Sequence[Considered], threshold: float, newest: Callable[[str], float]
) -> list[Considered]:
    """The rows in order, near duplicates as one."""
    passages = Passages(threshold=threshold)
    kept: list[tuple[str, list[Considered]]] = []
    for one in considered:
        text = passage(one.row)
        made = shingles(one.row.chunk.text)
        alike = (kept[number] for number in passages.like(made))
        twins = next((twins for other, twins in alike if not told_apart(question, text, other)), None)
        if twins is None:
            passages.add(made)
            kept.append((text, [one]))
        else:
            twins.append(one)
    return [_one_of(twins, newest) for _, twins in kept]


def _one_of(twins: Sequence[Considered], newest: Callable[[str], float]) -> Considered:
    """The twin of the document changed last, of equals the best, with the score of the best."""
    if len(twins) == 1:
        return twins[0]
    chosen = max(twins, key=lambda one: newest(one.row.chunk.document))
    others = tuple(one.row.chunk.id for one in twins if one is not chosen)
    return replace(chosen, fused=twins[0].fused, stands_for=others)


def _reranked(question: str, best: Sequence[Considered], reranker: Reranker) -> list[Considered]:
    """In the order of the reranker's scores; equal ones stay in the order of the fusion."""
    scores = reranker.score(question, [passage(one.row) for one in best])
    scored = [replace(one, reranked=score) for one, score in zip(best, scores, strict=True)]
    return sorted(scored, key=lambda one: -(one.reranked or 0.0))
