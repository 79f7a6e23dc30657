"""Hybrid index in one SQLite file (FTS5) with its vectors beside it, memory-mapped. Exact; judges no caller, makes no vector.

Writing and the shape of the files are here, reading and ranking in `sqlite_reads`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from groundtune.errors import UsageError, WorkspaceError
from groundtune.index.analysis import analysis_version, words_of
from groundtune.index.found import Found
from groundtune.index.sqlite_reads import Reads, reading, vectors_file
from groundtune.interfaces import Held
from groundtune.store.failures import database_failure, disk_failure
from groundtune.types import EVERYTHING, Entry, Filter

if TYPE_CHECKING:
    from groundtune.index.sqlite_reads import Snapshot

_FILE: Final = "chunks.db"
_WAIT = 30.0  # seconds for another writer

# `words` holds analysed words, so FTS5's `ascii` tokenizer has only to cut at spaces. A row of the vector file is a slot; slots
# are never given twice within a generation, so an open reader's map stays right, and compaction writes the next generation.
_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO about VALUES ('dimensions', ?), ('commits', 0), ('generation', 1), ('slots', 0);
CREATE TABLE chunks (
    row INTEGER PRIMARY KEY, slot INTEGER NOT NULL UNIQUE, id TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL, headings TEXT NOT NULL, tokens INTEGER NOT NULL,
    title TEXT NOT NULL, revision TEXT NOT NULL, audience INTEGER NOT NULL, format TEXT NOT NULL, source TEXT NOT NULL,
    modified REAL NOT NULL, words INTEGER NOT NULL
);
CREATE INDEX chunks_document ON chunks (document);
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'ascii');
CREATE VIRTUAL TABLE postings USING fts5vocab (words, instance);
"""
_COLUMNS = (
    *("slot", "id", "document", "start", '"end"', "text", "headings", "tokens"),
    *("title", "revision", "audience", "format", "source", "modified", "words"),
)


