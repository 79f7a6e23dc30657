"""Tables between horizontal lines alone: columns by white space, rows by the order in which their cells were written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from groundtune.ingest.geometry import Rule, Word, level

_SAME = 4.0  # points by which lines of one table may differ at their ends
_WHITE = 0.45  # of a letter's height: the least white space between two columns
_NARROW, _MANY, _BEHIND = 0.3, 8, 4.0  # less is enough where so many lines leave it free; heights of a letter behind it
_NEXT = 1.0  # heights of a letter between two lines of a table that goes on below its last line, at most
_MOST_WORDS = 3_000

Cells = list[dict[int, list[Word]]]
"""Rows; column -> words in order."""


def banded(words: Sequence[Word], rules: Sequence[Rule]) -> Iterator[tuple[list[int], Cells]]:
    """Positions of the words of each table, and its cells; `rules` are horizontal lines that no vertical one touches.

    A table that began on the page before ends at the first line; one that goes on has a head and no last line.
    """
    for lines in _groups(rules):
        above = _beyond(words, lines[0], down=False)
        from_top = len(above) == sum((word.y0 + word.y1) / 2 < lines[0].at for word in words)
        found = _rows([words[at] for at in above], (), headed=False) if from_top else None
        if found:
            yield above, found
        for some in _tabular(words, lines):
            held = _between(words, some[0], some[-1])
            below = _beyond(words, some[-1], down=True, head=held) if len(some) == 2 and some[-1] is lines[-1] else []
            chosen = sorted([*held, *below])
            found = _rows([words[at] for at in chosen], some, headed=len(some) > 2 or bool(below))
            if found:
                yield chosen, found


@dataclass(frozen=True, slots=True)
class _Columns:
    """White stripes that part columns."""

    cuts: tuple[float, ...]

    @classmethod
    def of(cls, words: Sequence[Word]) -> _Columns:
        """Narrow stripes count where many lines leave them free and several have words right behind them."""
        if not words:
            return cls(())
        height = median(word.y1 - word.y0 for word in words)
        lines = {id(word): round((word.y0 + word.y1) / height) for word in words}
        many = len(set(lines.values())) >= _MANY
        cuts = []
        reached = min(word.x0 for word in words)
        for word in sorted(words, key=lambda word: word.x0):
            white = word.x0 - reached
            behind = {lines[id(one)] for one in words if 0 <= one.x0 - word.x0 < _BEHIND * height} if many else ()
            if white > _WHITE * height or (white > _NARROW * height and len(behind) >= _MANY // 2):
                cuts.append((reached + word.x0) / 2)
            reached = max(reached, word.x1)
        return cls(tuple(cuts))

    def number(self, word: Word) -> int:
        return bisect_right(self.cuts, (word.x0 + word.x1) / 2)


def _groups(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    """Lines of the same length above each other, at least two."""
    left = sorted((rule for rule in rules if rule.way == "across"), key=lambda rule: rule.at)
    while left:
        first = left[0]
        group = [one for one in left if abs(one.start - first.start) < _SAME and abs(one.end - first.end) < _SAME]
        left = [one for one in left if one not in group]
        if len(group) > 1:
            yield group


def _tabular(words: Sequence[Word], lines: Sequence[Rule]) -> Iterator[list[Rule]]:
    """Runs of lines between which all text stands in columns: what stands between two tables does not."""
    run: list[Rule] = []
    for line in lines:
        if run:
            inside = [words[at] for at in _between(words, run[-1], line)]
            level_with = sum(run[-1].at < (word.y0 + word.y1) / 2 < line.at for word in words)
            if not 0 < len(inside) == level_with < _MOST_WORDS or not _Columns.of(inside).cuts:
                if len(run) > 1:
                    yield run
                run = []
        run.append(line)
    if len(run) > 1:
        yield run


def _between(words: Sequence[Word], first: Rule, last: Rule) -> list[int]:
    return [at for at, word in enumerate(words) if _beside(word, first) and first.at < (word.y0 + word.y1) / 2 < last.at]


def _beside(word: Word, line: Rule) -> bool:
    return line.start - _SAME < (word.x0 + word.x1) / 2 < line.end + _SAME


def _beyond(words: Sequence[Word], line: Rule, *, down: bool, head: Sequence[int] = ()) -> list[int]:
    """Words that go on below a line, or stand close above it: line by line, without a wider space between.

    They leave as many columns as `head` has, where it is given.
    """
    known = [words[at] for at in head]
    columns = len(_Columns.of(known).cuts)
    side = [at for at, word in enumerate(words) if _beside(word, line) and ((word.y0 + word.y1) / 2 > line.at) == down]
    side.sort(key=lambda at: words[at].y0 if down else -words[at].y1)
    taken: list[int] = []
    edge = line.at
    while side:
        first = words[side[0]]
        row = [at for at in side if level(first, words[at])]
        if len(row) < sum(level(first, word) for word in words):  # it reaches beyond the line's ends
            break
        apart = (first.y0 - edge if down else edge - first.y1) > _NEXT * (first.y1 - first.y0)
        wider = [*known, *(words[at] for at in row)]
        if apart or (head and len(_Columns.of(wider).cuts) < columns):
            break
        known = wider
        taken += row
        edge = max(words[at].y1 for at in row) if down else min(words[at].y0 for at in row)
        side = [at for at in side if at not in row]
    return sorted(taken)


def _rows(words: Sequence[Word], lines: Sequence[Rule], *, headed: bool) -> Cells | None:
    """A cell is written before the one to its right, so a word further left begins a row; the head is one row.

    Where almost every row has lines of its own, these alone part the rows.
    """
    columns = _Columns.of(words)
    if not columns.cuts or len(words) > _MOST_WORDS:
        return None
    heights = [word.y1 - word.y0 for word in words]
    spaces = [b.at - a.at for a, b in pairwise(lines)]
    lined = len(lines) > 3 and median(spaces) < 3.5 * median(heights)
    rows: Cells = []
    band_before, column_before = -1, -1
    for word in words:
        band, column = bisect_right([line.at for line in lines], (word.y0 + word.y1) / 2), columns.number(word)
        one_row = lined or (headed and band == 1)
        if band != band_before or (column < column_before and not one_row):
            rows.append({})
        rows[-1].setdefault(column, []).append(word)
        band_before, column_before = band, column
    filled = sum(len(row) for row in rows)
    return rows if len(rows) > 1 and filled > len(rows) else None
