"""Plan against reality: seconds per stage as planned and as measured. Knows the stages of report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundtune.reporting.scale import linear
from groundtune.reporting.tracks import Chart, Span, Track, ticks
from groundtune.reporting.words import duration

_DONE = "answer", "latency", "train", "probe"


@dataclass(frozen=True, slots=True)
class Stages:
    chart: Chart
    planned: float
    """Seconds, all stages."""
    measured: float
    """Seconds of the stages that ran in this run."""
    found: int
    """Stages whose results were found in the store."""


def stages(report: Mapping[str, Any]) -> Stages | None:
    """None when nothing was planned."""
    rows = report["stages"]
    if not rows:
        return None
    names = sorted({row["stage"] for row in rows}, key=lambda name: (_DONE.index(name) if name in _DONE else len(_DONE), name))
    sums = {}
    for name in names:
        mine = [row for row in rows if row["stage"] == name]
        ran = [row["measured_seconds"] for row in mine if row["measured_seconds"] is not None]
        sums[name] = sum(row["planned_seconds"] for row in mine), sum(ran), len(mine), len(ran)
    minutes = max(max(planned, measured) for planned, measured, _, _ in sums.values()) >= 180
    unit = 60.0 if minutes else 1.0
    scale = linear([0.0, *(value / unit for planned, measured, _, _ in sums.values() for value in (planned, measured))])

    def track(name: str) -> Track:
        planned, measured, count, ran = sums[name]
        said = f"measured {duration(measured)}" if ran else "found in the store"
        if 0 < ran < count:
            said += f" ({count - ran} of {count} found in the store)"
        spans = (Span(0.0, scale.at(planned / unit), "soft", thick=True), Span(0.0, scale.at(measured / unit), "choice"))
        return Track(name, spans if ran else spans[:1], (), f"planned {duration(planned)}, {said}")

    return Stages(
        Chart(
            tuple(track(name) for name in names),
            ticks(scale),
            axis="minutes, all candidates together" if minutes else "seconds, all candidates together",
            legend=(("bar", "planned"), ("thin", "measured")),
        ),
        planned=sum(planned for planned, _, _, _ in sums.values()),
        measured=sum(measured for _, measured, _, _ in sums.values()),
        found=sum(count - ran for _, _, count, ran in sums.values()),
    )
