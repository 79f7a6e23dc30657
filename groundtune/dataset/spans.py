"""Spans of text that were found to be something, and the text with them replaced. Knows no detector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """`text[start:end]` is of this kind."""

    start: int
    end: int
    kind: str
    score: float = 1.0


def disjoint(found: Iterable[Found]) -> list[Found]:
    """Spans that do not overlap, in order: the surer one wins, of equals the longer, then the first."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (-one.score, one.start - one.end, one.start, one.kind)):
        if one.start < one.end and all(one.end <= other.start or one.start >= other.end for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)


def replaced(text: str, found: Sequence[Found]) -> str:
    """The text with `<KIND>` in place of each of the disjoint spans."""
    parts, place = [], 0
    for one in found:
        parts += [text[place : one.start], f"<{one.kind}>"]
        place = one.end
    return "".join([*parts, text[place:]])
