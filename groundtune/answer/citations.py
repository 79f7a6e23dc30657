"""Which spans support an answer. Works on the text of hits alone: it knows no index, no model and no access rules.

A citation is never believed because a model wrote it: a marker such as `[2]` only nominates a source, and a source is cited
only where its text holds the answer, either word for word or with nearly all of its content words in one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from groundtune.interfaces import Pieces
from groundtune.types import Citation, Generation, Hit

_MARKER = re.compile(r"\s*\[(\d{1,2})\]")
_OPEN = re.compile(r"\s*(?:\[\d{0,2})?\Z")
_WORD = re.compile(r"\w+", re.UNICODE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[])|\n+")

SUPPORT = 0.8
"""Share of an answer's content words that one sentence must hold to count as its support when the wording differs."""

_FUNCTION_WORDS = frozenset(
    """a an and are as at be been but by can do does for from had has have he her his how i if in is it its may must no not of
    on or our she should so than that the their them then there these they this those to was we were what when where which who
    why will with would you your""".split()  # noqa: SIM905
)


def content_words(text: str) -> frozenset[str]:
    """Lower-cased words without English function words; all the words where nothing else is left."""
    words = frozenset(word.lower() for word in _WORD.findall(text))
    return (words - _FUNCTION_WORDS) or words


def split_markers(answer: str) -> tuple[str, tuple[int, ...]]:
    """The answer without its `[n]` markers, and the distinct n in order."""
    numbers = tuple(dict.fromkeys(int(match) for match in _MARKER.findall(answer)))
    return _MARKER.sub("", answer).strip(), numbers


def unmarked(pieces: Pieces) -> Pieces:
    """The pieces without markers; what may yet become one is held back until it is clear."""
    held = ""
    while True:
        try:
            held += next(pieces)
        except StopIteration as end:
            rest = _MARKER.sub("", held)
            if rest:
                yield rest
            generation: Generation = end.value
            return generation
        held = _MARKER.sub("", held)
        open_end = _OPEN.search(held)
        ready = held[: open_end.start()] if open_end else held
        held = held[len(ready) :]
        if ready:
            yield ready


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Spans (start, end) of the sentences and lines of `text`, without blank space at their ends."""
    start = 0
    for end in [match.start() for match in _SENTENCE_END.finditer(text)] + [len(text)]:
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            first = start + piece.index(stripped)
            yield first, first + len(stripped)
        start = end


def cite(answer: str, hits: Sequence[Hit], *, nominated: Sequence[int] = (), limit: int = 2) -> tuple[Citation, ...]:
    """The spans of `hits` that support `answer`, at most `limit`, the best first; empty when nothing supports it.

    `nominated` are 1-based numbers of hits that the model named: they are looked at first, and dropped when they do not hold.
    """
    wanted = content_words(answer)
    if not wanted:
        return ()
    order = [n for n in nominated if 1 <= n <= len(hits)]
    order += [n for n in range(1, len(hits) + 1) if n not in order]
    found: list[tuple[float, int, Citation]] = []
    for place, number in enumerate(order):
        best = _best_span(answer, wanted, hits[number - 1])
        if best is not None:
            strength, start, end = best
            found.append((-strength, place, _citation(number, hits[number - 1], start, end)))
    return tuple(citation for _, _, citation in sorted(found, key=lambda entry: entry[:2])[:limit])


def _best_span(answer: str, wanted: frozenset[str], hit: Hit) -> tuple[float, int, int] | None:
    """(strength, start, end) within the chunk: 2 for the very words, else the share of content words, at least SUPPORT."""
    text = hit.chunk.text
    words = [re.escape(word) for word in answer.rstrip(". ").split()]
    verbatim = re.compile(r"(?<!\w)" + r"\s+".join(words) + r"(?!\w)", re.IGNORECASE) if words else None
    best: tuple[float, int, int] | None = None
    for start, end in sentences(text):
        sentence = text[start:end]
        if verbatim is not None and verbatim.search(sentence):
            return 2.0, start, end
        share = len(wanted & content_words(sentence)) / len(wanted)
        if share >= SUPPORT and (best is None or share > best[0]):
            best = (share, start, end)
    return best


def _citation(number: int, hit: Hit, start: int, end: int) -> Citation:
    chunk = hit.chunk
    return Citation(
        number=number,
        document=chunk.document,
        title=hit.title,
        start=chunk.start + start,
        end=chunk.start + end,
        quote=chunk.text[start:end],
        page=next((page for offset, page in reversed(hit.pages) if offset <= chunk.start + start), None),
    )
