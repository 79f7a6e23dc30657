"""Reading a LanceDB table of chunks. Knows queries, ranks and who is allowed; writes nothing."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import lancedb
from lancedb.expr import Expr
from lancedb.query import MatchQuery

from groundtune.index.filters import accepts
from groundtune.index.found import Found
from groundtune.index.lance_filters import any_of, condition, in_runs
from groundtune.index.plans import choose
from groundtune.types import Chunk, Filter

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_MATCH: Final[Callable[..., Any]] = MatchQuery  # its defaults are pydantic fields, which a type checker does not see

SEARCHED: Final = "search"
"""Column of the full text: title, heading path and chunk."""

APPROXIMATE_FROM: Final = 200_000
"""Rows from which on vectors are compared approximately; a caller of fewer rows is still served exactly."""

_SPAN = ("id", "revision", "document", "start", "end", "text", "headings", "tokens")
_ABOUT = ("id", "revision", "document", "title", "audience", "format", "source", "modified")
_CHUNKS = 20_000  # chunks kept in memory
_SLACK = 16  # rows fetched beyond the k-th, to see whether its score is shared
_TRIES = 50  # searches made again because a commit came in between
_PROBES = 64  # partitions of the approximate index that are looked into

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Scope:
    """What one search may look at."""

    where: Expr | None
    """What LanceDB filters."""
    accept: Callable[[Mapping[str, Any]], bool]
    """What is looked at again in each row, and all that LanceDB was not asked to filter."""
    share: float
    """Of the rows that LanceDB ranks, about how many are accepted."""
    exact: bool
    """Whether every vector is compared."""


class Reads:
    """Searches of one table, both retrievers at the same time; each search sees the newest committed version.

    LanceDB's own synchronous calls cost a change of threads for each step, about as much as the search itself.
    """

    def __init__(self, path: Path, *, table: str) -> None:
        self._table: Any = self.run(_opened(path, table))
        self._guard = threading.Lock()
        self._chunks: OrderedDict[tuple[str, str], Chunk] = OrderedDict()
        self._census: tuple[int, Mapping[int, int]] | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, _loop()).result()

    async def search(
        self, query: str, vector: np.ndarray | None, audiences: frozenset[int], filter: Filter, k: int
    ) -> list[Found]:
        """The k best rows by text and, with a vector, by vector, all of one commit; the best by text come first.

        LanceDB reads each query's newest commit, so where one came in between, the search is made again.
        """
        for _ in range(_TRIES):
            commit = await self._table.version()
            found = await self._search(query, vector, audiences, filter, k)
            if await self._table.version() == commit:
                return found
        raise RuntimeError("it is written to without a pause")

    async def _search(
        self, query: str, vector: np.ndarray | None, audiences: frozenset[int], filter: Filter, k: int
    ) -> list[Found]:
        scope = await self._scope(audiences, filter)
        if scope is None:
            return []

        def by_text() -> Any:
            words = _MATCH(query, SEARCHED)  # of a plain string, LanceDB takes quotes for a search of phrases
            return _within(self._table.query().nearest_to_text(words), scope)

        def by_vector() -> Any:
            nearest = self._table.query().nearest_to(vector).column("vector").distance_type("dot")
            return _within(nearest.bypass_vector_index() if scope.exact else nearest.nprobes(_PROBES), scope)

        ways = {"text": _best(by_text, k, scope, score="_score", sign=-1)}
        if vector is not None:
            ways["vector"] = _best(by_vector, k, scope, score="_distance", sign=1)
        ranked = dict(zip(ways, await asyncio.gather(*ways.values()), strict=True))
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        ranks: dict[tuple[str, str], dict[str, int]] = {}
        scores: dict[tuple[str, str], dict[str, float]] = {}
        for way, best in ranked.items():
            for rank, row in enumerate(best, start=1):
                key = (row["id"], row["revision"])
                rows[key] = row
                ranks.setdefault(key, {})[way] = rank
                scores.setdefault(key, {})[way] = 1 - row["_distance"] if way == "vector" else row["_score"]
        chunks = await self._spans(list(rows))
        return [
            Found(chunks[key], row["title"], row["revision"], row["audience"], ranks[key], scores[key])
            for key, row in rows.items()
            if key in chunks  # replaced between the two reads
        ]

    async def chunks(self, documents: Collection[str]) -> list[Found]:
        """Every row of these documents, in the order of document and place."""
        if not documents:
            return []
        columns = [*_SPAN, "title", "audience"]
        found = await self._table.query().where(any_of("document", documents)).select(columns).to_arrow()
        rows = sorted(found.to_pylist(), key=lambda row: (row["document"], row["start"], row["end"]))
        return [Found(_chunk(row), row["title"], row["revision"], row["audience"]) for row in rows]

    async def rows(self, documents: Collection[str]) -> pa.Table:
        """These documents' rows with every column, in no order."""
        return await self._table.query().where(any_of("document", documents)).to_arrow()

    async def _scope(self, audiences: frozenset[int], filter: Filter) -> _Scope | None:
        """None when the caller may read no row at all."""
        plan = choose(audiences, await self._counted())
        if not plan.rows:
            return None
        passes = accepts(filter)
        parts = [in_runs("audience", plan.runs)] if plan.runs is not None else []
        wanted = condition(filter)
        if wanted is not None:
            parts.append(wanted)

        def accept(row: Mapping[str, Any]) -> bool:
            about = row["document"], row["title"], row["format"], row["source"], row["modified"]
            return row["audience"] in audiences and passes(*about)

        exact = plan.rows < APPROXIMATE_FROM
        if not exact and wanted is not None:
            where = reduce(and_, parts)
            exact = await self._table.count_rows(where.to_sql()) < APPROXIMATE_FROM
        return _Scope(reduce(and_, parts) if parts else None, accept, plan.share, exact)

    async def _counted(self) -> Mapping[int, int]:
        """Audience id -> rows that carry it, of the newest commit; counted once a commit."""
        version = await self._table.version()
        with self._guard:
            if self._census is not None and self._census[0] == version:
                return self._census[1]
        column = await self._table.query().select(["audience"]).to_arrow()
        counts = {one["values"]: one["counts"] for one in column.column("audience").value_counts().to_pylist()}
        with self._guard:
            self._census = (version, counts)
        return counts

    async def _spans(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Chunk]:
        """Chunks by (id, revision), which a chunk never changes under; read from the table when they are not in memory."""
        with self._guard:
            known = {key: self._chunks[key] for key in keys if key in self._chunks}
        missing = [id for id, revision in keys if (id, revision) not in known]
        if missing:
            found = await self._table.query().where(any_of("id", missing)).select(list(_SPAN)).to_arrow()
            known |= {(row["id"], row["revision"]): _chunk(row) for row in found.to_pylist()}
        with self._guard:
            for key, chunk in known.items():
                self._chunks[key] = chunk
                self._chunks.move_to_end(key)
            while len(self._chunks) > _CHUNKS:
                self._chunks.popitem(last=False)
        return known


