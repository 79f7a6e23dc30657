"""What explains the scores: position on the matrix, predictions beside measurements, where answers are lost. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundtune.reporting.scale import linear
from groundtune.reporting.tracks import Chart, Mark, Span, Tone, Track, ticks
from groundtune.reporting.words import number, plain, points

UNIT = linear([0.0, 1.0])
_PARTS: tuple[tuple[str, str, Tone], ...] = (
    ("retrieved", "right with retrieved context", "good"),
    ("retrieval_loss", "lost by retrieval", "warn"),
    ("format_loss", "lost by format", "soft"),
    ("reading_loss", "lost by reading and reasoning", "bad"),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure on an axis from 0 to 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Position:
    """The measured place on the matrix; an axis that was not measured is None."""

    external_data: Spread | None
    behaviour: Spread | None
    words: str
    names: tuple[float, float]
    """Heights at which the lower and the upper quadrants bear their names, clear of what was measured where possible."""


def position(report: Mapping[str, Any]) -> Position:
    found = report["probes"]["matrix"]
    behaviour = _spread(found["behaviour"])
    names = _clear((0.05, 0.44), behaviour), _clear((0.95, 0.56), behaviour)
    return Position(_spread(found["external_data"]), behaviour, found["words"], names)


def _clear(heights: tuple[float, float], behaviour: Spread | None) -> float:
    """The height that lies further from the measured interval; the first when both are clear of it."""

    def distance(height: float) -> float:
        return max(behaviour.low - height, height - behaviour.high) if behaviour else 1.0

    return heights[0] if distance(heights[0]) > 0.08 else max(heights, key=distance)


def _spread(measure: Mapping[str, Any] | None) -> Spread | None:
    return Spread(measure["value"], measure["interval"]["low"], measure["interval"]["high"]) if measure else None


def predictions(report: Mapping[str, Any], chosen: str | None) -> Chart | None:
    """None without predictions."""
    rows = report["predictions"]
    if not rows:
        return None

    def track(row: Mapping[str, Any]) -> Track:
        said = row["prediction"]
        hit = "inside" if row["inside"] else "outside"
        words = (
            f"expected {number(said['expected'])} ({number(said['low'])} to {number(said['high'])}), "
            f"measured {number(row['measured'])}: {hit}, {points(row['error'])} points"
        )
        tone: Tone = "choice" if said["candidate"] == chosen else "plain"
        span = Span(UNIT.at(said["low"]), UNIT.at(said["high"]), "soft", thick=True)
        marks = (
            Mark(UNIT.at(said["expected"]), "plain", "tick"),
            Mark(UNIT.at(row["measured"]), "good" if row["inside"] else "bad"),
        )
        return Track(said["candidate"], (span,), marks, words, tone)

    return Chart(
        tracks=tuple(track(row) for row in rows),
        ticks=ticks(UNIT),
        axis=f"{report['task']['metric']}, mean over questions (0 to 1)",
        legend=(("bar", "predicted range"), ("tick", "expected"), ("dot", "measured")),
    )


def losses(report: Mapping[str, Any]) -> Chart | None:
    """From the measured retrieval answer to a perfect one, each loss where the one before it ends; None without probes.

    A first row stacks all of them where none is negative.
    """
    found = report["probes"]["decomposition"]
    if not found:
        return None
    reached = 0.0
    stacked: list[Span] = []
    tracks: list[Track] = []
    scale = linear([0.0, 100.0, *(100 * value for value in _path(found))])
    for name, label, tone in _PARTS:
        value, interval = found[name]["value"], found[name]["interval"]
        start, end = sorted((reached, reached + value))
        span = Span(scale.at(100 * start), scale.at(100 * end), tone, thick=True)
        words = f"{plain(value)} points, 95 % interval {plain(interval['low'])} to {plain(interval['high'])}"
        if value < 0:
            words += " (negative: less is right with the evidence shown)"
        tracks.append(Track(label, (span,), (), words, tone))
        stacked.append(span)
        reached += value
    if all(found[name]["value"] >= 0 for name, _, _ in _PARTS):
        tracks.insert(0, Track("all questions", tuple(stacked), (), "100 points: the parts below end to end", "plain"))
    return Chart(tuple(tracks), ticks(scale), axis=f"points of {report['task']['metric']}, of 100")


def _path(found: Mapping[str, Any]) -> list[float]:
    """Where each part ends."""
    ends: list[float] = []
    for name, _, _ in _PARTS:
        ends.append((ends[-1] if ends else 0.0) + found[name]["value"])
    return ends
