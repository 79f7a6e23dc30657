"""Tables among the words of a page: drawn ones by their lines, others by aligned columns. Knows places; knows no headings."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from groundtune.ingest.columns import Cells, banded
from groundtune.ingest.geometry import HYPHENATED, Page, Rule, Segment, Word, level, segments

_NEAR = 3.0  # points within which drawn lines count as touching
_MOST_LINES = 400  # drawn lines in one direction beyond which a drawing is no table
_LONG_CELL = 300  # letters; longer cells on average mean boxes around prose
_SHORT_CELL = 45  # letters that most cells of a table without lines keep under: columns of prose are longer
_ROWS = 3  # rows that a table without lines has at least
_APART = 2.0  # heights of a line between two rows of a table without lines, at most
_BULLET = re.compile(r"^(?:[•‣◦▪▫●○■□∙·–—*-]|\(?\w{1,3}[.)])$")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of equally many cells; the first is the head."""

    rows: tuple[tuple[str, ...], ...]

    @property
    def markdown(self) -> str:
        head, *body = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in self.rows]
        return "\n".join([head, "|" + " --- |" * len(self.rows[0]), *body])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def with_tables(page: Page) -> list[Segment | Table]:
    """The page's words as segments and tables, in reading order; no word is lost or doubled."""
    words = page.words
    owner: dict[int, Table] = {}
    free = [rule for rule in page.rules if rule.way == "across"]
    for grid in _grids(page.rules):
        held = [at for at, word in enumerate(words) if at not in owner and grid.cell(word) is not None]
        table = grid.table([words[at] for at in held])
        if table:
            owner |= dict.fromkeys(held, table)
            free = [rule for rule in free if not grid.holds(rule)]
    rest = [at for at in range(len(words)) if at not in owner]
    for chosen, cells in banded([words[at] for at in rest], _merged(free)):
        table = _from_cells(cells)
        if table:
            owner |= {rest[at]: table for at in chosen if rest[at] not in owner}
    found: list[Segment | Table] = []
    placed: set[int] = set()
    for table, run in groupby(range(len(words)), key=owner.get):
        if table is None:
            found.extend(_aligned(segments(words[at] for at in run)))
        elif id(table) not in placed:
            placed.add(id(table))
            found.append(table)
    return found


def _from_cells(rows: Cells) -> Table | None:
    """None where most cells are empty or hold prose."""
    columns = sorted({column for row in rows for column in row})
    texts = [[_joined(segments(row.get(column, ()))) for column in columns] for row in rows]
    filled = [text for row in texts for text in row if text]
    if 3 * len(filled) < len(rows) * len(columns) or sum(map(len, filled)) > _LONG_CELL * len(filled):
        return None
    return Table(tuple(tuple(row) for row in texts))


# --- drawn tables -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Grid:
    """Rows and columns between drawn lines; a line that is missing joins two cells."""

    ys: tuple[float, ...]
    xs: tuple[float, ...]
    across: tuple[Rule, ...]
    down: tuple[Rule, ...]

    def cell(self, word: Word) -> tuple[int, int] | None:
        """Row and column of the cell that holds the word's middle; of joined cells the first."""
        x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
        row, column = bisect_right(self.ys, y) - 1, bisect_right(self.xs, x) - 1
        if not (0 <= row < len(self.ys) - 1 and 0 <= column < len(self.xs) - 1):
            return None
        while column and not _crosses(self.down, self.xs[column], y):
            column -= 1
        while row and not _crosses(self.across, self.ys[row], x):
            row -= 1
        return row, column

    def holds(self, rule: Rule) -> bool:
        """Whether a horizontal line is a piece of the grid."""
        return any(
            abs(one.at - rule.at) <= 1 and one.start <= rule.start + _NEAR and rule.end <= one.end + _NEAR
            for one in self.across
        )

    def table(self, words: Sequence[Word]) -> Table | None:
        """None where the lines are boxes around prose, around tables without lines, or around next to nothing."""
        cells: dict[tuple[int, int], list[Word]] = {}
        for word in words:
            place = self.cell(word)
            if place is not None:
                cells.setdefault(place, []).append(word)
        rows, columns = sorted({row for row, _ in cells}), sorted({column for _, column in cells})
        texts = {place: _joined(segments(held)) for place, held in cells.items()}
        if len(rows) < 2 or len(columns) < 2 or sum(map(len, texts.values())) > _LONG_CELL * len(texts):
            return None
        if any(sum(len(row) > 1 for row in _rows(segments(held))) >= _ROWS for held in cells.values()):
            return None
        return Table(tuple(tuple(texts.get((row, column), "") for column in columns) for row in rows))


def _crosses(rules: Iterable[Rule], at: float, along: float) -> bool:
    return any(abs(rule.at - at) <= _NEAR and rule.start - _NEAR <= along <= rule.end + _NEAR for rule in rules)


