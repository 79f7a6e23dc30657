"""The paired differences as a forest plot: the choice against every other. Knows comparisons; the tests are made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundtune.reporting.scale import linear
from groundtune.reporting.tracks import Chart, Mark, Span, Tone, Track, ticks
from groundtune.reporting.words import p_said, points
from groundtune.types import ALPHA_NOT_WORSE, ALPHA_SUPERIOR

MOST_PAIRS = 100
"""Rows of the table of all pairs; report.json has the rest."""


@dataclass(frozen=True, slots=True)
class Differences:
    reference: str
    chart: Chart
    pairs: tuple[tuple[Mapping[str, Any], str], ...]
    """(comparison, reading) of every pair once, those of the reference first."""
    left_out: int
    """Pairs beyond the table."""


def differences(report: Mapping[str, Any], reference: str | None) -> Differences | None:
    """None when nothing was compared."""
    rows = report["comparisons"]
    mine = sorted((row for row in rows if row["a"] == reference), key=lambda row: row["difference"])
    if reference is None or not mine:
        return None
    margin = report["decision"]["margin"]
    reach = max([margin, *(abs(row["interval"][end]) for row in mine for end in ("low", "high"))])
    scale = linear([-100 * reach, 100 * reach], steps=6)

    def at(share: float) -> float:
        return scale.at(100 * share)

    def track(row: Mapping[str, Any]) -> Track:
        said, tone = reading(row)
        low, high = row["interval"]["low"], row["interval"]["high"]
        words = f"{points(row['difference'])} points, {points(low)} to {points(high)}: {said}"
        return Track(str(row["b"]), (Span(at(low), at(high), tone),), (Mark(at(row["difference"]), tone),), words, tone)

    chart = Chart(
        tracks=tuple(track(row) for row in mine),
        ticks=ticks(scale),
        axis=f"difference in {report['task']['metric']}, percentage points; right of zero: {reference} is better",
        legend=(
            ("dot", "difference"),
            ("thin", "95 % interval, all pairs together"),
            ("zone", f"within the margin of {100 * margin:g} points"),
            ("line", "no difference"),
        ),
        zone=Span(at(-margin), at(margin)),
        line=at(0.0),
    )
    seen: set[frozenset[str]] = set()
    pairs = []
    for row in (*mine, *rows):
        pair = frozenset((row["a"], row["b"]))
        if pair not in seen:
            seen.add(pair)
            pairs.append((row, reading(row)[0]))
    return Differences(reference, chart, tuple(pairs[:MOST_PAIRS]), max(0, len(pairs) - MOST_PAIRS))


def reading(row: Mapping[str, Any]) -> tuple[str, Tone]:
    """What the tests say of a against b."""
    if row["p_adjusted"] < ALPHA_SUPERIOR and row["difference"]:
        better = row["difference"] > 0
        return f"{'better' if better else 'worse'} ({p_said(row['p_adjusted'])})", "good" if better else "bad"
    if row["p_not_worse"] < ALPHA_NOT_WORSE:
        return f"not worse by the margin ({p_said(row['p_not_worse'])})", "good"
    return "not settled", "plain"
