"""Finding readable chunks of a workspace. Knows index, embedder and access register; knows no language model and no prompt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import bindparam, select

from groundtune.access.register import AccessRegister
from groundtune.answer.current import CurrentIndex
from groundtune.answer.near_duplicates import Shingles, shingles
from groundtune.answer.places import Places
from groundtune.answer.ranking import Considered, rank
from groundtune.answer.widen import widened
from groundtune.config import Retrieval
from groundtune.errors import NotFound
from groundtune.index.words import unspaced
from groundtune.ingest.reading import stored_document
from groundtune.interfaces import Embedder, FoundChunk, Reranker, Searched
from groundtune.store.stages import digest
from groundtune.store.tables import documents
from groundtune.store.workspace import Workspace
from groundtune.types import EVERYTHING, Audience, Caller, Chunk, Document, Filter, Hit, Query

_COUNTS = (4, 2, 1)  # of a question and of those before it; 4:2:1 beat 1:1 and the question alone, see docs/experiments.md
_QUESTIONS = 4_096  # vectors of questions that are kept
_IN = 500  # values in one IN list; engines limit it
_WITH_TEXT = select(documents).where(documents.c.id.in_(bindparam("names", expanding=True)) & (documents.c.status == "ok"))

NOT_RANKED_BY = frozenset({"k", "neighbours", "max_tokens", "min_evidence"})
"""Keys of `[retrieval]` that say how much of the final order is shown and leave the order alone."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What both retrievers found for a question and the caller may read, before anything is ranked."""

    question: str
    chunks: tuple[FoundChunk, ...]
    rows: Mapping[str, Mapping[str, Any]]
    """The database's rows of their documents."""
    withheld: int


@dataclass(frozen=True, slots=True)
class Trace:
    """One search, stage by stage."""

    hits: tuple[Hit, ...]
    considered: tuple[Considered, ...]
    """Every chunk that a retriever returned and that the caller may read, in the final order."""
    withheld: int
    """Chunks that the final check took away: revoked, removed or changed since the index was written. For the operator only."""
    depth: int
    """Chunks that each retriever was asked for."""


