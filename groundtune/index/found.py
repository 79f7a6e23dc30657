"""A row that a search found. Knows no backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from groundtune.types import Chunk


@dataclass(frozen=True, slots=True)
class Found:
    """A row with its 1-based rank and its score in each retriever that found it: `text` (BM25) and `vector` (cosine)."""

    chunk: Chunk
    title: str
    revision: str
    audience: int
    ranks: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