async def _opened(path: Path, table: str) -> Any:
    connection = await lancedb.connect_async(str(path), read_consistency_interval=timedelta(0))
    return await connection.open_table(table)


def _within(query: Any, scope: _Scope) -> Any:
    return query if scope.where is None else query.where(scope.where)


async def _best(query: Callable[[], Any], k: int, scope: _Scope, *, score: str, sign: int) -> list[dict[str, Any]]:
    """The k best accepted rows, equal scores by id. Reads on while rows with the k-th score may have been left out."""
    limit = math.ceil((k + _SLACK) / scope.share)
    while True:
        answer = await query().limit(limit).select([*_ABOUT, score]).to_arrow()
        ranked: list[dict[str, Any]] = sorted(answer.to_pylist(), key=lambda row: (sign * row[score], row["id"]))
        rows = [row for row in ranked if scope.accept(row)]
        if len(ranked) < limit or (len(rows) >= k and rows[k - 1][score] != ranked[-1][score]):
            return rows[:k]
        limit *= 4


def _chunk(row: Mapping[str, Any]) -> Chunk:
    return Chunk(
        id=row["id"],
        document=row["document"],
        text=row["text"],
        start=row["start"],
        end=row["end"],
        headings=tuple(row["headings"]),
        tokens=row["tokens"],
    )


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The one event loop of all readers, in a thread that ends with the process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="groundtune-index", daemon=True).start()
    return loop
