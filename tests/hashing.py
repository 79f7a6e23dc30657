"""An embedder that needs no weights: a bag of hashed words. Near texts share words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np


class HashEmbedder:
    """Deterministic; counts the texts that it was asked to embed."""

    name = "test:hash"
    max_tokens = 256

    def __init__(self, *, dimensions: int = 64, fingerprint: str = "hash-1") -> None:
        self.dimensions = dimensions
        self.fingerprint = fingerprint
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded.extend(texts)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0] = 0.01
            for word in re.findall(r"\w+", text.lower()):
                place = hashlib.sha256(word.encode()).digest()
                vectors[row, place[0] % self.dimensions] += 1 if place[1] % 2 else -1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, text: str) -> int:
        return len(re.findall(r"\w+|[^\w\s]", text))
