"""Rankings by Groundtune and by what it is compared with. Knows how each system is asked; scores nothing."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from benchmarks.harness import ROOT, write_settings
from benchmarks.retrieval_data import FOLDER, Collection
from benchmarks.retrieval_scores import Place
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.errors import GroundtuneError, NotFound
from groundtune.index.fusion import reciprocal_rank_fusion
from groundtune.ingest.chunk import chunk
from groundtune.ingest.reading import stored_document
from groundtune.ingest.sync import sync
from groundtune.interfaces import Embedder
from groundtune.store.stages import digest
from groundtune.store.tables import documents as documents_table
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Document, Query

ASKED = {"document": 50, "evidence": 10, "both": 50}
"""Hits asked of every system: enough chunks that ten documents are among them, or the ten that are looked at."""

CHUNK_TOKENS = 220
"""Of the systems that are built here."""

_DEPTH = 100  # pieces of each list that the first RRF joins, and of the lists themselves

Hits = dict[str, list[Place]]
"""Question -> hits, best first."""

Settings = Mapping[str, str]
"""Table of groundtune.toml such as `[chunking]` -> its lines."""


@contextmanager
def workspace_of(collection: Collection, embedder: Embedder, settings: Settings) -> Iterator[Workspace]:
    """The collection's documents, read and indexed with these settings; what an earlier run did is kept."""
    home = "workspace" if not settings else f"workspace-{digest(dict(settings))[:10]}"
    root = FOLDER / collection.name / home
    write_settings(root, documents=collection.documents, questions=root / "questions.jsonl", settings=settings)
    with Workspace.open(root) as workspace:
        done = sync(workspace, embedder=embedder)
        if done.failed:
            raise GroundtuneError(f"{len(done.failed)} documents gave no text: {done.failed[:3]}.", subject=collection.name)
        yield workspace


def texts_of(workspace: Workspace) -> list[Document]:
    """Every document as Groundtune read it: the text that all systems are given."""
    with workspace.database.connect() as connection:
        chosen = select(documents_table).where(documents_table.c.status == "ok").order_by(documents_table.c.id)
        return [stored_document(workspace, dict(row)) for row in connection.execute(chosen).mappings()]


def groundtune(collection: Collection, workspace: Workspace, embedder: Embedder, *, alone: bool = False) -> Hits:
    """The production retriever, as the workspace is set. `alone`: without the questions before."""
    retriever = WorkspaceRetriever(workspace, embedder=embedder)
    found = {}
    for question in collection.questions:
        asked = Query(question.text, earlier=() if alone else question.earlier)
        hits = retriever.search(asked, caller=Caller.of(*question.principals), k=ASKED[collection.unit])
        found[question.id] = [(hit.chunk.document, hit.chunk.start, hit.chunk.end) for hit in hits]
    return found


# --- what it is compared with ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of the systems that are built here: its place and its words, nothing added."""

    id: str
    place: Place
    text: str


def pieces_of(texts: Sequence[Document], embedder: Embedder) -> list[Piece]:
    """Recursive chunks of 220 tokens."""
    cut = (one for text in texts for one in chunk(text, tokens=CHUNK_TOKENS, count_tokens=embedder.count_tokens))
    return [Piece(one.id, (one.document, one.start, one.end), one.text) for one in cut]


def dense(collection: Collection, pieces: Sequence[Piece], embedder: Embedder) -> dict[str, list[str]]:
    """Question -> ids of the nearest pieces by cosine, every vector compared."""
    vectors = embedder.embed([piece.text for piece in pieces])
    asked = embedder.embed([question.whole for question in collection.questions])
    order = np.argsort(-(asked @ vectors.T), axis=1, kind="stable")[:, :_DEPTH]
    return {
        question.id: [pieces[at].id for at in row] for question, row in zip(collection.questions, order.tolist(), strict=True)
    }


def bm25(collection: Collection, pieces: Sequence[Piece], embedder: Embedder, python: Path) -> dict[str, list[str]]:
    """Question -> ids of the best pieces by bm25s."""
    rows = [{"id": piece.id, "text": piece.text} for piece in pieces]
    found = _child("bm25s", rows, collection, embedder, python, k=_DEPTH)
    return {id: [piece for piece, _, _ in hits] for id, hits in found.items()}


def first_rrf(lists: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Reciprocal rank fusion of these rankings with k = 60."""
    joined = {}
    for question in lists[0]:
        ranks: dict[str, dict[str, int]] = {}
        for number, found in enumerate(lists):
            for rank, piece in enumerate(found[question], start=1):
                ranks.setdefault(piece, {})[str(number)] = rank
        joined[question] = [piece for piece, _ in reciprocal_rank_fusion(ranks)]
    return joined


def placed(found: Mapping[str, Sequence[str]], pieces: Sequence[Piece]) -> Hits:
    """Pieces as places."""
    places = {piece.id: piece.place for piece in pieces}
    return {question: [places[id] for id in ids] for question, ids in found.items()}


def framework(name: str, collection: Collection, texts: Sequence[Document], embedder: Embedder, python: Path) -> Hits:
    """A framework's own pipeline over the same texts with the same embedder, in its own process."""
    rows = [{"id": text.id, "text": text.text} for text in texts]
    return _child(name, rows, collection, embedder, python, k=ASKED[collection.unit])


def _child(
    name: str, rows: Sequence[Mapping[str, str]], collection: Collection, embedder: Embedder, python: Path, *, k: int
) -> Hits:
    """Raises NotFound without the environment, GroundtuneError when the framework fails."""
    if not python.exists():
        raise NotFound("the frameworks' environment is absent.", subject=str(python), remedy="See benchmarks/README.md.")
    found: Hits = {}
    command = [str(python), str(ROOT / "benchmarks" / "frameworks_child.py")]
    asked = [{"id": question.id, "question": question.whole} for question in collection.questions]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as child:
        assert child.stdin and child.stdout  # both are pipes
        for row in [{"framework": name, "k": k}, *rows, *asked, {"go": True}]:
            child.stdin.write(json.dumps(row) + "\n")
        child.stdin.flush()
        for line in child.stdout:
            said: dict[str, Any] = json.loads(line)
            if "embed" in said:
                packed = base64.b64encode(embedder.embed(said["embed"]).astype("<f4").tobytes()).decode("ascii")
                child.stdin.write(json.dumps({"vectors": packed}) + "\n")
                child.stdin.flush()
            else:
                found[said["id"]] = [(document, start, end) for document, start, end in said["hits"]]
    if child.returncode or len(found) != len(asked):
        raise GroundtuneError(f"{name} ended with status {child.returncode} after {len(found)} questions.", subject=name)
    return found
