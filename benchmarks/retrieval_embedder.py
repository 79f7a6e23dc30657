"""An embedder that computes a text once for all systems and runs. Knows texts and a file; changes no vector."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundtune.interfaces import Embedder

_PART = 256  # texts that are computed between two commits


class KeptEmbedder:
    """Vectors in an SQLite file by the digest of embedder and text; `name`, `fingerprint` and the rest are the embedder's own.

    Texts that differ in white space only are one: BERT's tokenizer reads any run of it as a single break.
    """

    def __init__(self, inner: Embedder, path: Path) -> None:
        self.inner = inner
        self.name, self.fingerprint = inner.name, inner.fingerprint
        self.dimensions, self.max_tokens = inner.dimensions, inner.max_tokens
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        self._connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), _PART):
            rows[start : start + _PART] = self._part(texts[start : start + _PART])
        return rows

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)

    def _part(self, texts: Sequence[str]) -> np.ndarray:
        keys = [hashlib.sha256(f"{self.fingerprint}\n{' '.join(text.split())}".encode()).digest() for text in texts]
        known = {key: self._held(key) for key in dict.fromkeys(keys)}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        if missing:
            made = np.asarray(self.inner.embed(list(missing.values())), dtype="<f4")
            known |= {key: vector.tobytes() for key, vector in zip(missing, made, strict=True)}
            with self._connection:
                rows = [(key, known[key]) for key in missing]
                self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        return np.stack([np.frombuffer(known[key] or b"", dtype="<f4") for key in keys])

    def _held(self, key: bytes) -> bytes | None:
        row = self._connection.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]