def _grids(rules: Sequence[Rule]) -> Iterator[_Grid]:
    """Sets of drawn lines that touch each other, with at least two rows and two columns between them."""
    across = _merged([rule for rule in rules if rule.way == "across"])
    down = _merged([rule for rule in rules if rule.way == "down"])
    if max(len(across), len(down)) > _MOST_LINES:
        return
    left = [*across, *down]
    while left:
        group, fresh = [], [left.pop()]
        while fresh:
            one = fresh.pop()
            group.append(one)
            touching = [other for other in left if _touch(one, other)]
            left = [other for other in left if other not in touching]
            fresh.extend(touching)
        rows = tuple(rule for rule in group if rule.way == "across")
        columns = tuple(rule for rule in group if rule.way == "down")
        ys, xs = _places(rows), _places(columns)
        if len(ys) > 2 and len(xs) > 2:
            yield _Grid(ys, xs, rows, columns)


def _merged(rules: Iterable[Rule]) -> list[Rule]:
    """Pieces of one line as one line."""
    merged: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (round(rule.at), rule.start)):
        last = merged[-1] if merged else None
        if last and abs(last.at - rule.at) <= 1 and rule.start <= last.end + _NEAR:
            merged[-1] = Rule(last.way, last.at, last.start, max(last.end, rule.end))
        else:
            merged.append(rule)
    return merged


def _touch(a: Rule, b: Rule) -> bool:
    return a.way != b.way and a.start - _NEAR <= b.at <= a.end + _NEAR and b.start - _NEAR <= a.at <= b.end + _NEAR


def _places(rules: Iterable[Rule]) -> tuple[float, ...]:
    places: list[float] = []
    for at in sorted(rule.at for rule in rules):
        if not places or at - places[-1] > _NEAR:
            places.append(at)
    return tuple(places)


# --- tables without lines -----------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """Rows in a row whose cells stand in the same columns."""

    rows: list[list[Segment]]
    columns: list[tuple[float, float]]

    def takes(self, row: Sequence[Segment]) -> bool:
        """Add the row where it fits below; a single cell fits when it goes on with the row above it."""
        above = self.rows[-1]
        gap = min(one.y0 for one in row) - max(one.y1 for one in above)
        if not -above[0].height < gap < _APART * above[0].height:
            return False
        places = [[n for n, (x0, x1) in enumerate(self.columns) if one.x0 < x1 and one.x1 > x0] for one in row]
        known = [place[0] for place in places if len(place) == 1]
        if any(len(place) > 1 for place in places) or len(set(known)) < len(known):
            return False
        if len(row) == 1 and (known == [0] or not known or gap > 0.6 * above[0].height):
            return False
        if len(row) > 1 and not known:
            return False
        self.rows.append(list(row))
        for one, place in zip(row, places, strict=True):
            if place:
                x0, x1 = self.columns[place[0]]
                self.columns[place[0]] = (min(x0, one.x0), max(x1, one.x1))
            else:
                self.columns.append((one.x0, one.x1))
        self.columns.sort()
        return True

    def table(self) -> Table | None:
        full = [row for row in self.rows if len(row) > 1]
        cells = [len(one.text) for row in full for one in row]
        if len(full) < _ROWS or median(cells) > _SHORT_CELL:
            return None
        rows: list[list[str]] = []
        for row in self.rows:
            texts = [""] * len(self.columns)
            for one in row:
                at = next(n for n, (x0, x1) in enumerate(self.columns) if one.x0 < x1 and one.x1 > x0)
                texts[at] = f"{texts[at]} {one.text}".strip()
            if len(row) == 1 and rows:
                rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], texts, strict=True)]
            else:
                rows.append(texts)
        return Table(tuple(tuple(row) for row in rows))


def _aligned(found: Sequence[Segment]) -> list[Segment | Table]:
    """Segments with runs of rows that share columns made tables."""
    rows = _rows(found)
    placed: list[Segment | Table] = []
    at = 0
    while at < len(rows):
        run = _run(rows, at)
        table = run.table() if run else None
        if run and table:
            placed.append(table)
            at += len(run.rows)
        else:
            placed.extend(rows[at])
            at += 1
    return placed


def _rows(found: Iterable[Segment]) -> list[list[Segment]]:
    """Segments that follow each other on one line."""
    rows: list[list[Segment]] = []
    for one in found:
        if rows and level(rows[-1][-1], one):
            rows[-1].append(one)
        else:
            rows.append([one])
    return rows


def _run(rows: Sequence[list[Segment]], at: int) -> _Run | None:
    ordered = sorted(rows[at], key=lambda one: one.x0)
    if len(ordered) < 2 or _BULLET.match(ordered[0].text) or _overlap(ordered):
        return None
    run = _Run([ordered], [(one.x0, one.x1) for one in ordered])
    for row in rows[at + 1 :]:
        ordered = sorted(row, key=lambda one: one.x0)
        if _BULLET.match(ordered[0].text) or _overlap(ordered) or not run.takes(ordered):
            break
    while len(run.rows[-1]) == 1 and len(run.rows) > 1 and len(run.rows[-2]) == 1:
        run.rows.pop()
    return run


def _overlap(row: Sequence[Segment]) -> bool:
    return any(a.x1 > b.x0 for a, b in pairwise(row))


def _joined(found: Iterable[Segment]) -> str:
    return " ".join(one.text for one in found).replace(f"{HYPHENATED} ", HYPHENATED)
