"""Why a search found what it found, and where evidence fell out. Knows a retriever's stages; judges no answer.

What a caller may not read is told apart from what does not exist only for the operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from groundtune.answer.near_duplicates import resemblance, shingles, told_apart
from groundtune.answer.ranking import Considered, passage
from groundtune.answer.retrieval import Trace, WorkspaceRetriever
from groundtune.errors import NotFound
from groundtune.index.filters import accepts
from groundtune.interfaces import FoundChunk
from groundtune.types import EVERYTHING, Caller, Chunk, Evidence, Filter, Hit, Query

DEEP = 1_000
"""Chunks of each retriever among which evidence that was not found is looked for, to say how far away it is."""

EDITION = 0.5
"""Share of word triples from which on a passage of an older document is offered as an older edition."""

Stage = Literal[
    "found", "not there", "not readable", "quote not in the text", "filtered out", "not retrieved", "collapsed", "outranked"
]


@dataclass(frozen=True, slots=True)
class Step:
    """A chunk on its way through the stages. Ranks and places count from 1; None where a stage did not see it."""

    chunk: str
    document: str
    title: str
    text_rank: int | None
    vector_rank: int | None
    cosine: float | None
    fused_rank: int
    fused: float
    same_as: str
    """Id of the near duplicate that stands for it; empty when none does."""
    reranked: float | None
    place: int | None
    bm25: float | None = None
    """For the operator only: it depends on how common a word is in documents that the caller may not read."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Where one span of evidence went."""

    document: str
    quote: str
    stage: Stage
    why: str
    """In words a person can act on."""
    place: int | None = None
    """Among the results, when it was found."""


@dataclass(frozen=True, slots=True)
class Explanation:
    question: str
    """As it was searched for."""
    hits: tuple[Hit, ...]
    depth: int
    """Chunks that each retriever was asked for."""
    steps: tuple[Step, ...]
    """In the final order; those that another stands for come last."""
    evidence: tuple[Missed, ...] = ()
    withheld: int | None = None
    """Chunks that the final check took away; for the operator only."""


def explain(
    retriever: WorkspaceRetriever,
    question: str | Query,
    *,
    caller: Caller,
    k: int,
    filter: Filter = EVERYTHING,
    evidence: Sequence[Evidence] = (),
    locate: Callable[[str, str], Sequence[tuple[int, int]] | None],
    operator: bool = False,
) -> Explanation:
    """What each stage of a search did, and for each piece of `evidence` the stage at which it fell out.

    `locate(quote, text)` says where a quote stands in a text, None where it does not.
    """
    trace = retriever.trace(question, caller=caller, k=k, filter=filter)
    finder = _Finder(retriever, question, caller, k, filter, trace, operator, locate)
    return Explanation(
        question=str(Query.of(question)),
        hits=trace.hits,
        depth=trace.depth,
        steps=tuple(_step(one, operator=operator) for one in trace.considered),
        evidence=tuple(missed for one in evidence for missed in finder.whereabouts(one)),
        withheld=trace.withheld if operator else None,
    )


def _step(one: Considered, *, operator: bool) -> Step:
    row = one.row
    return Step(
        chunk=row.chunk.id,
        document=row.chunk.document,
        title=row.title,
        text_rank=row.ranks.get("text"),
        vector_rank=row.ranks.get("vector"),
        cosine=row.scores.get("vector"),
        fused_rank=one.fused_rank,
        fused=one.fused,
        same_as=one.same_as,
        reranked=one.reranked,
        place=one.place,
        bm25=row.scores.get("text") if operator else None,
    )