class WorkspaceRetriever:
    """Full text and vectors over what the caller may read, fused by their scores, or by rank where so set.

    The index is filtered by audience before anything is ranked, which keeps recall; whatever leaves is checked again against
    the database, which keeps it safe: a document that was revoked, removed or changed since is left out at once. Near
    duplicates are collapsed and the newest is chosen after that, so that nobody learns of a version that they may not read.

    `settings` and `index` are those of the workspace unless others are given.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        embedder: Embedder,
        reranker: Reranker | None = None,
        settings: Retrieval | None = None,
        index: Searched | None = None,
    ) -> None:
        self.workspace = workspace
        self.embedder = embedder
        self.reranker = reranker
        self.settings = settings or workspace.config.retrieval
        self.register = AccessRegister(workspace.database)
        self._current = CurrentIndex(workspace, embedder=embedder, given=index)
        self._places = Places(workspace, embedder=embedder)
        self._guard = threading.Lock()
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()

    @property
    def fingerprint(self) -> str:
        """Changes whenever results may: documents' text and age, chunking, index, embedder, settings and policy."""
        with self.workspace.database.connect() as connection:
            columns = documents.c.id, documents.c.artefact, documents.c.title, documents.c.modified
            chosen = select(*columns).where(documents.c.status == "ok")
            texts = [list(row) for row in connection.execute(chosen.order_by(documents.c.id))]
        return digest(
            {
                "texts": texts,
                "index": self._current.origin(),
                "settings": self.settings.model_dump(exclude={"k", "max_tokens"}),  # the candidate's own
                "reranker": self.reranker.fingerprint if self.reranker else None,
                "policy": self.register.policy_version(),
            }
        )

    def search(self, question: str | Query, *, caller: Caller, k: int, filter: Filter = EVERYTHING) -> list[Hit]:
        """The `k` best chunks that the caller may read, best first; equal scores in the order of chunk ids.

        Raises NotFound before the first sync, UsageError when the index was made with another embedder.
        """
        return list(self.trace(question, caller=caller, k=k, filter=filter).hits)

    def trace(
        self, question: str | Query, *, caller: Caller, k: int, filter: Filter = EVERYTHING, depth: int | None = None
    ) -> Trace:
        """As `search`, with what each stage did. `depth`: chunks asked of each retriever, more than `search` asks for."""
        depth = depth or self.depth(k)
        found = self.candidates(question, caller=caller, depth=depth, filter=filter) if k > 0 else _NOTHING
        considered = self.ranked(found)
        hits = self.around(self.placed(found, considered, k=k), caller=caller)
        return Trace(tuple(hits), tuple(considered), found.withheld, depth)

    def depth(self, k: int) -> int:
        """Chunks that each retriever is asked for where `k` are wanted."""
        return max(self.settings.depth, 4 * k, self.settings.rerank if self.reranker else 0)

    def candidates(self, question: str | Query, *, caller: Caller, depth: int, filter: Filter = EVERYTHING) -> Candidates:
        """The first stage of `trace`: it knows chunking, index and caller, and no weight."""
        query = Query.of(question)
        allowed = self.register.allowed(caller)
        if not allowed:
            return _NOTHING
        counted = tuple(zip((query.text, *query.earlier), _COUNTS, strict=False))
        words = "\n".join(text for text, count in counted for _ in range(count)) if query.earlier else query.text
        vector = self._mean(counted)
        found = self._current.ask(lambda index: index.search(words, vector, audiences=allowed, k=depth, filter=filter))
        rows = self._rows({row.chunk.document for row in found})
        checked = self._checked(found, caller, rows)
        return Candidates(str(query), tuple(checked), rows, len(found) - len(checked))

    def ranked(self, found: Candidates, *, runs: Callable[[str], Shingles] = shingles) -> list[Considered]:
        """The second stage: the final order, by the settings less NOT_RANKED_BY. `runs` is `shingles` or remembers them."""
        return rank(
            found.question,
            found.chunks,
            settings=self.settings,
            newest=lambda document: found.rows[document]["modified"],
            reranker=self.reranker,
            runs=runs,
        )

    def placed(self, found: Candidates, considered: Sequence[Considered], *, k: int) -> list[Hit]:
        """The third stage: the first `k`, with pages and sections."""
        cosines = [one.row.scores["vector"] for one in considered if "vector" in one.row.scores]
        mean = sum(cosines) / max(1, len(cosines))
        ordered = (_hit(one, found.rows[one.row.chunk.document], mean) for one in considered if one.place)
        return self._places.given(ordered, found.rows, k=k)

    def around(self, hits: Sequence[Hit], *, caller: Caller) -> list[Hit]:
        """The last stage: the hits with their neighbours, read as the caller at this moment."""
        if not self.settings.neighbours:
            return list(hits)
        rows = self._rows(self.register.readable({hit.chunk.document for hit in hits}, caller))
        around: dict[str, list[Chunk]] = {}
        for row in self._current.ask(lambda index: index.chunks(rows)):
            if row.revision == rows[row.chunk.document]["artefact"]:
                around.setdefault(row.chunk.document, []).append(row.chunk)
        read: dict[str, Document] = {}
        for name, about in rows.items():
            with suppress(NotFound):  # erased since it was found
                read[name] = stored_document(self.workspace, about)
        still = [hit for hit in hits if hit.chunk.document in read]
        return widened(still, neighbours=self.settings.neighbours, documents=read, chunks=around)

    def with_settings(self, settings: Retrieval, *, reranker: Reranker | None) -> WorkspaceRetriever:
        """The same index under other settings; what is kept in memory is shared."""
        other = copy(self)
        other.settings, other.reranker = settings, reranker
        return other

    def document(self, document: str, *, caller: Caller) -> Document:
        """Raises NotFound, with the same words, for a document that is absent and for one that the caller may not read."""
        row = self._rows([document]).get(document)
        if row is None or not self.register.may_read(document, caller):
            raise NotFound("there is no such document among those that you may read.", subject=document)
        return stored_document(self.workspace, row)

    def known(self, document: str) -> bool:
        """Whether a document of this id has text, whoever may read it: for the operator only."""
        return bool(self._rows([document]))

    def readable_documents(self, *, caller: Caller) -> list[str]:
        """Ids of the documents with text that the caller may read now, sorted."""
        allowed = self.register.allowed(caller)
        if not allowed:
            return []
        chosen = select(documents.c.id, documents.c.audience_id).where(documents.c.status == "ok")
        with self.workspace.database.connect() as connection:
            names = [row.id for row in connection.execute(chosen) if row.audience_id in allowed]
        return sorted(self.register.readable(names, caller))

    def audience(self, document: str) -> Audience:
        """Who may read it now; nobody when unknown."""
        return self.register.audience(document)

    def shares_content_word(self, question: str | Query, *, caller: Caller) -> bool:
        """Whether a document that the caller may read holds a word of the question, stop words aside and stems alike.

        A question in a script without spaces cannot be cut into words here: it counts as sharing one as soon as the caller may
        read anything.
        """
        allowed = self.register.allowed(caller)
        if not allowed:
            return False
        text = str(Query.of(question))
        if unspaced(text):
            return bool(self.search(text, caller=caller, k=1))
        found = self._current.ask(lambda index: index.search_text(text, audiences=allowed, k=self.settings.depth))
        return bool(self._checked(found, caller))

    def chunks(self, names: Collection[str], *, caller: Caller) -> list[FoundChunk]:
        """Every chunk of those of these documents that the caller may read, as their text is now, in the order of place."""
        return self._checked(self._current.ask(lambda index: index.chunks(names)), caller)

    # --- inside ---------------------------------------------------------------------------------------------------------

    def _checked(
        self, found: Sequence[FoundChunk], caller: Caller, rows: Mapping[str, Mapping[str, Any]] | None = None
    ) -> list[FoundChunk]:
        """The rows whose document the caller may read now and whose text is the current one."""
        names = {row.chunk.document for row in found}
        current = self._rows(names) if rows is None else rows
        readable = self.register.readable(names, caller)
        return [
            row
            for row in found
            if row.chunk.document in readable and current.get(row.chunk.document, {}).get("artefact") == row.revision
        ]

    def _rows(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Rows of the named documents that have text."""
        wanted = sorted(names)
        rows: dict[str, Mapping[str, Any]] = {}
        with self.workspace.database.connect() as connection:
            for start in range(0, len(wanted), _IN):
                part = {"names": wanted[start : start + _IN]}
                rows |= {row["id"]: row for row in connection.execute(_WITH_TEXT, part).mappings()}
        return rows

    def _mean(self, counted: Sequence[tuple[str, int]]) -> np.ndarray:
        """The direction between the vectors of these texts."""
        (text, _), *others = counted
        if not others:
            return self._vector(text)
        total: np.ndarray = sum((count * self._vector(one) for one, count in counted), np.zeros(1, dtype=np.float32))
        return total / max(float(np.linalg.norm(total)), 1e-12)

    def _vector(self, question: str) -> np.ndarray:
        with self._guard:
            if question in self._vectors:
                self._vectors.move_to_end(question)
                return self._vectors[question]
        vector: np.ndarray = self.embedder.embed([question])[0]
        with self._guard:
            self._vectors[question] = vector
            while len(self._vectors) > _QUESTIONS:
                self._vectors.popitem(last=False)
        return vector


_NOTHING = Candidates("", (), {}, 0)


def _hit(one: Considered, row: Mapping[str, Any], mean: float) -> Hit:
    about: dict[str, Any] = {"format": row["format"], "modified": row["modified"]}
    cosine = one.row.scores.get("vector")
    if cosine is not None:
        about |= {"cosine": cosine, "lead": cosine - mean}
    if one.stands_for:
        about["near_duplicates"] = list(one.stands_for)
    score = one.fused if one.reranked is None else one.reranked
    return Hit(one.row.chunk, one.row.title, score, one.row.ranks, about)
