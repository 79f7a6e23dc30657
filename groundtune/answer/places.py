"""Where hits stand in their documents: pages, and the section that a small chunk was cut from. Checks no caller."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from groundtune.ingest.chunk import parents
from groundtune.ingest.reading import stored_document
from groundtune.interfaces import Embedder
from groundtune.store.workspace import Workspace
from groundtune.types import Chunk, Hit

_PAGED = frozenset({"image", "pdf", "pptx"})
_KEPT = 1_000  # documents whose pages and sections are kept in memory


@dataclass(frozen=True, slots=True)
class _Map:
    pages: tuple[int, ...]
    sections: tuple[Chunk, ...]


class Places:
    """Completes hits from the stored parses of their documents, which never change under a revision."""

    def __init__(self, workspace: Workspace, *, embedder: Embedder) -> None:
        self._workspace = workspace
        self._embedder = embedder
        self._guard = threading.Lock()
        self._maps: OrderedDict[tuple[str, str], _Map] = OrderedDict()

    def given(self, hits: Iterable[Hit], rows: Mapping[str, Mapping[str, Any]], *, k: int) -> list[Hit]:
        """The first `k`, with pages. With `chunking.method = "parent"` each becomes its section, given once, at its best rank.

        `rows` are the database's rows of their documents.
        """
        sections = self._workspace.config.chunking.method == "parent"
        found: dict[str, Hit] = {}
        for hit in hits:
            if len(found) >= k:
                break
            row = rows.get(hit.chunk.document)
            if row is None:  # removed since it was found
                continue
            placed = self._placed(hit, self._map(row, sections=sections)) if sections or row["format"] in _PAGED else hit
            found.setdefault(placed.chunk.id, placed)
        return list(found.values())

    def _placed(self, hit: Hit, known: _Map) -> Hit:
        chunk = hit.chunk
        at = bisect_right(known.sections, chunk.start, key=lambda section: section.start) - 1
        if at >= 0 and chunk.end <= known.sections[at].end:
            chunk = known.sections[at]
        return replace(hit, chunk=chunk, pages=pages_within(known.pages, chunk.start, chunk.end))

    def _map(self, row: Mapping[str, Any], *, sections: bool) -> _Map:
        key = (row["id"], row["artefact"])
        with self._guard:
            if key in self._maps:
                self._maps.move_to_end(key)
                return self._maps[key]
        document = stored_document(self._workspace, row)
        settings = self._workspace.config.chunking
        cut: Sequence[Chunk] = ()
        if sections:
            count = self._embedder.count_tokens
            cut = parents(document, tokens=settings.tokens, parent_tokens=settings.parent_tokens, count_tokens=count)
        known = _Map(document.pages, tuple(cut))
        with self._guard:
            self._maps[key] = known
            while len(self._maps) > _KEPT:
                self._maps.popitem(last=False)
        return known


def pages_within(pages: Sequence[int], start: int, end: int) -> tuple[tuple[int, int], ...]:
    """(offset, number) of the page that `start` lies on and of those that begin before `end`."""
    first = bisect_right(pages, start)
    last = bisect_right(pages, end - 1)
    return tuple((pages[number - 1], number) for number in range(max(first, 1), last + 1)) if pages else ()
