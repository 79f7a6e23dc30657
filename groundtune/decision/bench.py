"""Measures retrieval settings by the production retriever: how much of the evidence a model would be shown. Never chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.answer.evidence import evidence_of
from groundtune.answer.follow_up import rewriting
from groundtune.answer.prompts import pack
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.config import Chunking
from groundtune.decision.axes import Choice, changed
from groundtune.decision.remembering import RememberingEmbedder, RememberingIndex, RememberingReranker
from groundtune.index.sqlite import SqliteIndex
from groundtune.ingest.embedding import embed
from groundtune.ingest.sync import entries_of, unseen
from groundtune.interfaces import Embedder, LanguageModel, Progress, Reranker
from groundtune.store.stages import digest
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Example, Hit, Query


class Bench:
    """Measures settings, each question of each setting once; chunkings are cut, embedded and indexed once each."""

    def __init__(
        self,
        workspace: Workspace,
        examples: Sequence[Example],
        rows: Sequence[Mapping[str, Any]],
        embedder: Embedder,
        count: LanguageModel,
        reranker: Reranker | None,
        writer: LanguageModel | None,
        folder: Path,
        expected: int,
        progress: Progress | None,
    ) -> None:
        self._workspace, self._rows, self._count, self._writer = workspace, rows, count, writer
        self._examples = {one.id: one for one in examples}
        self._embedder = RememberingEmbedder(embedder)
        self._reranker = RememberingReranker(reranker) if reranker else None
        self._folder, self._progress = folder, progress
        self._indices: dict[str, RememberingIndex] = {}
        self._expected = expected
        self._measured: dict[tuple[str, str], tuple[float, float]] = {}

    def results(self, choice: Choice, items: Sequence[str]) -> np.ndarray:
        """float64 [items, 2]: share of the evidence shown, tokens shown."""
        key = digest(choice)
        missing = [item for item in items if (key, item) not in self._measured]
        if missing:
            retriever = self._retriever(choice)
            for item in missing:
                self._measured[key, item] = self._measure(retriever, self._examples[item])
            if self._progress is not None:
                self._progress("sweep", min(len(self._measured), self._expected), self._expected)
        return np.array([self._measured[key, item] for item in items])

    def evidence(self, choice: Choice, examples: Sequence[Example]) -> list[float]:
        """How much speaks for an answer to each question standing in what is found."""
        retriever = self._retriever(choice)
        found = []
        for example in examples:
            query = self._query(retriever, example)
            hits = retriever.search(query, caller=Caller.of(*example.principals), k=retriever.settings.k)
            found.append(evidence_of(query, hits) or 0.0)
        return found

    def _query(self, retriever: WorkspaceRetriever, example: Example) -> Query:
        return rewriting("off" if retriever.settings.follow_up == "off" else "words")(example)

    def _measure(self, retriever: WorkspaceRetriever, example: Example) -> tuple[float, float]:
        settings = retriever.settings
        caller = Caller.of(*example.principals)
        found = retriever.search(self._query(retriever, example), caller=caller, k=settings.k)
        shown = pack(found, count_tokens=self._count.count_tokens, max_tokens=settings.max_tokens)
        return shown_share(example, shown), float(sum(self._count.count_tokens(hit.chunk.text) for hit in shown))

    def _retriever(self, choice: Choice) -> WorkspaceRetriever:
        config = changed(self._workspace.config, choice)
        view = copy(self._workspace)
        view.config = config
        reranker = self._reranker if config.retrieval.reranker else None
        index = self._index(config.chunking, view)
        return WorkspaceRetriever(view, embedder=self._embedder, reranker=reranker, index=index)

    def _index(self, chunking: Chunking, view: Workspace) -> RememberingIndex:
        name = digest(chunking.model_dump())[:12]
        if name not in self._indices:
            inner, show = self._embedder.inner, self._progress or unseen
            cut = embed(view, self._rows, embedder=inner, writer=self._writer, progress=show)
            index = SqliteIndex(self._folder / name, dimensions=self._embedder.dimensions)
            index.replace({row["id"]: entries_of(row, cut[row["id"]]) for row in self._rows})
            self._indices[name] = RememberingIndex(index)
        return self._indices[name]


def shown_share(example: Example, hits: Sequence[Hit]) -> float:
    """Share of the characters of the example's located evidence that stand in the hits; 1 where it has none."""
    wanted = {
        (evidence.document, place)
        for evidence in example.evidence
        for start, end in evidence.spans
        for place in range(start, end)
    }
    held = {
        (document, place)
        for document, place in wanted
        if any(hit.chunk.document == document and hit.chunk.start <= place < hit.chunk.end for hit in hits)
    }
    return len(held) / len(wanted) if wanted else 1.0
