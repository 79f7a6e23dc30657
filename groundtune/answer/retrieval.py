"""Finding readable chunks of a workspace. Knows index, embedder and access register; knows no language model and no prompt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import bindparam, select

from groundtune.access.register import AccessRegister
from groundtune.answer.places import Places
from groundtune.answer.ranking import Considered, rank
from groundtune.answer.widen import widened
from groundtune.config import Retrieval
from groundtune.errors import NotFound, UsageError, WorkspaceError
from groundtune.index.versions import IndexVersions
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

T = TypeVar("T")


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
    """Full text and vectors over what the caller may read, fused by reciprocal rank.

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
        self._given = index
        self._versions = IndexVersions(workspace.state / "index", database=workspace.database)
        self._places = Places(workspace, embedder=embedder)
        self._guard = threading.Lock()
        self._opened: tuple[int, Searched] | None = None
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
                "index": self._versions.origin(self._versions.current()),
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
        settings = self.settings
        depth = depth or max(settings.depth, 4 * k, settings.rerank if self.reranker else 0)
        allowed = self.register.allowed(caller)
        if not allowed or k < 1:
            return Trace((), (), 0, depth)
        query = Query.of(question)
        counted = tuple(zip((query.text, *query.earlier), _COUNTS, strict=False))
        words = "\n".join(text for text, count in counted for _ in range(count)) if query.earlier else query.text
        vector = self._mean(counted)
        found = self._ask(lambda index: index.search(words, vector, audiences=allowed, k=depth, filter=filter))
        rows = self._rows({row.chunk.document for row in found})
        checked = self._checked(found, caller, rows)
        considered = rank(
            str(query),
            checked,
            settings=settings,
            newest=lambda document: rows[document]["modified"],
            reranker=self.reranker,
        )
        cosines = [one.row.scores["vector"] for one in considered if "vector" in one.row.scores]
        mean = sum(cosines) / max(1, len(cosines))
        ordered = [_hit(one, rows[one.row.chunk.document], mean) for one in considered if one.place]
        hits = self._around(self._places.given(ordered, rows, k=k), caller)
        return Trace(tuple(hits), tuple(considered), len(found) - len(checked), depth)

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
        found = self._ask(lambda index: index.search_text(text, audiences=allowed, k=self.settings.depth))
        return bool(self._checked(found, caller))

    def chunks(self, names: Collection[str], *, caller: Caller) -> list[FoundChunk]:
        """Every chunk of those of these documents that the caller may read, as their text is now, in the order of place."""
        return self._checked(self._ask(lambda index: index.chunks(names)), caller)

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

    def _around(self, hits: Sequence[Hit], caller: Caller) -> list[Hit]:
        """The hits with their neighbours, read as the caller at this moment."""
        if not self.settings.neighbours:
            return list(hits)
        names = {hit.chunk.document for hit in hits}
        around: dict[str, list[Chunk]] = {}
        for row in self.chunks(names, caller=caller):
            around.setdefault(row.chunk.document, []).append(row.chunk)
        read: dict[str, Document] = {}
        for name in names:
            with suppress(NotFound):  # removed or revoked since it was found
                read[name] = self.document(name, caller=caller)
        still = [hit for hit in hits if hit.chunk.document in read]
        return widened(still, neighbours=self.settings.neighbours, documents=read, chunks=around)

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

    def _ask(self, search: Callable[[Searched], T]) -> T:
        """Search the current index; once more when a sync took its files away meanwhile."""
        try:
            return search(self._index())
        except (OSError, RuntimeError):
            with self._guard:
                self._opened = None
        try:
            return search(self._index())
        except (OSError, RuntimeError) as error:
            if isinstance(error, WorkspaceError):
                raise
            raise WorkspaceError(
                f"the index cannot be searched ({error}).", subject=str(self.workspace.root), remedy="Run: groundtune sync"
            ) from error

    def _index(self) -> Searched:
        if self._given is not None:
            return self._given
        version = self._versions.current()
        with self._guard:
            if self._opened is None or self._opened[0] != version:
                if not version:
                    raise NotFound(
                        "its documents are not indexed yet.", subject=str(self.workspace.root), remedy="Run: groundtune sync"
                    )
                made_with = self._versions.origin(version).get("embedder")
                if made_with is not None and made_with != self.embedder.fingerprint:
                    raise UsageError(
                        f"the index was made with another embedder than {self.embedder.name}.",
                        subject=str(self.workspace.root),
                        remedy="Run: groundtune sync",
                    )
                self._opened = (version, self._versions.open(version))
            return self._opened[1]


def _hit(one: Considered, row: Mapping[str, Any], mean: float) -> Hit:
    about: dict[str, Any] = {"format": row["format"], "modified": row["modified"]}
    cosine = one.row.scores.get("vector")
    if cosine is not None:
        about |= {"cosine": cosine, "lead": cosine - mean}
    if one.stands_for:
        about["near_duplicates"] = list(one.stands_for)
    score = one.fused if one.reranked is None else one.reranked
    return Hit(one.row.chunk, one.row.title, score, one.row.ranks, about)
