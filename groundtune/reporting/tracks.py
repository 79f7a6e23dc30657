"""Rows of bars and dots over one axis: what every horizontal picture of the report is made of. Knows shares, no candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from groundtune.reporting.scale import Scale

Tone = Literal["choice", "plain", "good", "bad", "warn", "soft"]
Shape = Literal["dot", "tick", "ring"]


@dataclass(frozen=True, slots=True)
class Span:
    """A bar or line from one share of the axis to another."""

    start: float
    end: float
    tone: Tone = "plain"
    thick: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    at: float
    tone: Tone = "plain"
    shape: Shape = "dot"


@dataclass(frozen=True, slots=True)
class Track:
    name: str
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]
    words: str
    """What the row shows, as a reader without the picture needs it."""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Chart:
    tracks: tuple[Track, ...]
    ticks: tuple[tuple[float, str], ...]
    axis: str
    """What the axis shows, with its unit."""
    legend: tuple[tuple[str, str], ...] = ()
    """(mark, words): a shape, or `zone`, `line`, `bar`, `thin`."""
    zone: Span | None = None
    line: float | None = None
    """A share that every row marks, such as zero."""


def ticks(scale: Scale) -> tuple[tuple[float, str], ...]:
    return tuple((scale.at(tick), scale.words(tick)) for tick in scale.ticks)
