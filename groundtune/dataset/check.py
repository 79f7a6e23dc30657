"""Evidence against documents: where a quote stands, in which section, and who may see an item. Knows text and audiences."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

from groundtune.access.audience import conjoin
from groundtune.dataset.read import Problem
from groundtune.types import Audience, Evidence, Example

Span = tuple[int, int]

_LINK_TARGET = re.compile(r"\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)")
_MARKUP = re.compile(r"</?[a-zA-Z][\w-]*(?:\s[^<>]*)?/?>|&(?:[a-zA-Z]+|#\d+);")
_SEAMS = tuple(re.compile(r"\.{3}|\[?…\]?|[\r\n]+|\s+[-–—|]\s+|(?<=" + marks + r")\s+") for marks in ("[.:;!?|]", "[.:;!?|,]"))
_SHORT_PIECE = 12
"""Letters below which a piece of a stitched quote counts only near a longer one: single words stand everywhere."""
_NEAR = 1000
"""Characters between a short piece and a longer one."""
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_WRITES_WITHOUT_SPACES = 0x2E80
"""From this code point on (CJK) a word may begin after any character."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The same items with their evidence located where that was possible, and a problem for each quote that was not."""

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]


def check_evidence(
    examples: Sequence[Example], document_text: Callable[[str], str | None], *, documents: Collection[str] = ()
) -> Checked:
    """Fill `spans` and `sections` of every evidence whose quote stands in its document; no item is dropped.

    `document_text` returns a document's Markdown, or None for one that does not exist; `documents` lists the ids that exist
    and serves to name the nearest one.
    """
    checked: list[Example] = []
    problems: list[Problem] = []
    for example in examples:
        located = []
        for evidence in example.evidence:
            text = document_text(evidence.document)
            spans = locate(evidence.quote, text) if text is not None else None
            if text is not None and spans:
                sections = section_starts(text)
                paths = tuple(dict.fromkeys(_section_at(sections, start) for start, _ in spans))
                located.append(replace(evidence, spans=spans, sections=paths))
                continue
            located.append(replace(evidence, spans=(), sections=()))
            problems.append(_problem(example, evidence, absent=text is None, documents=documents))
        checked.append(replace(example, evidence=tuple(located)))
    return Checked(tuple(checked), tuple(problems))


def audience_of_example(example: Example, audience_of_document: Callable[[str], Audience]) -> Audience:
    """Who may see an item with its answer: those who may read every evidence document; without evidence only its askers.

    An item that names neither evidence nor principals is for nobody: nothing says who may see it.
    """
    if example.evidence:
        return conjoin([audience_of_document(document) for document in sorted({one.document for one in example.evidence})])
    return Audience(frozenset(frozenset({principal}) for principal in example.principals))


def asked_by(example: Example, principals: Sequence[str]) -> Example:
    """The same item, asked by these where it names nobody."""
    return example if example.principals else replace(example, principals=tuple(principals))


def locate(quote: str, text: str) -> tuple[Span, ...] | None:
    """Where a quote stands in a text: [start, end) spans in characters of `text`, or None when it does not.

    Tried in this order: verbatim; the letters and digits alone (so that case, white space, punctuation, Markdown marks, tags
    and compatibility forms such as ligatures do not count); the same without link targets; the quote cut at line breaks,
    ellipses, table bars, dashes and sentence ends, then also at commas, where every piece must be found so. Matches begin and
    end at word boundaries; only where nothing else is found may a verbatim one cut a word. Of several places the first is
    taken, for a later piece the first after the piece before it, if there is one.
    """
    quote = quote.strip()
    start = text.find(quote) if quote else -1
    if start >= 0 and not (_inside_word(text, start) or _inside_word(text, start + len(quote))):
        return ((start, start + len(quote)),)
    for links in (True, False):
        whole = _find(_letters(quote, links=links).text, text, links=links, after=0)
        if whole:
            return (whole,)
    for seam in _SEAMS:
        stitched = _locate_pieces([_letters(piece, links=False).text for piece in seam.split(quote)], text)
        if stitched:
            return stitched
    return ((start, start + len(quote)),) if start >= 0 else None


