"""Pages of words to Markdown: headings, lists, paragraphs. Knows places, sizes and tables; knows no file format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from groundtune.ingest.converted import join_pages
from groundtune.ingest.geometry import HYPHENATED, Page, Segment, level
from groundtune.ingest.tables import Table, with_tables

_LARGER = 1.12  # times the size of running text: a heading
_LONG_HEADING = 200  # characters of a heading in larger letters, at most
_BOLD_HEADING = 90  # and of one in bold letters of the text's size
_BULLET = re.compile(r"^[•‣◦▪▫●○■□∙·\uf0b7\uf0a7\uf0d8–*-](?:\s+|$)")
_NUMBER = re.compile(r"^\(?(?:\d{1,3}|[a-z])[.)]\s+\S")
_FIRST = re.compile(r"^\(?[1a][.)]\s")
_MARK = re.compile(r"^(?:#{1,6}\s|>|\||`{3}|~{3})")
_PAGE_NUMBER = re.compile(r"^(?:page|seite)?\W*#\W*(?:(?:of|/|von)\W*#)?\W*$", re.I)
_PAGES = 4  # of a document in which running heads are looked for
_ITEMS = 1.2  # heights of a line between two items of one list, at most
_COLUMN = 40  # points within which lines count as beginning at one place
_EDGE = 0.09  # of the page's height, above and below, where they stand


def markdown(pages: Sequence[Page], *, outline: Mapping[str, int]) -> tuple[str, tuple[int, ...]]:
    """The pages as Markdown, and the offset at which each begins.

    `outline`: bookmark in lower case -> level; it beats what sizes say. Text that is repeated at the edge of most pages is kept
    where it stands first; page numbers are dropped. No other word is lost.
    """
    laid = _without_running_heads(pages, [with_tables(page) for page in pages])
    lines = [_lines(page) for page in laid]
    levels = _Levels([line for page in lines for line in page if isinstance(line, Line)], outline)
    hyphens = _Hyphens(pages)
    return join_pages([hyphens.settled(_page(page, levels)) for page in lines])


@dataclass(frozen=True, slots=True)
class Line:
    """One line of running text."""

    whole: Segment

    @property
    def text(self) -> str:
        return self.whole.text


def _lines(found: Iterable[Segment | Table]) -> list[Line | Table]:
    lines: list[Line | Table] = []
    for one in found:
        last = lines[-1] if lines else None
        if isinstance(one, Table):
            lines.append(one)
        elif isinstance(last, Line) and level(last.whole, one) and last.whole.words[-1].block == one.words[0].block:
            lines[-1] = Line(Segment((*last.whole.words, *one.words)))
        else:
            lines.append(Line(one))
    return lines


def _without_running_heads(pages: Sequence[Page], laid: Sequence[list[Segment | Table]]) -> list[list[Segment | Table]]:
    def at_edge(page: Page, one: Segment | Table) -> str:
        if isinstance(one, Table) or _EDGE * page.height < (one.y0 + one.y1) / 2 < (1 - _EDGE) * page.height:
            return ""
        return re.sub(r"\d+", "#", one.text)

    counts = Counter(text for page, found in zip(pages, laid, strict=True) for text in {at_edge(page, one) for one in found})
    often = {text for text, count in counts.items() if text and 2 * count > len(pages) > 1}
    seen = {text for text in often if _PAGE_NUMBER.match(text)}
    running = often if len(pages) >= _PAGES else seen
    kept = []
    for page, found in zip(pages, laid, strict=True):
        texts = [at_edge(page, one) for one in found]
        kept.append([one for one, text in zip(found, texts, strict=True) if text not in seen])
        seen |= running & set(texts)
    return kept


class _Hyphens:
    """Whether a word that was parted at the end of a line keeps its hyphen: as the document writes it elsewhere."""

    _PARTED = re.compile(rf"(\w*){HYPHENATED}(\w*)")

    def __init__(self, pages: Sequence[Page]) -> None:
        self._known = {word.text.strip(".,;:!?()\"'").casefold() for page in pages for word in page.words}

    def settled(self, text: str) -> str:
        def one(match: re.Match[str]) -> str:
            before, after = match.groups()
            whole, parted = before + after, f"{before}-{after}"
            if whole.casefold() in self._known or (after[:1].islower() and parted.casefold() not in self._known):
                return whole
            return parted

        return self._PARTED.sub(one, text)


class _Levels:
    """Which lines are headings, and of which level: by bookmark, by size, or bold and alone."""

    def __init__(self, lines: Sequence[Line], outline: Mapping[str, int]) -> None:
        letters: Counter[float] = Counter()
        bold = 0
        for line in lines:
            letters[line.whole.size] += len(line.text)
            bold += len(line.text) * line.whole.bold
        self.body = max(letters, key=lambda size: (letters[size], size), default=0.0)
        self.bold_stands_out = 2 * bold < letters.total()
        self.sizes: list[float] = []
        for size in sorted((size for size in letters if self.body and size > _LARGER * self.body), reverse=True):
            if not self.sizes or size < 0.96 * self.sizes[-1]:
                self.sizes.append(size)
        self.outline = outline

    def of(self, line: Line, above: Line | None, below: Line | None) -> int:
        """1-6, or 0 for running text."""
        text, whole = line.text, line.whole
        if not any(letter.isalpha() for letter in text) or _BULLET.match(text):
            return 0
        known = self.outline.get(text.casefold())
        if known:
            return min(known, 6)
        if self.body and whole.size > _LARGER * self.body and len(text) <= _LONG_HEADING:
            return min(6, next((n for n, size in enumerate(self.sizes, start=1) if whole.size >= 0.96 * size), 1))
        alone = above is None or whole.y0 < above.whole.y0 or whole.y0 - above.whole.y1 > 0.3 * whole.height
        if (
            self.bold_stands_out
            and whole.bold
            and len(text) <= _BOLD_HEADING
            and whole.size >= 0.95 * self.body
            and text[-1] not in ".,;:"
            and not text[0].islower()
            and alone
            and (below is None or not below.whole.bold)
        ):
            return min(6, len(self.sizes) + 1)
        return 0


def _page(lines: Sequence[Line | Table], levels: _Levels) -> str:
    """Blocks with a blank line between them."""
    blocks: list[str] = []
    kind, last = "", None
    margin = 0.0
    edges = _right_edges([line for line in lines if isinstance(line, Line)])
    for at, one in enumerate(lines):
        if isinstance(one, Table):
            blocks.append(one.markdown)
            kind, last = "table", None
            continue
        below = lines[at + 1] if at + 1 < len(lines) else None
        depth = levels.of(one, last, below if isinstance(below, Line) else None)
        near = last is not None and _goes_on(last, one)
        bullet = _BULLET.match(one.text)
        if depth:
            mark = "#" * depth + " "
            joins = kind == mark and near and last is not None and last.whole.size == one.whole.size
            blocks[-1:] = [_joined(blocks[-1], one.text)] if joins else [*blocks[-1:], mark + one.text]
            kind = mark
        elif bullet or (_NUMBER.match(one.text) and (not near or kind == "list" or _FIRST.match(one.text))):
            nested = kind == "list" and one.whole.x0 > margin + one.whole.height
            margin = margin if nested else one.whole.x0
            item = ("  " if nested else "") + ("- " + one.text[bullet.end() :] if bullet else one.text)
            goes_on = kind == "list" and last is not None and one.whole.y0 - last.whole.y1 < _ITEMS * one.whole.height
            blocks[-1:] = [f"{blocks[-1]}\n{item}"] if goes_on else [*blocks[-1:], item]
            kind = "list"
        elif near and (kind == "text" or (kind == "list" and one.whole.x0 > margin + 1)):
            blocks[-1] = _joined(blocks[-1], one.text, broken=last is not None and _ends_early(last, one, edges))
        else:
            blocks.append("\\" + one.text if _MARK.match(one.text) else one.text)
            kind = "text"
        last = one
    return "\n\n".join(blocks)


def _goes_on(before: Line, line: Line) -> bool:
    """Whether a line belongs to the paragraph of the one before it."""
    a, b = before.whole, line.whole
    if a.words[-1].block != b.words[0].block or abs(a.size - b.size) > 0.08 * max(a.size, b.size):
        return False
    if b.y0 < a.y0:  # the next column
        return line.text[0].islower()
    indented = b.x0 > a.x0 + a.height and before.text[-1] in ".!?:"
    return b.y0 - a.y1 < 0.65 * max(a.height, b.height) and not indented


def _right_edges(lines: Sequence[Line]) -> dict[int, float]:
    """Where lines that begin at about the same place end when they are full."""
    ends: dict[int, list[float]] = {}
    for line in lines:
        ends.setdefault(round(line.whole.x0 / _COLUMN), []).append(line.whole.x1)
    return {column: sorted(found)[(4 * len(found)) // 5] for column, found in ends.items()}


def _ends_early(before: Line, line: Line, edges: Mapping[int, float]) -> bool:
    """Whether the next line's first word would have fitted, so that the line was broken on purpose."""
    word = line.whole.words[0]
    return before.whole.x1 + (word.x1 - word.x0) + before.whole.height < edges[round(before.whole.x0 / _COLUMN)]


def _joined(text: str, more: str, *, broken: bool = False) -> str:
    if text.endswith(HYPHENATED):
        return text + more
    return f"{text}\n{more}" if broken and not _MARK.match(more) else f"{text} {more}"