@dataclass(frozen=True, slots=True)
class _Finder:
    retriever: WorkspaceRetriever
    question: str | Query
    caller: Caller
    k: int
    filter: Filter
    trace: Trace
    operator: bool
    locate: Callable[[str, str], Sequence[tuple[int, int]] | None]

    def whereabouts(self, evidence: Evidence) -> list[Missed]:
        """One for each span of the evidence, or one that says why there is none."""

        def missed(stage: Stage, why: str, place: int | None = None) -> Missed:
            return Missed(evidence.document, evidence.quote, stage, why, place)

        try:
            document = self.retriever.document(evidence.document, caller=self.caller)
        except NotFound:
            return [self._unreadable(evidence)]
        spans = evidence.spans or self.locate(evidence.quote, document.text)
        if not spans:
            return [missed("quote not in the text", "the document's text does not hold this quote; see how it was parsed")]
        about = document.id, document.title, document.format, document.source, document.modified
        if not accepts(self.filter)(*about):
            return [missed("filtered out", "the filter of this search leaves its document out")]
        chunks = self.retriever.chunks([document.id], caller=self.caller)
        found = []
        for start, end in spans:
            shown = (
                place for place, hit in enumerate(self.trace.hits, start=1) if _overlaps(hit.chunk, document.id, start, end)
            )
            place = next(shown, None)
            if place is not None:
                found.append(missed("found", f"at place {place}", place))
            else:
                holding = {row.chunk.id for row in chunks if _overlaps(row.chunk, document.id, start, end)}
                found.append(missed(*self._fate(holding, document.modified)))
        return found

    def _unreadable(self, evidence: Evidence) -> Missed:
        absent = not self.operator or not self.retriever.known(evidence.document)
        if absent:
            why = "there is no such document with text among those that this caller may read"
            return Missed(evidence.document, evidence.quote, "not there", why)
        return Missed(evidence.document, evidence.quote, "not readable", "this caller may not read its document")

    def _fate(self, ids: Collection[str], modified: float) -> tuple[Stage, str]:
        """Where the chunks that hold the span went, none of which is shown."""
        considered = [one for one in self.trace.considered if one.row.chunk.id in ids]
        for one in considered:
            if one.same_as:
                return "collapsed", f"{one.row.chunk.id} is a near duplicate of {one.same_as}, which stands for it"
        if considered:
            best = considered[0]
            order = f"place {best.place}, and {self.k} are shown; fused rank {best.fused_rank}, {_ranks(best.row)}"
            return "outranked", f"{best.row.chunk.id}: {order}{self._older(best, modified)}"
        return "not retrieved", self._how_far(ids)

    def _older(self, missed: Considered, modified: float) -> str:
        """In words, what is shown of an older document and resembles the missed chunk; empty where nothing does."""
        changed = {hit.chunk.document: hit.metadata["modified"] for hit in self.trace.hits}
        runs, text = shingles(missed.row.chunk.text), passage(missed.row)
        for one in self.trace.considered[: missed.place]:
            older = changed.get(one.row.chunk.document, modified) < modified
            if older and not told_apart(str(Query.of(self.question)), text, passage(one.row)):
                share = math.floor(100 * resemblance(runs, shingles(one.row.chunk.text))) / 100
                if share >= EDITION:
                    return (
                        f"; {one.row.chunk.id} of an older document shares {100 * share:.0f} % of its word triples: "
                        f"with near_duplicate = {share:g} the newer stands for it"
                    )
        return ""

    def _how_far(self, ids: Collection[str]) -> str:
        if not ids:
            return "no chunk of the index holds it; run: groundtune sync"
        deep = self.retriever.trace(self.question, caller=self.caller, k=1, filter=self.filter, depth=DEEP)
        near = [one.row for one in deep.considered if one.row.chunk.id in ids]
        if not near:
            return f"its chunk is not among the best {DEEP} of either retriever, and {self.trace.depth} are fused"
        return f"{near[0].chunk.id}: {_ranks(near[0])}, and the best {self.trace.depth} of each are fused"


def _overlaps(chunk: Chunk, document: str, start: int, end: int) -> bool:
    return chunk.document == document and chunk.start < end and start < chunk.end


def _ranks(row: FoundChunk) -> str:
    """Both ranks in words."""
    text, vector = row.ranks.get("text"), row.ranks.get("vector")
    return f"rank {text or 'none'} in full text, {vector or 'none'} by vectors"
