"""Hybrid index in a LanceDB folder: full text and vectors. Knows rows and audience ids; makes no vector, judges no caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lancedb
import pyarrow as pa
from lancedb.expr import Expr, col, lit
from lancedb.index import FTS

from groundtune.errors import UsageError, WorkspaceError
from groundtune.index.words import STOP_WORDS
from groundtune.types import Chunk, Entry

if TYPE_CHECKING:
    import numpy as np

INDEX_VERSION: Final = 1
"""Raise it when the columns or the tokens of the full text change: the index is then built anew beside the old one."""

_TABLE = "chunks"
_SEARCHED = "search"
_FULL_TEXT_INDEX = "search_idx"
_FULL_TEXT = FTS(stem=True, remove_stop_words=True, custom_stop_words=list(STOP_WORDS), ascii_folding=True, language="English")
_HELD = ("id", "document", "start", "end", "text", "headings", "tokens", "title", "revision", "audience")
_BATCH = 4096
_READING = timedelta(minutes=5)  # files of older versions stay this long for readers that still use them


@dataclass(frozen=True, slots=True)
class Found:
    """A row with its 1-based rank in each retriever that found it: `text` (BM25) and `vector` (cosine)."""

    chunk: Chunk
    title: str
    revision: str
    audience: int
    ranks: Mapping[str, int]


class LanceIndex:
    """One table of chunks. Several processes may read while one writes; each search sees the newest committed version.

    Vectors are compared exactly, without an approximate index: right up to about 200,000 rows.
    """

    def __init__(self, path: Path, *, dimensions: int) -> None:
        self.dimensions = dimensions
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        connection = lancedb.connect(str(path), read_consistency_interval=timedelta(0))
        if _TABLE not in connection.list_tables().tables:
            # Without a declared primary key, concurrent merges silently double rows.
            made: Any = connection.create_table(_TABLE, schema=_schema(dimensions), exist_ok=True)
            made.set_unenforced_primary_key("id")
        self._table: Any = connection.open_table(_TABLE)
        stored = self._table.schema.field("vector").type.list_size
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
        rows = pa.RecordBatchReader.from_batches(_schema(self.dimensions), self._batches(entries))
        merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        merge.when_not_matched_by_source_delete(_any_of("document", documents).to_sql()).execute(rows)
        self._index_text()

    def assign(self, audiences: Mapping[str, int]) -> None:
        """Give documents other audience ids; text and vectors stay."""
        for audience in sorted(set(audiences.values())):
            members = [document for document, id in audiences.items() if id == audience]
            self._table.update(where=_any_of("document", members).to_sql(), values={"audience": audience})
        if audiences:
            self._index_text()

    def settle(self) -> None:
        """Complete what a run that was cut off after its commit left undone: the full-text index over all rows."""
        stats = self._table.index_stats(_FULL_TEXT_INDEX)
        if self.count() and (stats is None or stats.num_unindexed_rows or stats.num_indexed_rows != self.count()):
            self._index_text()

    def search(self, query: str, vector: np.ndarray, *, audiences: frozenset[int], k: int) -> list[Found]:
        """The `k` best rows of each retriever among the allowed audience ids, unfused, in the order of chunk ids.

        The audiences are filtered before anything is ranked. Equal scores are ranked in the order of chunk ids.
        """
        if not audiences or k < 1 or self.count() == 0:
            return []
        if vector.shape != (self.dimensions,):
            raise UsageError(f"a query vector of shape {vector.shape} was given; the index holds {self.dimensions} dimensions.")
        allowed = _any_of("audience", audiences)
        ranked = {"text": self._text(query, allowed, k), "vector": self._vector(vector, allowed, k)}
        rows: dict[str, dict[str, Any]] = {}
        ranks: dict[str, dict[str, int]] = {}
        for retriever, found in ranked.items():
            for rank, row in enumerate(found, start=1):
                rows[row["id"]] = row
                ranks.setdefault(row["id"], {})[retriever] = rank
        return [_found(rows[id], ranks[id]) for id in sorted(rows)]

    def search_text(self, query: str, *, audiences: frozenset[int], k: int) -> list[Found]:
        """The `k` best rows that share a stemmed word with the query, stop words aside; best first."""
        if not audiences or k < 1 or self.count() == 0:
            return []
        found = self._text(query, _any_of("audience", audiences), k)
        return [_found(row, {"text": rank}) for rank, row in enumerate(found, start=1)]

    def count(self) -> int:
        return int(self._table.count_rows())

    def held(self) -> dict[str, tuple[str, int]]:
        """Document -> (revision, audience id) of what the index holds now."""
        columns = self._table.search().select(["document", "revision", "audience"]).limit(self.count()).to_arrow().to_pylist()
        return {row["document"]: (row["revision"], row["audience"]) for row in columns}

    def verify(self) -> None:
        """Read from every column and from the full-text index. Raises RuntimeError or OSError where a file is gone or torn."""
        rows = self.count()
        if rows:
            self._table.search().limit(rows).to_arrow()
            if self._table.index_stats(_FULL_TEXT_INDEX) is not None:
                self._table.search("verify", query_type="fts", fts_columns=_SEARCHED).limit(1).to_arrow()

    # --- LanceDB --------------------------------------------------------------------------------------------------------

    def _text(self, query: str, allowed: Expr, k: int) -> list[dict[str, Any]]:
        def fetch(limit: int) -> list[dict[str, Any]]:
            search = self._table.search(query, query_type="fts", fts_columns=_SEARCHED)
            return self._rows(search, allowed, limit, "_score")

        return _best(fetch, k, key=lambda row: -row["_score"])

    def _vector(self, vector: np.ndarray, allowed: Expr, k: int) -> list[dict[str, Any]]:
        def fetch(limit: int) -> list[dict[str, Any]]:
            search = self._table.search(vector, query_type="vector", vector_column_name="vector")
            return self._rows(search.distance_type("dot").bypass_vector_index(), allowed, limit, "_distance")

        return _best(fetch, k, key=lambda row: row["_distance"])

    def _rows(self, search: Any, allowed: Expr, limit: int, score: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (
            search.where(allowed, prefilter=True).limit(limit).select([*_HELD, score]).to_arrow().to_pylist()
        )
        return rows

    def _index_text(self) -> None:
        """Build the full-text index anew: word statistics then depend on the rows alone, not on how they came in."""
        self._table.optimize(cleanup_older_than=_READING)
        if self.count():
            self._table.create_index(_SEARCHED, config=_FULL_TEXT, replace=True)

    def _batches(self, entries: Sequence[Entry]) -> Iterable[pa.RecordBatch]:
        schema = _schema(self.dimensions)
        for start in range(0, len(entries), _BATCH):
            yield pa.RecordBatch.from_pylist([_row(entry) for entry in entries[start : start + _BATCH]], schema=schema)


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
            pa.field(_SEARCHED, text, nullable=False),
            pa.field("revision", text, nullable=False),
            pa.field("audience", number, nullable=False),
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
        _SEARCHED: entry.text,
        "revision": entry.revision,
        "audience": entry.audience,
        "vector": entry.vector,
    }


def _found(row: Mapping[str, Any], ranks: Mapping[str, int]) -> Found:
    chunk = Chunk(
        id=row["id"],
        document=row["document"],
        text=row["text"],
        start=row["start"],
        end=row["end"],
        headings=tuple(row["headings"]),
        tokens=row["tokens"],
    )
    return Found(chunk, row["title"], row["revision"], row["audience"], ranks)


def _any_of(column: str, values: Iterable[str | int]) -> Expr:
    """Typed filter: the column holds one of `values`; whole numbers in a row become one range."""
    names = sorted(value for value in values if isinstance(value, str))
    numbers = sorted(value for value in values if isinstance(value, int))
    if names:
        return col(column).isin(names)
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    single = [low for low, high in runs if low == high]
    ranges = [(col(column) >= lit(low)) & (col(column) <= lit(high)) for low, high in runs if low != high]
    return reduce(or_, [*([col(column).isin(single)] if single else []), *ranges])


def _best(fetch: Any, k: int, *, key: Any) -> list[dict[str, Any]]:
    """The k best rows, equal scores by id. Fetches on while rows with the k-th score may have been left out."""
    limit = k + 16
    while True:
        rows = sorted(fetch(limit), key=lambda row: (key(row), row["id"]))
        if len(rows) < limit or key(rows[k - 1]) < key(rows[-1]):
            return rows[:k]
        limit *= 4
