"""Finding readable chunks of a workspace. Knows index, embedder and access register; knows no language model and no prompt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import select

from groundtune.access.register import AccessRegister
from groundtune.answer.places import Places
from groundtune.errors import NotFound, UsageError, WorkspaceError
from groundtune.index.fusion import reciprocal_rank_fusion
from groundtune.index.lance import LanceIndex
from groundtune.index.lance_reads import Found
from groundtune.index.versions import IndexVersions
from groundtune.index.words import unspaced
from groundtune.ingest.reading import stored_document
from groundtune.interfaces import Embedder
from groundtune.store.stages import digest
from groundtune.store.tables import documents
from groundtune.store.workspace import Workspace
from groundtune.types import Audience, Caller, Document, Hit

_DEPTH = 20  # rows of each retriever that are fused, at least; deeper was no better on two collections
_QUESTIONS = 4_096  # vectors of questions that are kept
_IN = 500  # values in one IN list; engines limit it

T = TypeVar("T")


class WorkspaceRetriever:
    """Full text and vectors over what the caller may read, fused by reciprocal rank.

    The index is filtered by audience before anything is ranked, which keeps recall; whatever leaves is checked again against
    the database, which keeps it safe: a document that was revoked, removed or changed since is left out at once.
    """

    def __init__(self, workspace: Workspace, *, embedder: Embedder) -> None:
        self.workspace = workspace
        self.embedder = embedder
        self.register = AccessRegister(workspace.database)
        self._versions = IndexVersions(workspace.state / "index", database=workspace.database)
        self._places = Places(workspace, embedder=embedder)
        self._guard = threading.Lock()
        self._opened: tuple[int, LanceIndex] | None = None
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()

    @property
    def fingerprint(self) -> str:
        """Changes whenever results may: documents' text, chunking, index, embedder, fusion and policy."""
        with self.workspace.database.connect() as connection:
            chosen = select(documents.c.id, documents.c.artefact, documents.c.title).where(documents.c.status == "ok")
            texts = [list(row) for row in connection.execute(chosen.order_by(documents.c.id))]
        return digest(
            {
                "texts": texts,
                "index": self._versions.origin(self._versions.current()),
                "fusion": {"k": self.workspace.config.retrieval.rrf_k, "depth": _DEPTH},
                "policy": self.register.policy_version(),
            }
        )

    def search(self, question: str, *, caller: Caller, k: int) -> list[Hit]:
        """The `k` best chunks that the caller may read, best first; equal scores in the order of chunk ids.

        Raises NotFound before the first sync, UsageError when the index was made with another embedder.
        """
        allowed = self.register.allowed(caller)
        if not allowed or k < 1:
            return []
        vector = self._vector(question)
        depth = max(_DEPTH, 4 * k)
        found = self._ask(lambda index: index.search(question, vector, audiences=allowed, k=depth))
        by_id = {row.chunk.id: row for row in self._checked(found, caller)}
        fused = reciprocal_rank_fusion({row.chunk.id: row.ranks for row in found}, k=self.workspace.config.retrieval.rrf_k)
        best = [(by_id[id], score) for id, score in fused if id in by_id]
        hits = [Hit(row.chunk, row.title, score, row.ranks) for row, score in best]
        return self._places.given(hits, self._rows({hit.chunk.document for hit in hits}), k=k)

    def document(self, document: str, *, caller: Caller) -> Document:
        """Raises NotFound, with the same words, for a document that is absent and for one that the caller may not read."""
        row = self._rows([document]).get(document)
        if row is None or not self.register.may_read(document, caller):
            raise NotFound("there is no such document among those that you may read.", subject=document)
        return stored_document(self.workspace, row)

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

    def shares_content_word(self, question: str, *, caller: Caller) -> bool:
        """Whether a document that the caller may read holds a word of the question, stop words aside and stems alike.

        A question in a script without spaces cannot be cut into words here: it counts as sharing one as soon as the caller may
        read anything.
        """
        allowed = self.register.allowed(caller)
        if not allowed:
            return False
        if unspaced(question):
            return bool(self.search(question, caller=caller, k=1))
        return bool(self._checked(self._ask(lambda index: index.search_text(question, audiences=allowed, k=_DEPTH)), caller))

    # --- inside ---------------------------------------------------------------------------------------------------------

    def _checked(self, found: Sequence[Found], caller: Caller) -> list[Found]:
        """The rows whose document the caller may read now and whose text is the current one."""
        names = {row.chunk.document for row in found}
        current = self._rows(names)
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
                chosen = documents.c.id.in_(wanted[start : start + _IN]) & (documents.c.status == "ok")
                rows |= {row["id"]: row for row in connection.execute(select(documents).where(chosen)).mappings()}
        return rows

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

    def _ask(self, search: Callable[[LanceIndex], T]) -> T:
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

    def _index(self) -> LanceIndex:
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
