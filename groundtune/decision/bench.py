"""Measures retrieval settings by the production retriever: how much of the evidence a model would be shown. Never chooses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.answer.evidence import evidence_of
from groundtune.answer.follow_up import rewriting
from groundtune.answer.near_duplicates import shingles
from groundtune.answer.prompts import pack
from groundtune.answer.ranking import Considered
from groundtune.answer.retrieval import NOT_RANKED_BY, Candidates, WorkspaceRetriever
from groundtune.config import Config
from groundtune.decision.axes import Choice, changed
from groundtune.decision.remembering import RememberingEmbedder, RememberingReranker
from groundtune.index.sqlite import SqliteIndex
from groundtune.ingest.embedding import embed
from groundtune.ingest.sync import entries_of, unseen
from groundtune.interfaces import Embedder, Index, LanguageModel, Progress, Reranker
from groundtune.store.stages import digest
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Example, Hit, Query


class Bench:
    """Measures settings, each question of each setting once, and does once what settings have in common.

    Chunkings are cut, embedded and indexed once each; a question is searched once a chunking, its finds are ranked once for
    all settings that rank alike, and hits that several settings arrive at are widened, packed and compared once.
    """

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
        self._workspace, self._rows, self._writer = workspace, rows, writer
        self._examples = {one.id: one for one in examples}
        self._embedder = RememberingEmbedder(embedder)
        self._reranker = RememberingReranker(reranker) if reranker else None
        self._count, self._runs = cache(count.count_tokens), cache(shingles)
        self._folder, self._progress = folder, progress
        self._retrievers: dict[str, WorkspaceRetriever] = {}
        self._expected = expected
        self._measured: dict[tuple[str, str], tuple[float, float]] = {}

    def results(self, choices: Sequence[Choice], items: Sequence[str]) -> np.ndarray:
        """float64 [choices, items, 2]: share of the evidence shown, tokens shown."""
        configs = {digest(choice): changed(self._workspace.config, choice) for choice in choices}
        for chunking in dict.fromkeys(config.chunking for config in configs.values()):
            alike = {key: config for key, config in configs.items() if config.chunking == chunking}
            for item in items:
                self._measure(
                    self._examples[item], {key: one for key, one in alike.items() if (key, item) not in self._measured}
                )
                if self._progress is not None:
                    self._progress("sweep", min(len(self._measured), self._expected), self._expected)
        return np.array([[self._measured[digest(choice), item] for item in items] for choice in choices])

    def evidence(self, choice: Choice, examples: Sequence[Example]) -> list[float]:
        """How much speaks for an answer to each question standing in what is found."""
        retriever = self._retriever(changed(self._workspace.config, choice))
        found = []
        for example in examples:
            query = self._query(example)
            hits = retriever.search(query, caller=Caller.of(*example.principals), k=retriever.settings.k)
            found.append(evidence_of(query, hits) or 0.0)
        return found

    def _query(self, example: Example) -> Query:
        return rewriting("off" if self._workspace.config.retrieval.follow_up == "off" else "words")(example)

    def _measure(self, example: Example, configs: Mapping[str, Config]) -> None:
        """One question under settings that share their chunking."""
        query, caller = self._query(example), Caller.of(*example.principals)
        found: dict[int, Candidates] = {}
        ranked: dict[str, list[Considered]] = {}
        measured: dict[tuple[tuple[str, ...], int, int], tuple[float, float]] = {}
        for key, config in configs.items():
            retriever, settings = self._retriever(config), config.retrieval
            depth = retriever.depth(settings.k)
            if depth not in found:
                found[depth] = retriever.candidates(query, caller=caller, depth=depth)
            order = digest([depth, settings.model_dump(exclude=set(NOT_RANKED_BY))])
            if order not in ranked:
                ranked[order] = retriever.ranked(found[depth], runs=self._runs)
            hits = retriever.placed(found[depth], ranked[order], k=settings.k)
            best = tuple(hit.chunk.id for hit in hits), settings.neighbours, settings.max_tokens
            if best not in measured:
                shown = pack(retriever.around(hits, caller=caller), count_tokens=self._count, max_tokens=settings.max_tokens)
                tokens = sum(self._count(hit.chunk.text) for hit in shown)
                measured[best] = shown_share(example, shown), float(tokens)
            self._measured[key, example.id] = measured[best]

    def _retriever(self, config: Config) -> WorkspaceRetriever:
        name = digest(config.chunking.model_dump())[:12]
        if name not in self._retrievers:
            view = copy(self._workspace)
            view.config = config
            index = self._index(view, self._folder / name)
            self._retrievers[name] = WorkspaceRetriever(view, embedder=self._embedder, index=index)
        reranker = self._reranker if config.retrieval.reranker else None
        return self._retrievers[name].with_settings(config.retrieval, reranker=reranker)

    def _index(self, view: Workspace, folder: Path) -> Index:
        inner, show = self._embedder.inner, self._progress or unseen
        cut = embed(view, self._rows, embedder=inner, writer=self._writer, progress=show)
        index = SqliteIndex(folder, dimensions=self._embedder.dimensions)
        index.replace({row["id"]: entries_of(row, cut[row["id"]]) for row in self._rows})
        return index


def shown_share(example: Example, hits: Sequence[Hit]) -> float:
    """Share of the characters of the example's located evidence that stand in the hits; 1 where it has none."""
    wanted = held = 0
    for document in {evidence.document for evidence in example.evidence}:
        spans = _joined(span for evidence in example.evidence if evidence.document == document for span in evidence.spans)
        shown = _joined((hit.chunk.start, hit.chunk.end) for hit in hits if hit.chunk.document == document)
        wanted += sum(end - start for start, end in spans)
        held += sum(max(0, min(end, last) - max(start, first)) for start, end in spans for first, last in shown)
    return held / wanted if wanted else 1.0


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same places in spans that do not overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
