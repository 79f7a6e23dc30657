"""Labels beside points, so that none covers another or a point. Knows rectangles; the widths of letters are estimated."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

LETTER = 7.4
"""Width of a letter at a size of 12 px in the widest of the usual system fonts, rounded up."""
LINE = 15.0
"""Height of a line at that size."""
_POINT = 6.0
"""Half the side of the square that a point keeps free."""
_RINGS = (9.0, 20.0, 34.0, 52.0)
_AROUND = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))


@dataclass(frozen=True, slots=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom

    def within(self, other: Box) -> bool:
        return self.left >= other.left and self.top >= other.top and self.right <= other.right and self.bottom <= other.bottom


@dataclass(frozen=True, slots=True)
class Label:
    """A text's place: its box, and whether a line has to lead to it."""

    box: Box
    leader: bool


def width(text: str) -> float:
    """Pixels that a text takes at 12 px, rather too many than too few."""
    return sum(12.5 if unicodedata.east_asian_width(letter) in "WF" else LETTER for letter in text)


def place(
    points: Sequence[tuple[float, float]], texts: Sequence[str], *, within: Box, avoid: Sequence[Box] = ()
) -> list[Label | None]:
    """A place for each text near its point, in pixels, first come first served; None where there is no room.

    No label meets another label, a point or the edge of `within`. Boxes to `avoid` are met only where nothing else is free.
    """
    marks = [Box(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in points]
    taken: list[Box] = []
    found: list[Label | None] = []
    for (x, y), text in zip(points, texts, strict=True):
        free = [
            (box, distance)
            for distance in _RINGS
            for box in (_beside(x, y, text, distance, *way) for way in _AROUND)
            if box.within(within) and not any(box.meets(other) for other in (*taken, *marks))
        ]
        clear = [one for one in free if not any(one[0].meets(other) for other in avoid)]
        chosen = next(iter(clear or free), None)
        if chosen is None:
            found.append(None)
            continue
        taken.append(chosen[0])
        found.append(Label(chosen[0], leader=chosen[1] > _RINGS[0]))
    return found


def _beside(x: float, y: float, text: str, distance: float, right: int, down: int) -> Box:
    wide = width(text)
    left = x + right * distance - (wide if right < 0 else wide / 2 if right == 0 else 0.0)
    top = y + down * distance - (LINE if down < 0 else LINE / 2 if down == 0 else 0.0)
    return Box(left, top, left + wide, top + LINE)
