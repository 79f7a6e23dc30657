"""An embedder and a reranker that are asked the same again and again, and answer from memory. They change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundtune.interfaces import Embedder, Reranker


class RememberingEmbedder:
    """Embeds a text once."""

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self.name, self.fingerprint = inner.name, inner.fingerprint
        self.dimensions, self.max_tokens = inner.dimensions, inner.max_tokens
        self._known: dict[str, np.ndarray] = {}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self.inner.embed(new), strict=True))
        return np.stack([self._known[text] for text in texts]) if len(texts) else self.inner.embed([])

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)


class RememberingReranker:
    """Reads a passage for a question once."""

    def __init__(self, inner: Reranker) -> None:
        self._inner = inner
        self.name, self.fingerprint = inner.name, inner.fingerprint
        self._known: dict[tuple[str, str], float] = {}

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        new = [passage for passage in dict.fromkeys(passages) if (question, passage) not in self._known]
        for passage, score in zip(new, self._inner.score(question, new), strict=True):
            self._known[question, passage] = score
        return [self._known[question, passage] for passage in passages]
