"""Reading a LanceDB table of chunks. Knows queries, ranks and filters; writes nothing."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import lancedb
from lancedb.expr import Expr, col, lit

from groundtune.types import Chunk

if TYPE_CHECKING:
    import numpy as np

SEARCHED: Final = "search"
"""Column of the full text: title, heading path and chunk."""

_SPAN = ("id", "revision", "document", "start", "end", "text", "headings", "tokens")
_CHUNKS = 20_000  # chunks kept in memory
_SLACK = 16  # rows fetched beyond the k-th, to see whether its score is shared

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A row with its 1-based rank in each retriever that found it: `text` (BM25) and `vector` (cosine)."""

    chunk: Chunk
    title: str
    revision: str
    audience: int
    ranks: Mapping[str, int]


class Reads:
    """Searches of one table, both retrievers at the same time; each search sees the newest committed version.

    LanceDB's own synchronous calls cost a change of threads for each step, about as much as the search itself.
    """

    def __init__(self, path: Path, *, table: str) -> None:
        self._table: Any = self.run(_opened(path, table))
        self._guard = threading.Lock()
        self._chunks: OrderedDict[tuple[str, str], Chunk] = OrderedDict()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, _loop()).result()

    async def search(self, query: str, vector: np.ndarray | None, audiences: frozenset[int], k: int) -> list[Found]:
        """The k best rows by text and, with a vector, by vector; the best by text come first."""
        allowed = any_of("audience", audiences)

        def by_text() -> Any:
            return self._table.query().nearest_to_text(query, columns=SEARCHED).where(allowed)

        def by_vector() -> Any:
            nearest = self._table.query().nearest_to(vector).column("vector").distance_type("dot")
            return nearest.bypass_vector_index().where(allowed)

        ways = {"text": _best(by_text, k, score="_score", sign=-1)}
        if vector is not None:
            ways["vector"] = _best(by_vector, k, score="_distance", sign=1)
        ranked = dict(zip(ways, await asyncio.gather(*ways.values()), strict=True))
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        ranks: dict[tuple[str, str], dict[str, int]] = {}
        for way, best in ranked.items():
            for rank, row in enumerate(best, start=1):
                key = (row["id"], row["revision"])
                rows[key] = row
                ranks.setdefault(key, {})[way] = rank
        chunks = await self._spans(list(rows))
        return [
            Found(chunks[key], row["title"], row["revision"], row["audience"], ranks[key])
            for key, row in rows.items()
            if key in chunks  # replaced between the two reads
        ]

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


async def _best(query: Callable[[], Any], k: int, *, score: str, sign: int) -> list[dict[str, Any]]:
    """The k best rows, equal scores by id. Reads on while rows with the k-th score may have been left out."""
    limit = k + _SLACK
    while True:
        answer = await query().limit(limit).select(["id", "revision", "title", "audience", score]).to_arrow()
        rows: list[dict[str, Any]] = sorted(answer.to_pylist(), key=lambda row: (sign * row[score], row["id"]))
        if len(rows) < limit or rows[k - 1][score] != rows[-1][score]:
            return rows[:k]
        limit *= 4


def any_of(column: str, values: Iterable[str | int]) -> Expr:
    """Typed filter: the column holds one of `values`; whole numbers that follow each other become one range."""
    names = sorted(value for value in values if isinstance(value, str))
    if names:
        return col(column).isin(names)
    runs: list[list[int]] = []
    for number in sorted(value for value in values if isinstance(value, int)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    single = [low for low, high in runs if low == high]
    ranges = [(col(column) >= lit(low)) & (col(column) <= lit(high)) for low, high in runs if low != high]
    return reduce(or_, [*([col(column).isin(single)] if single else []), *ranges])


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
