"""The tables of groundtune.toml that say how documents are read, cut, indexed and searched. Knows nothing of what they do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from groundtune.config.section import Amount, ModelName, Positive, Section


class Ingest(Section):
    """How documents are read, and what reading one may take."""

    languages: Annotated[tuple[str, ...], Strict(False)] = ("eng",)
    """Tesseract's names of the languages in scans and pictures; [] leaves those unread."""
    passwords: Annotated[str, Field(min_length=1)] | None = None
    """File, relative to the workspace, with a password a line; each is tried on what is protected."""
    seconds: Positive = 50
    memory_mb: Annotated[int, Field(ge=256)] = 1024


class Chunking(Section):
    method: Literal["recursive", "fixed", "sentence", "page", "table", "parent"] = "recursive"
    tokens: Annotated[int, Field(ge=16)] = 220
    """Longest chunk, in the embedder's tokens."""
    overlap: Annotated[int, Field(ge=0)] = 0
    """Tokens that neighbouring chunks share."""
    parent_tokens: Positive = 660
    """parent: longest section that is given where one of its chunks is found."""
    context: Literal["headings", "model", "none"] = "headings"
    """What is searched and embedded with a chunk: title and heading path, these and a sentence by `model`, or nothing."""

    @model_validator(mode="after")
    def _moves_on(self) -> Chunking:
        if self.overlap >= self.tokens:
            raise ValueError(f"overlap ({self.overlap}) must be smaller than tokens ({self.tokens})")
        if self.method == "parent" and self.parent_tokens <= self.tokens:
            raise ValueError(f"parent_tokens ({self.parent_tokens}) must be larger than tokens ({self.tokens})")
        return self


class Index(Section):
    backend: Literal["lance", "sqlite"] = "lance"
    """`lance` grows to object storage and many rows; `sqlite` needs no package of its own and compares every vector."""


class Retrieval(Section):
    k: Positive = 3
    """Chunks given to the model."""
    fusion: Literal["ranks", "scores"] = "ranks"
    """How full text and vectors are joined: by reciprocal ranks, or by scores stretched to [0, 1]."""
    rrf_k: Positive = 60
    """Constant of reciprocal rank fusion."""
    depth: Positive = 20
    """Chunks of each retriever that are fused, at least."""
    text_weight: Amount = 1.0
    vector_weight: Amount = 1.0
    """What a rank in full text and one by vectors count in the fusion."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of word triples from which on two chunks count as one, and the document changed last is shown."""
    reranker: ModelName | None = None
    """`provider:name` of a cross-encoder that orders the best chunks anew; none is shipped."""
    rerank: Positive = 20
    """Chunks that the reranker reads."""
    neighbours: Annotated[int, Field(ge=0)] = 0
    """Chunks before and after a found one that are shown with it."""
    follow_up: Literal["words", "model", "off"] = "words"
    """What a question in a conversation is searched with: the questions before it too, as a model rewrites it, or alone."""
    max_tokens: Positive = 600
    """Model tokens that the chunks may take together."""
    min_evidence: Amount = 0.0
    """Evidence in what was found below which nothing is answered; `groundtune sweep` calibrates it."""

    @model_validator(mode="after")
    def _finds(self) -> Retrieval:
        if not self.text_weight and not self.vector_weight:
            raise ValueError("text_weight and vector_weight are both 0, so nothing would be found")
        return self