class SqliteIndex:
    """One table of chunks; every search compares every allowed vector and counts every word, so nothing is approximate.

    Several processes may read while one writes; each search sees the newest commit.
    """

    layout = f"1, words {analysis_version()}"

    def __init__(self, path: Path, *, dimensions: int) -> None:
        self.path = path
        self.dimensions = dimensions
        path.mkdir(parents=True, exist_ok=True)
        self._file = path / _FILE
        self._make()
        self._reads = Reads(self._file, dimensions=dimensions)
        stored = self._reads.dimensions()
        if stored != dimensions:
            raise WorkspaceError(
                f"holds vectors of {stored} dimensions, not {dimensions}.",
                subject=str(path),
                remedy="Remove the folder and run: groundtune sync",
            )

    def replace(self, documents: Mapping[str, Sequence[Entry]]) -> None:
        """Put every named document's entries in place of what it held; an empty list removes it. All in one commit."""
        if not documents:
            return
        entries = [entry for id in sorted(documents) for entry in documents[id]]
        with self._writing() as connection:
            for id in sorted(documents):
                connection.execute("DELETE FROM words WHERE rowid IN (SELECT row FROM chunks WHERE document = ?)", (id,))
                connection.execute("DELETE FROM chunks WHERE document = ?", (id,))
            generation, first = (_about(connection, key) for key in ("generation", "slots"))
            self._append(vectors_file(self.path, generation), first, [entry.vector for entry in entries])
            for slot, entry in enumerate(entries, start=first):
                words = words_of(entry.text)
                marks = ", ".join("?" * len(_COLUMNS))
                inserted = connection.execute(
                    f"INSERT INTO chunks ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - names of columns only
                    _values(entry, slot=slot, words=len(words)),
                )
                connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (inserted.lastrowid, " ".join(words)))
            connection.execute("UPDATE about SET value = ? WHERE key = 'slots'", (first + len(entries),))

    def assign(self, audiences: Mapping[str, int]) -> None:
        """Give documents other audience ids; text and vectors stay."""
        if audiences:
            with self._writing() as connection:
                rows = [(audience, document) for document, audience in audiences.items()]
                connection.executemany("UPDATE chunks SET audience = ? WHERE document = ?", rows)

    def settle(self) -> None:
        """Write the vectors anew where more than half of their file belongs to rows that are gone."""
        with self._writing() as connection:
            old, slots = _about(connection, "generation"), _about(connection, "slots")
            rows = connection.execute("SELECT row, slot FROM chunks ORDER BY slot").fetchall()
            if slots <= 2 * len(rows):
                return
            held = self._reads.map(old, slots)
            vectors_file(self.path, old + 1).unlink(missing_ok=True)
            self._append(vectors_file(self.path, old + 1), 0, [held[slot] for _, slot in rows])
            # In this order no slot is taken twice: none is smaller than its rank.
            connection.executemany(
                "UPDATE chunks SET slot = ? WHERE row = ?", [(new, row) for new, (row, _) in enumerate(rows)]
            )
            connection.execute("UPDATE about SET value = ? WHERE key = 'slots'", (len(rows),))
            connection.execute("UPDATE about SET value = ? WHERE key = 'generation'", (old + 1,))
        with suppress(PermissionError):  # on Windows while a process maps it; the next time removes it
            for file in self.path.glob("vectors-*"):
                if file != vectors_file(self.path, old + 1):
                    file.unlink(missing_ok=True)

    def verify(self) -> None:
        """Check the file and read every vector. Raises RuntimeError where something is torn."""
        try:
            self._reads.verify()
        except sqlite3.Error as error:
            raise RuntimeError(str(error)) from error

    def search(
        self, query: str, vector: np.ndarray, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING
    ) -> list[Found]:
        """The `k` best rows of each retriever among the allowed audience ids, unfused, in the order of chunk ids.

        What is not allowed is left out before ranks are given. Equal scores are ranked in the order of chunk ids.
        """
        if vector.shape != (self.dimensions,):
            raise UsageError(f"a query vector of shape {vector.shape} was given; the index holds {self.dimensions} dimensions.")
        if not audiences or k < 1:
            return []
        with self._snapshot() as snapshot:
            allowed = snapshot.allowed(audiences, filter)
            ranked = {
                "text": snapshot.by_text(words_of(query), allowed, k),
                "vector": snapshot.by_vector(vector, allowed, k),
            }
            return sorted(snapshot.found(ranked), key=lambda one: one.chunk.id)

    def search_text(self, query: str, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING) -> list[Found]:
        """The `k` best rows that share a stemmed word with the query, stop words aside; best first."""
        if not audiences or k < 1:
            return []
        with self._snapshot() as snapshot:
            best = snapshot.by_text(words_of(query), snapshot.allowed(audiences, filter), k)
            return sorted(snapshot.found({"text": best}), key=lambda one: one.ranks["text"])

    def chunks(self, documents: Collection[str]) -> list[Found]:
        """Every row of these documents, in the order of document and place; no audience is asked for."""
        with self._snapshot() as snapshot:
            return snapshot.of_documents(documents)

    def held(self) -> dict[str, Held]:
        """What the index holds now, by document."""
        with self._snapshot() as snapshot:
            return snapshot.held()

    def count(self) -> int:
        with self._snapshot() as snapshot:
            return snapshot.count()

    # --- SQLite ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        """One state of the index. Raises RuntimeError when the file is damaged or was taken away."""
        try:
            with self._reads.snapshot() as snapshot:
                yield snapshot
        except sqlite3.Error as error:
            raise RuntimeError(str(error)) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raises WorkspaceError where SQLite or the disk fails."""
        try:
            yield
        except sqlite3.Error as error:
            raise database_failure(error, self._file, when_damaged="Run: groundtune sync") from error
        except OSError as error:
            raise disk_failure(error, self._file) from error

    def _make(self) -> None:
        with self._explained(), reading(self._file, timeout=_WAIT) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement, (self.dimensions,) if "?" in statement else ())
            connection.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is one commit for every reader, and is undone by an exception."""
        with self._explained(), reading(self._file, timeout=_WAIT) as connection:
            connection.execute("PRAGMA secure_delete = ON")  # what is removed is overwritten
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("UPDATE about SET value = value + 1 WHERE key = 'commits'")
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what is removed leaves the log too, beside open readers

    def _append(self, file: Path, first: int, vectors: Sequence[np.ndarray]) -> None:
        """Write vectors from slot `first` on, over what a writer left there that did not get to its commit."""
        with file.open("r+b" if file.exists() else "w+b") as opened:
            opened.seek(first * self.dimensions * 4)
            opened.write(np.asarray(vectors, dtype="<f4").reshape(len(vectors), self.dimensions).tobytes())
            opened.truncate()
            opened.flush()
            os.fsync(opened.fileno())


def _about(connection: sqlite3.Connection, key: str) -> int:
    (value,) = connection.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
    return int(value)


def _values(entry: Entry, *, slot: int, words: int) -> tuple[object, ...]:
    """In the order of _COLUMNS."""
    chunk = entry.chunk
    span = (slot, chunk.id, chunk.document, chunk.start, chunk.end, chunk.text, json.dumps(chunk.headings), chunk.tokens)
    return (*span, entry.title, entry.revision, entry.audience, entry.format, entry.source, entry.modified, words)
