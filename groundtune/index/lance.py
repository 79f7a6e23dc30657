"""Hybrid index in a LanceDB folder: full text and vectors. Knows rows and audience ids; makes no vector, judges no caller."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lancedb
import pyarrow as pa
from lancedb.index import FTS, BTree, IvfFlat

from groundtune.errors import UsageError, WorkspaceError
from groundtune.index.found import Found
from groundtune.index.lance_filters import any_of
from groundtune.index.lance_reads import APPROXIMATE_FROM, SEARCHED, Reads
from groundtune.index.words import STOP_WORDS
from groundtune.interfaces import Held
from groundtune.store.failures import engine_failure
from groundtune.types import EVERYTHING, Entry, Filter

if TYPE_CHECKING:
    import numpy as np

_TABLE = "chunks"
_FULL_TEXT_INDEX = "search_idx"
_FULL_TEXT = FTS(stem=True, remove_stop_words=True, custom_stop_words=list(STOP_WORDS), ascii_folding=True, language="English")
_BATCH = 4096
_ASSIGNED = 2_000  # documents whose audience changes in one commit; 20 audiences took 12 times as long with a commit each
_INDEXED_FROM = 10_000  # rows from which on looking an audience or a document up costs less than reading the column
_READING = timedelta(minutes=5)  # files of older versions stay this long for readers that still use them


class LanceIndex:
    """One table of chunks. Several processes may read while one writes; each search sees the newest committed version.

    Vectors are compared exactly up to `APPROXIMATE_FROM` rows that the caller may read, and by an approximate index above.
    """

    layout = "2"

    def __init__(self, path: Path, *, dimensions: int) -> None:
        self.dimensions = dimensions
        self.path = path
        with _disk(path):
            self._table: Any = self._opened(path)
        self._reads = Reads(path, table=_TABLE)
        stored = self._table.schema.field("vector").type.list_size
        if stored != dimensions:
            raise WorkspaceError(
                f"holds vectors of {stored} dimensions, not {dimensions}.",
                subject=str(path),
                remedy="Remove the folder and run: groundtune sync",
            )

    def _opened(self, path: Path) -> Any:
        """The table, made where it is absent."""
        path.mkdir(parents=True, exist_ok=True)
        connection = lancedb.connect(str(path), read_consistency_interval=timedelta(0))
        if _TABLE not in connection.list_tables().tables:
            # Without a declared primary key, concurrent merges silently double rows.
            made: Any = connection.create_table(_TABLE, schema=_schema(self.dimensions), exist_ok=True)
            made.set_unenforced_primary_key("id")
        table: Any = connection.open_table(_TABLE)
        if table.index_stats(_FULL_TEXT_INDEX) is None:
            _index_text(table)
        return table

    def replace(self, documents: Mapping[str, Sequence[Entry]]) -> None:
        """Put every named document's entries in place of what it held; an empty list removes it. All in one commit.

        Raises WorkspaceError, here and wherever it writes, when the disk is full or read-only.
        """
        if not documents:
            return
        entries = [entry for id in sorted(documents) for entry in documents[id]]
        rows = pa.RecordBatchReader.from_batches(_schema(self.dimensions), self._batches(entries))
        merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        with _disk(self.path):
            merge.when_not_matched_by_source_delete(any_of("document", documents).to_sql()).execute(rows)
            _index_text(self._table)

    def assign(self, audiences: Mapping[str, int]) -> None:
        """Give documents other audience ids; text and vectors stay."""
        names = sorted(audiences)
        with _disk(self.path):
            for start in range(0, len(names), _ASSIGNED):
                rows = self._reads.run(self._reads.rows(names[start : start + _ASSIGNED]))
                place = rows.schema.get_field_index("audience")
                ids = pa.array([audiences[document] for document in rows.column("document").to_pylist()], pa.int64())
                merged = rows.set_column(place, rows.schema.field(place), ids)
                self._table.merge_insert("id").when_matched_update_all().execute(merged)
            if audiences:
                _index_text(self._table)

    def settle(self) -> None:
        """Complete what a run that was cut off after its commit left undone, and make the indices that this many rows want."""
        stats = self._table.index_stats(_FULL_TEXT_INDEX)
        rows = self.count()
        with _disk(self.path):
            if stats is None or stats.num_unindexed_rows or stats.num_indexed_rows != rows:
                _index_text(self._table)
            if rows >= _INDEXED_FROM:
                for column in ("audience", "document"):
                    if self._table.index_stats(f"{column}_idx") is None:
                        self._table.create_index(column, config=BTree())
            if rows >= APPROXIMATE_FROM and self._table.index_stats("vector_idx") is None:
                self._table.create_index("vector", config=IvfFlat(distance_type="dot"))

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
        found = self._reads.run(self._reads.search(query, vector, audiences, filter, k))
        return sorted(found, key=lambda one: one.chunk.id)

    def search_text(self, query: str, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING) -> list[Found]:
        """The `k` best rows that share a stemmed word with the query, stop words aside; best first."""
        if not audiences or k < 1:
            return []
        return self._reads.run(self._reads.search(query, None, audiences, filter, k))

    def chunks(self, documents: Collection[str]) -> list[Found]:
        """Every row of these documents, in the order of document and place; no audience is asked for."""
        return self._reads.run(self._reads.chunks(documents))

    def count(self) -> int:
        return int(self._table.count_rows())

    def held(self) -> dict[str, Held]:
        """What the index holds now, by document."""
        wanted = ["document", "revision", "audience", "modified"]
        rows = self._table.search().select(wanted).limit(self.count()).to_arrow().to_pylist()
        return {row["document"]: Held(row["revision"], row["audience"], row["modified"]) for row in rows}

    def verify(self) -> None:
        """Read from every column and from the full-text index. Raises RuntimeError or OSError where a file is gone or torn."""
        rows = self.count()
        if rows:
            self._table.search().limit(rows).to_arrow()
            self._table.search("verify", query_type="fts", fts_columns=SEARCHED).limit(1).to_arrow()

    def _batches(self, entries: Sequence[Entry]) -> Iterator[pa.RecordBatch]:
        schema = _schema(self.dimensions)
        for start in range(0, len(entries), _BATCH):
            yield pa.RecordBatch.from_pylist([_row(entry) for entry in entries[start : start + _BATCH]], schema=schema)


# --- LanceDB ------------------------------------------------------------------------------------------------------------


def _index_text(table: Any) -> None:
    """Build the full-text index anew: word statistics then depend on the rows alone, not on how they came in."""
    table.optimize(cleanup_older_than=_READING)
    table.create_index(SEARCHED, config=_FULL_TEXT, replace=True)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What LanceDB says of the disk, as a WorkspaceError: each commit is whole or absent, so the next sync continues."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        named = engine_failure(error, path)
        if named is None:
            raise
        raise named from error


def _schema(dimensions: int) -> pa.Schema:
    text, number = pa.string(), pa.int64()
    return pa.schema(
        [
            pa.field("id", text, nullable=False),
            pa.field("document", text, nullable=False),
            pa.field("start", number, nullable=False),
            pa.field("end", number, nullable=False),
            pa.field("text", text, nullable=False),
            pa.field("headings", pa.list_(text), nullable=False),
            pa.field("tokens", number, nullable=False),
            pa.field("title", text, nullable=False),
            pa.field(SEARCHED, text, nullable=False),
            pa.field("revision", text, nullable=False),
            pa.field("audience", number, nullable=False),
            pa.field("format", text, nullable=False),
            pa.field("source", text, nullable=False),
            pa.field("modified", pa.float64(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
        ]
    )


def _row(entry: Entry) -> dict[str, Any]:
    chunk = entry.chunk
    return {
        "id": chunk.id,
        "document": chunk.document,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "headings": list(chunk.headings),
        "tokens": chunk.tokens,
        "title": entry.title,
        SEARCHED: entry.text,
        "revision": entry.revision,
        "audience": entry.audience,
        "format": entry.format,
        "source": entry.source,
        "modified": entry.modified,
        "vector": entry.vector,
    }
