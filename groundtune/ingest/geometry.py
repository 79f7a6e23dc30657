"""Words, drawn lines and pages by their places, in points with y downwards. Knows no file format and no Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

HYPHENATED: Final = "\xad"
"""Ends a word that goes on in the next line."""

_TOUCHING = 1.0  # points by which two lines may reach into each other
_PARAGRAPHS = 2.0  # heights of a line between two lines that were written one after the other, at most
_MOST_MOVED = 20  # heads on a page: where more would move, it is a drawing
_WIDE = 0.85  # a gap of so many times the letters' height parts segments


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float = 0.0
    """Of the font in points; 0 where it is not known, as in a picture."""
    bold: bool = False
    turned: bool = False
    """It runs another way than most of the page's letters."""
    block: int = 0
    """Words of different blocks never share a paragraph; 0 where nobody says."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A drawn line: `across` at height `at`, or `down` at distance `at` from the left."""

    way: Literal["across", "down"]
    at: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Page:
    """Words in reading order."""

    width: float = 0.0
    height: float = 0.0
    words: tuple[Word, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """Words of one line with no more than spaces between them."""

    words: tuple[Word, ...]
    text: str = field(init=False)
    x0: float = field(init=False)
    y0: float = field(init=False)
    x1: float = field(init=False)
    y1: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", " ".join(word.text for word in self.words))
        object.__setattr__(self, "x0", min(word.x0 for word in self.words))
        object.__setattr__(self, "y0", min(word.y0 for word in self.words))
        object.__setattr__(self, "x1", max(word.x1 for word in self.words))
        object.__setattr__(self, "y1", max(word.y1 for word in self.words))

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def size(self) -> float:
        """The font size of most of its letters, to half a point."""
        sizes: Counter[float] = Counter()
        for word in self.words:
            sizes[round(2 * word.size) / 2] += len(word.text)
        return sizes.most_common(1)[0][0]

    @property
    def bold(self) -> bool:
        return all(word.bold for word in self.words)


def level(a: Word | Segment, b: Word | Segment) -> bool:
    """Whether two things stand on one line: they share half of the smaller one's height."""
    shared = min(a.y1, b.y1) - max(a.y0, b.y0)
    return shared > 0.5 * min(a.y1 - a.y0, b.y1 - b.y0)


def segments(words: Iterable[Word]) -> list[Segment]:
    """Words in order, joined as long as they follow each other, also from right to left."""
    runs: list[list[Word]] = []
    for word in words:
        if runs and _follows(runs[-1][-1], word):
            runs[-1].append(word)
        else:
            runs.append([word])
    return [Segment(tuple(run)) for run in runs]


def _follows(before: Word, word: Word) -> bool:
    gap = max(word.x0 - before.x1, before.x0 - word.x1)
    height = max(before.y1 - before.y0, word.y1 - word.y0)
    return level(before, word) and before.block == word.block and -0.5 * height < gap < _WIDE * height


def downwards(words: Sequence[Word]) -> list[Word]:
    """The words with heads before the text that they head, also where they were written after it."""
    placed: list[Segment] = []
    moved = 0
    for run in _descending(segments(words)):
        bottom = max(one.y1 for one in run)
        at = len(placed)
        while at and placed[at - 1].y0 > bottom - _TOUCHING:
            at -= 1
        heads = any(below.x0 < one.x1 and below.x1 > one.x0 for below in placed[at:] for one in run)
        moved += heads
        at = at if heads else len(placed)
        placed[at:at] = run
    return [word for one in placed for word in one.words] if moved <= _MOST_MOVED else list(words)


def _descending(found: Sequence[Segment]) -> list[list[Segment]]:
    """Runs of segments of which each stands beside or close below the one before it."""
    runs: list[list[Segment]] = []
    for one in found:
        last = runs[-1][-1] if runs else None
        near = last and (level(last, one) or (one.y0 >= last.y0 and one.y0 - last.y1 < _PARAGRAPHS * last.height))
        if near:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs
