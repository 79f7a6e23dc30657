"""Reading a SQLite index: one snapshot, BM25 over its words, cosine over its vectors. Knows ranks; writes nothing."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.index.filters import accepts
from groundtune.index.found import Found
from groundtune.interfaces import Held
from groundtune.types import EVERYTHING, Chunk, Filter

K1, B = 1.2, 0.75
"""Constants of BM25, as Lucene and LanceDB have them."""

_IN = 500  # values in one IN list
_WAIT = 30.0  # seconds for a writer
_POSTINGS = 4_000_000  # (row, count) pairs kept in memory
_SAME = 1e-5  # what the order of a sum may change in a product of unit vectors, and more
_ROW = 'id, document, start, "end", text, headings, tokens, title, revision, audience'


@dataclass
class _Columns:
    """What is kept in memory of one commit, all in the order of rows."""

    commit: int
    rows: np.ndarray
    slots: np.ndarray
    audiences: np.ndarray
    lengths: np.ndarray
    """Words of each row."""
    postings: OrderedDict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=OrderedDict)
    """Word -> (places of the rows that hold it, how often each does)."""


class Reads:
    """Snapshots of one file, taken by one thread at a time; what a commit does not change is kept in memory until the next."""

    def __init__(self, file: Path, *, dimensions: int) -> None:
        self._file = file
        self._dimensions = dimensions
        self._guard = threading.RLock()
        self._columns: _Columns | None = None
        self._maps: tuple[int, np.memmap] | None = None
        self._kept: tuple[tuple[int, int], sqlite3.Connection] | None = None

    def dimensions(self) -> int:
        with reading(self._file) as connection:
            return _about(connection)["dimensions"]

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self._guard:
            connection = self._connected()
            connection.execute("BEGIN")
            try:
                about = _about(connection)
                if self._columns is None or self._columns.commit != about["commits"]:
                    self._columns = _load(connection, about["commits"])
                yield Snapshot(connection, self._columns, self.map(about["generation"], about["slots"]))
            finally:
                connection.rollback()

    def _connected(self) -> sqlite3.Connection:
        """Kept from search to search: opening one took a third of a search of 1,000 chunks. Anew where the file is another."""
        status = self._file.stat()
        identity = status.st_dev, status.st_ino
        if self._kept is None or self._kept[0] != identity:
            if self._kept is not None:
                self._kept[1].close()
            made = sqlite3.connect(self._file, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, made.close)
            self._kept = identity, made
            self._columns = self._maps = None
        return self._kept[1]

    def map(self, generation: int, slots: int) -> np.ndarray:
        """float32 [slots, dimensions]. Raises OSError when the file is gone, RuntimeError when it is too short."""
        if not slots:
            return np.zeros((0, self._dimensions), dtype=np.float32)
        if self._maps is None or self._maps[0] != generation or len(self._maps[1]) < slots:
            file, shape = vectors_file(self._file.parent, generation), (slots, self._dimensions)
            try:
                self._maps = generation, np.memmap(file, "<f4", mode="r", shape=shape)
            except ValueError as error:
                raise RuntimeError(f"{file.name} is cut off") from error
        return self._maps[1][:slots]

    def verify(self) -> None:
        with self.snapshot() as snapshot:
            snapshot.verify()


class Snapshot:
    """One state of the index."""

    def __init__(self, connection: sqlite3.Connection, columns: _Columns, vectors: np.ndarray) -> None:
        self._connection = connection
        self._columns = columns
        self._vectors = vectors

    def count(self) -> int:
        return len(self._columns.rows)

    def allowed(self, audiences: frozenset[int], filter: Filter) -> np.ndarray:
        """bool [rows]."""
        held = self._columns.audiences
        mask: np.ndarray = np.isin(held, np.fromiter(audiences, np.int64, len(audiences)))
        if filter != EVERYTHING:
            passes = accepts(filter)
            asked = self._connection.execute("SELECT document, title, format, source, modified FROM chunks ORDER BY row")
            mask &= np.fromiter((passes(*about) for about in asked), bool, len(held))
        return mask

    def by_vector(self, vector: np.ndarray, allowed: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(place, cosine) of the k best allowed rows; equal scores in the order of ids."""
        places = np.flatnonzero(allowed)
        slots = self._columns.slots[places]
        many = 4 * len(slots) > len(self._vectors)  # then reading all in one go is faster than picking
        scores = (self._vectors @ vector)[slots] if many else self._vectors[slots] @ vector
        if len(scores) > k:
            near = scores >= np.partition(scores, -k)[-k] - _SAME
            places, slots = places[near], slots[near]
        # Summed again one row at a time: the score of a row then does not depend on the rows beside it.
        exact = np.einsum("rd,d->r", self._vectors[slots], vector.astype(np.float32))
        return self._best(places, exact, k)

    def by_text(self, words: Sequence[str], allowed: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(place, BM25) of the k best allowed rows that hold a word; equal scores in the order of ids.

        Robertson's BM25 with Lucene's idf, over all rows, allowed or not; a word counts as often as it is asked for.
        """
        columns = self._columns
        if not len(columns.rows):
            return []
        scores = np.zeros(len(columns.rows))
        scale = K1 * (1 - B + B * columns.lengths / max(columns.lengths.mean(), 1e-9))
        for word, asked in Counter(words).items():
            places, counts = self._postings(word)
            if len(places):
                idf = math.log(1 + (len(columns.rows) - len(places) + 0.5) / (len(places) + 0.5))
                scores[places] += asked * idf * counts * (K1 + 1) / (counts + scale[places])
        places = np.flatnonzero((scores > 0) & allowed)
        return self._best(places, scores[places], k)

    def found(self, ranked: Mapping[str, Sequence[tuple[int, float]]]) -> list[Found]:
        """The rows of these lists, each once, with rank and score in every list that holds it."""
        ranks: dict[int, dict[str, int]] = {}
        scores: dict[int, dict[str, float]] = {}
        for way, best in ranked.items():
            for rank, (place, score) in enumerate(best, start=1):
                ranks.setdefault(place, {})[way] = rank
                scores.setdefault(place, {})[way] = score
        rows = {int(self._columns.rows[place]): place for place in ranks}
        return [
            _found(one[1:], ranks[rows[one[0]]], scores[rows[one[0]]])
            for one in self._select(f"SELECT row, {_ROW} FROM chunks WHERE row IN", list(rows))  # noqa: S608
        ]

    def of_documents(self, documents: Collection[str]) -> list[Found]:
        rows = self._select(f"SELECT {_ROW} FROM chunks WHERE document IN", sorted(documents))  # noqa: S608
        return [_found(row, {}, {}) for row in sorted(rows, key=lambda row: (row[1], row[2], row[3]))]

    def held(self) -> dict[str, Held]:
        rows = self._connection.execute("SELECT document, revision, audience, modified FROM chunks ORDER BY row")
        return {document: Held(*about) for document, *about in rows}

    def verify(self) -> None:
        (state,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        for row in self._connection.execute("SELECT * FROM chunks"):
            len(row)
        if not np.isfinite(self._vectors[self._columns.slots]).all():
            raise sqlite3.DatabaseError("a vector is damaged")

    def _best(self, places: np.ndarray, scores: np.ndarray, k: int) -> list[tuple[int, float]]:
        if len(places) > k:
            near = scores >= np.partition(scores, -k)[-k]
            places, scores = places[near], scores[near]
        rows = [int(self._columns.rows[place]) for place in places]
        ids = dict(self._select("SELECT row, id FROM chunks WHERE row IN", rows))
        best = sorted(zip(places.tolist(), scores.tolist(), rows, strict=True), key=lambda one: (-one[1], ids[one[2]]))
        return [(place, score) for place, score, _ in best[:k]]

    def _postings(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """(places of the rows that hold the word, how often each does)."""
        kept = self._columns.postings
        if word not in kept:
            rows = np.array([row for (row,) in self._connection.execute("SELECT doc FROM postings WHERE term = ?", (word,))])
            held, counts = np.unique(rows.astype(np.int64), return_counts=True)
            kept[word] = np.searchsorted(self._columns.rows, held), counts
            while len(kept) > 1 and sum(len(places) for places, _ in kept.values()) > _POSTINGS:
                kept.popitem(last=False)
        kept.move_to_end(word)
        return kept[word]

    def _select(self, statement: str, values: Sequence[int] | Sequence[str]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(values), _IN):
            part = values[start : start + _IN]
            found += self._connection.execute(f"{statement} ({', '.join('?' * len(part))})", part).fetchall()
        return found


def vectors_file(folder: Path, generation: int) -> Path:
    return folder / f"vectors-{generation:06}.f32"


@contextmanager
def reading(file: Path, *, timeout: float = _WAIT) -> Iterator[sqlite3.Connection]:
    """A connection without transactions of its own; `timeout` in seconds."""
    with closing(sqlite3.connect(file, timeout=timeout, isolation_level=None)) as connection:
        yield connection


def _about(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT key, value FROM about"))


def _load(connection: sqlite3.Connection, commit: int) -> _Columns:
    rows = np.array(
        connection.execute("SELECT row, slot, audience, words FROM chunks ORDER BY row").fetchall(), dtype=np.int64
    ).reshape(-1, 4)
    row, slot, audience, words = (np.ascontiguousarray(column) for column in rows.T)
    return _Columns(commit, row, slot, audience, words)


def _found(row: Sequence[Any], ranks: Mapping[str, int], scores: Mapping[str, float]) -> Found:
    id, document, start, end, text, headings, tokens, title, revision, audience = row
    chunk = Chunk(id, document, text, start, end, tuple(json.loads(headings)), tokens)
    return Found(chunk, title, revision, audience, ranks, scores)
