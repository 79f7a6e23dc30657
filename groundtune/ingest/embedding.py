"""Documents to chunks with their vectors. Knows chunking, embedder and stages; knows no index and no access."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from groundtune.errors import UsageError
from groundtune.ingest.chunk import CHUNK_VERSION, chunk, embedded_text, table_heads
from groundtune.ingest.reading import stored_document
from groundtune.interfaces import Embedder, LanguageModel, Progress
from groundtune.prompting import templates
from groundtune.store.workspace import Workspace
from groundtune.types import Chunk, Document, Message

EMBED_VERSION: Final = 1
_CONTEXT_VERSION: Final = 1
_BATCH = 32  # chunks of one document that are embedded together
_WRITTEN = 8  # contexts that a model writes together
_BEFORE = 1_200  # characters of the document before a chunk that the model is shown
_CONTEXT_TOKENS = 48
_TEMPLATE = "context"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A chunk with the text that stands for it and its vector."""

    chunk: Chunk
    text: str
    vector: np.ndarray
    """float32 [dimensions]."""


def chunks_of(document: Document, *, workspace: Workspace, embedder: Embedder) -> list[Chunk]:
    """As `[chunking]` says."""
    settings = workspace.config.chunking
    return chunk(
        document,
        tokens=settings.tokens,
        overlap=settings.overlap,
        method=settings.method,
        parent_tokens=settings.parent_tokens,
        count_tokens=embedder.count_tokens,
    )


def origin_of(workspace: Workspace, *, embedder: Embedder, writer: LanguageModel | None) -> dict[str, Any]:
    """All that chunks, their texts and their vectors depend on besides the documents."""
    settings = workspace.config.chunking
    origin: dict[str, Any] = {
        "chunk": CHUNK_VERSION,
        "chunking": settings.model_dump(),
        "embedder": embedder.fingerprint,
        "dimensions": embedder.dimensions,
    }
    return origin | ({"writer": _writer_key(_needed(writer))} if settings.context == "model" else {})


def embed(
    workspace: Workspace,
    rows: Sequence[Mapping[str, Any]],
    *,
    embedder: Embedder,
    writer: LanguageModel | None,
    progress: Progress,
) -> dict[str, list[Embedded]]:
    """Chunks of the documents of these rows. `writer` is asked for contexts where `[chunking]` wants them.

    Batches never cross documents, so that a vector depends on its document alone and not on what was synced with it.
    """
    cut: dict[str, list[Chunk]] = {}
    texts: dict[str, dict[str, str]] = {}
    for row in rows:
        document = stored_document(workspace, row)
        chunks = cut[document.id] = chunks_of(document, workspace=workspace, embedder=embedder)
        made = _texts(workspace, document, chunks, row["artefact"], writer)
        texts[document.id] = {f"{number:07}": text for number, text in enumerate(made)}
    total = sum(map(len, cut.values()))
    done = 0
    embedded = {}
    for row in rows:
        wanted = texts[row["id"]]

        def compute(ids: list[str], wanted: dict[str, str] = wanted) -> list[str]:
            return [_packed(vector) for vector in embedder.embed([wanted[id] for id in ids])]

        found = workspace.stages.map(
            "embed",
            version=EMBED_VERSION,
            key={"embedder": embedder.fingerprint},
            items=wanted,
            batch_size=_BATCH,
            compute=compute,
            parents=[row["artefact"]],
        )
        ordered = zip(cut[row["id"]], sorted(wanted), strict=True)
        embedded[row["id"]] = [Embedded(one, wanted[id], _unpacked(found[id])) for one, id in ordered]
        done += len(wanted)
        progress("embed", done, total)
    return embedded


def _texts(
    workspace: Workspace, document: Document, chunks: Sequence[Chunk], parse: str, writer: LanguageModel | None
) -> list[str]:
    """What is searched and embedded for each chunk."""
    context = workspace.config.chunking.context
    if context == "none":
        return [one.text for one in chunks]
    heads = table_heads(document, chunks)
    written = _contexts(workspace, document, chunks, parse, _needed(writer)) if context == "model" else {}
    return [
        embedded_text(document.title, one, context="\n".join(filter(None, (written.get(one.id), heads.get(one.id)))))
        for one in chunks
    ]


def _contexts(
    workspace: Workspace, document: Document, chunks: Sequence[Chunk], parse: str, writer: LanguageModel
) -> dict[str, str]:
    """Chunk id -> a sentence that says where in the document it stands, written once."""
    prompts = {
        f"{number:07}": templates.render(
            _TEMPLATE,
            title=document.title,
            headings=" > ".join(one.headings),
            before=document.text[max(0, one.start - _BEFORE) : one.start].strip(),
            chunk=one.text,
        )
        for number, one in enumerate(chunks)
    }

    def compute(ids: list[str]) -> list[str]:
        conversations = [[Message("user", prompts[id])] for id in ids]
        answers = writer.generate(conversations, max_new_tokens=_CONTEXT_TOKENS)
        return [" ".join(answer.text.split()) for answer in answers]

    found = workspace.stages.map(
        "context",
        version=_CONTEXT_VERSION,
        key=_writer_key(writer),
        items=prompts,
        batch_size=_WRITTEN,
        compute=compute,
        parents=[parse],
    )
    return {one.id: found[id] for one, id in zip(chunks, sorted(prompts), strict=True)}


def _writer_key(writer: LanguageModel) -> dict[str, str]:
    return {"model": writer.fingerprint, "template": templates.load(_TEMPLATE).digest}


def _needed(writer: LanguageModel | None) -> LanguageModel:
    if writer is None:
        raise UsageError('chunking.context = "model" needs a model.', remedy="Give one that writes.")
    return writer


def _packed(vector: np.ndarray) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4")