def _locate_pieces(pieces: Sequence[str], text: str) -> tuple[Span, ...] | None:
    spans: list[Span] = []
    for piece in pieces:
        if len(piece) >= _SHORT_PIECE:
            after = spans[-1][1] if spans else 0
            span = _find(piece, text, links=False, after=after) or _find(piece, text, links=False, after=0)
            if span is None:
                return None
            spans.append(span)
    near = tuple(spans)
    for piece in pieces:
        if 0 < len(piece) < _SHORT_PIECE:
            places = (_find(piece, text, links=False, after=max(0, start - _NEAR)) for start, _ in near)
            span = next((one for one, (_, end) in zip(places, near, strict=True) if one and one[0] <= end + _NEAR), None)
            if span is None:
                return None
            spans.append(span)
    return tuple(sorted(set(spans))) or None


@dataclass(frozen=True, slots=True)
class _Letters:
    """A text's letters and digits in comparable form, with the offset in the text that each came from."""

    text: str
    offsets: tuple[int, ...]


@lru_cache(maxsize=256)
def _letters(text: str, *, links: bool) -> _Letters:
    patterns = (_MARKUP,) if links else (_MARKUP, _LINK_TARGET)
    dropped = sorted(match.span() for pattern in patterns for match in pattern.finditer(text))
    letters: list[str] = []
    offsets: list[int] = []
    position = 0
    for start, end in [*dropped, (len(text), len(text))]:
        for offset in range(position, max(start, position)):
            for letter in unicodedata.normalize("NFKC", text[offset]).casefold():
                if letter.isalnum():
                    letters.append(letter)
                    offsets.append(offset)
        position = max(position, end)
    return _Letters("".join(letters), tuple(offsets))


def _find(wanted: str, text: str, *, links: bool, after: int) -> Span | None:
    letters = _letters(text, links=links)
    at = letters.text.find(wanted, bisect_right(letters.offsets, after - 1)) if wanted else -1
    while at >= 0:
        start, end = letters.offsets[at], letters.offsets[at + len(wanted) - 1] + 1
        if not (_inside_word(text, start) or _inside_word(text, end)):
            return start, end
        at = letters.text.find(wanted, at + 1)
    return None


def _inside_word(text: str, offset: int) -> bool:
    if not 0 < offset < len(text):
        return False
    pair = text[offset - 1], text[offset]
    return all(character.isalnum() and ord(character) < _WRITES_WITHOUT_SPACES for character in pair)


@lru_cache(maxsize=256)
def section_starts(text: str) -> tuple[tuple[int, str], ...]:
    """(offset, heading path) of every section of a Markdown text, in order; the part before any heading has the path "".

    ATX headings outside fenced code; a path joins the headings above with " > ", outermost first. Sections of one path count
    as one section.
    """
    starts: list[tuple[int, str]] = [(0, "")]
    above: list[tuple[int, str]] = []
    fence = ""
    offset = 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        mark = _FENCE.match(bare)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not bare[mark.end() :].strip():
            fence = ""
        elif not fence and (heading := _HEADING.match(bare)):
            level = len(heading[1])
            above = [(one, title) for one, title in above if one < level] + [(level, heading[2].strip())]
            starts.append((offset, " > ".join(title for _, title in above)))
        offset += len(line)
    return tuple(starts)


def _section_at(sections: Sequence[tuple[int, str]], offset: int) -> str:
    return sections[bisect_right(sections, offset, key=lambda section: section[0]) - 1][1]


def _problem(example: Example, evidence: Evidence, *, absent: bool, documents: Collection[str]) -> Problem:
    file, _, line = example.origin.rpartition(":")
    if absent:
        near = get_close_matches(evidence.document, documents, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Name a document by its path below the documents folder."
        what = f"evidence names the document {evidence.document!r}, which does not exist. {hint}"
    else:
        quote = evidence.quote if len(evidence.quote) <= 60 else evidence.quote[:57] + "..."
        what = f"the quote {quote!r} does not stand in {evidence.document!r}. Quote its words as they are written there."
    return Problem(file or example.origin, int(line) if line.isdigit() else 0, example.id, what)
