"""Found chunks with the chunks around them. Knows spans; who may read was settled before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from groundtune.answer.places import pages_within
from groundtune.types import Chunk, Document, Hit


def widened(
    hits: Sequence[Hit], *, neighbours: int, documents: Mapping[str, Document], chunks: Mapping[str, Sequence[Chunk]]
) -> list[Hit]:
    """The hits with `neighbours` chunks on either side, best first.

    `documents` and `chunks` (in the order of place) are those of the hits' documents. Hits of one document whose spans then
    touch are shown as one, where the better of them stood.
    """
    shown: list[Hit] = []
    for hit in hits:
        document = documents[hit.chunk.document]
        start, end = _span(hit.chunk, chunks.get(document.id, ()), neighbours)
        touching = [
            one for one in shown if one.chunk.document == document.id and one.chunk.start <= end and start <= one.chunk.end
        ]
        for one in touching:
            start, end = min(start, one.chunk.start), max(end, one.chunk.end)
        place = shown.index(touching[0]) if touching else len(shown)
        best = touching[0] if touching else hit
        shown = [one for one in shown if one not in touching]
        chunk = _chunk(document, best.chunk, start, end)
        shown.insert(place, replace(best, chunk=chunk, pages=pages_within(document.pages, start, end)))
    return shown


def _span(chunk: Chunk, chunks: Sequence[Chunk], neighbours: int) -> tuple[int, int]:
    place = next((number for number, one in enumerate(chunks) if one.id == chunk.id), None)
    if place is None:  # it is no chunk of the index, but a section
        return chunk.start, chunk.end
    around = chunks[max(0, place - neighbours) : place + neighbours + 1]
    return min(one.start for one in around), max(one.end for one in around)


def _chunk(document: Document, found: Chunk, start: int, end: int) -> Chunk:
    """The found chunk with another span; its own where nothing changed."""
    if (start, end) == (found.start, found.end):
        return found
    return Chunk(f"{document.id}#{start}-{end}", document.id, document.text[start:end], start, end, found.headings)
