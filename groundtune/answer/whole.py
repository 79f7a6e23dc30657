"""Which documents are shown whole. Knows a retriever and token counts; no prompt and no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from groundtune.answer.places import pages_within
from groundtune.errors import NotFound
from groundtune.interfaces import Retriever
from groundtune.types import Caller, Chunk, Document, Hit, Query, WholeDocuments

_AROUND = 12
"""Tokens of number, title and blank lines around a document in the prompt, about."""


class Shelf(Retriever, Protocol):
    """A retriever that can list what a caller may read."""

    def readable_documents(self, *, caller: Caller) -> list[str]: ...


def whole_documents(
    question: str | Query,
    context: WholeDocuments,
    *,
    shelf: Shelf,
    caller: Caller,
    count_tokens: Callable[[str], int],
    room: int,
) -> list[Hit]:
    """The documents to show, each as one hit that spans it; `room` are the tokens left in the model's window.

    Each document is read as the caller at this moment, so one that was revoked meanwhile is not shown. A document that does
    not fit is passed over, never cut. Empty when nothing is readable or nothing fits.
    """
    limit = room if context.max_tokens is None else min(room, context.max_tokens)
    if context.documents == "all":
        everything = _fitting(_documents(shelf.readable_documents(caller=caller), shelf, caller), count_tokens, limit)
        if everything is not None:
            return everything
    found = shelf.search(question, caller=caller, k=context.k)
    best = dict.fromkeys(hit.chunk.document for hit in found)
    shown: list[Hit] = []
    for document in _documents(list(best), shelf, caller):
        needed = _tokens(document, count_tokens)
        if needed <= limit:
            shown.append(as_hit(document))
            limit -= needed
    return shown


def as_hit(document: Document) -> Hit:
    """A whole document in the shape of a hit."""
    end = len(document.text)
    chunk = Chunk(f"{document.id}#0-{end}", document.id, document.text, 0, end)
    return Hit(chunk, document.title, score=1.0, pages=pages_within(document.pages, 0, end))


def _documents(names: Sequence[str], shelf: Shelf, caller: Caller) -> Iterator[Document]:
    for name in names:
        with suppress(NotFound):  # removed or revoked since it was listed
            yield shelf.document(name, caller=caller)


def _fitting(documents: Iterator[Document], count_tokens: Callable[[str], int], limit: int) -> list[Hit] | None:
    """All of them, or None as soon as they do not fit together."""
    shown: list[Hit] = []
    for document in documents:
        limit -= _tokens(document, count_tokens)
        if limit < 0:
            return None
        shown.append(as_hit(document))
    return shown


def _tokens(document: Document, count_tokens: Callable[[str], int]) -> int:
    return count_tokens(f"{document.title}\n{document.text}") + _AROUND
