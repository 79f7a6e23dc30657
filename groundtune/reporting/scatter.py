"""Quality against what it takes, as points with labels that do not overlap. Knows pixels; draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from groundtune.reporting.choice import mean, ran
from groundtune.reporting.labels import Box, Label, place
from groundtune.reporting.scale import Scale, linear, positive
from groundtune.reporting.words import money, number, seconds, short

LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 28.0, 44.0
"""Pixels around the plot for ticks and titles."""

Against = Literal["cost", "latency"]


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    x: float
    y: float
    label: Label | None
    text: str
    """What stands beside it: the name, or its number in the key when there is no room for the name."""
    across: tuple[float, float] | None
    """Pixels over which the figure on the x-axis scatters; None where it does not."""
    along: tuple[float, float]
    """Pixels of the interval of the score, from the top."""
    chosen: bool
    says: str


@dataclass(frozen=True, slots=True)
class Scatter:
    width: float
    height: float
    plot: Box
    points: tuple[Point, ...]
    across: tuple[tuple[float, str], ...]
    """Ticks of the x-axis: pixels, text."""
    along: tuple[tuple[float, str], ...]
    title_across: str
    title_along: str
    floor: float | None
    """Pixels of the floor's line, from the top; None when it lies outside."""
    key: tuple[str, ...]
    """Names of the points that bear a number only, in its order."""
    without: tuple[str, ...]
    """Candidates whose figure is not known."""


def scatter(report: Mapping[str, Any], against: Against, *, width: float, height: float, chosen: str | None) -> Scatter | None:
    """None when no candidate has both figures."""
    metric = report["task"]["metric"]
    scored = [one for one in ran(report) if metric in one["metrics"] and metric in one["intervals"]]
    known = [one for one in scored if _reach(one, against) is not None]
    if not known:
        return None
    known.sort(key=lambda one: (one["name"] != chosen, -mean(one, metric)))
    floor = report["decision"]["floor"]
    plot = Box(LEFT, TOP, width - RIGHT, height - BOTTOM)
    up = linear([floor, *(one["intervals"][metric][end] for one in known for end in ("low", "high"))])
    right = positive(value for one in known for value in (_reach(one, against) or ()))

    def x(value: float) -> float:
        return plot.left + right.at(value) * (plot.right - plot.left)

    def y(value: float) -> float:
        return plot.bottom - up.at(value) * (plot.bottom - plot.top)

    reach = {one["name"]: _reach(one, against) or (0.0, 0.0, 0.0) for one in known}
    spots = [(x(reach[one["name"]][1]), y(one["metrics"][metric])) for one in known]
    whiskers = [
        Box(at - 1, y(one["intervals"][metric]["high"]), at + 1, y(one["intervals"][metric]["low"]))
        for (at, _), one in zip(spots, known, strict=True)
    ]
    whiskers += [
        Box(x(reach[one["name"]][0]), at - 1, x(reach[one["name"]][2]), at + 1)
        for (_, at), one in zip(spots, known, strict=True)
    ]
    placed, texts, key = _labelled(spots, [str(one["name"]) for one in known], plot, whiskers)
    points = [
        Point(
            name=one["name"],
            x=spot[0],
            y=spot[1],
            label=label,
            text=text,
            across=None if against == "cost" else (x(reach[one["name"]][0]), x(reach[one["name"]][2])),
            along=(y(one["intervals"][metric]["high"]), y(one["intervals"][metric]["low"])),
            chosen=one["name"] == chosen,
            says=f"{one['name']}: {metric} {number(one['metrics'][metric])}, {_says(one, against)}",
        )
        for one, spot, label, text in zip(known, spots, placed, texts, strict=True)
    ]
    return Scatter(
        width,
        height,
        plot,
        tuple(points),
        across=_thinned(right, x, gap=34.0),
        along=tuple((y(tick), up.words(tick)) for tick in up.ticks),
        title_across=_title(report, against, right),
        title_along=f"{metric}, mean over questions (0 to 1)",
        floor=y(floor) if up.low <= floor <= up.high else None,
        key=key,
        without=tuple(one["name"] for one in scored if one not in known),
    )


def _labelled(
    spots: Sequence[tuple[float, float]], names: Sequence[str], plot: Box, whiskers: Sequence[Box]
) -> tuple[list[Label | None], list[str], tuple[str, ...]]:
    """Names where all have room; else numbers, with a key."""
    texts = [short(name) for name in names]
    placed = place(spots, texts, within=plot, avoid=whiskers)
    if all(placed):
        return placed, texts, ()
    texts = [str(number) for number in range(1, len(names) + 1)]
    return place(spots, texts, within=plot, avoid=whiskers), texts, tuple(names)


def _reach(candidate: Mapping[str, Any], against: Against) -> tuple[float, float, float] | None:
    """Low, middle and high of the figure on the x-axis; None where it is not known."""
    if against == "cost":
        cost = candidate["cost"]
        return (cost["per_1000_answers"],) * 3 if cost and cost["known"] else None
    latency = candidate["latency"]
    return (latency["p50"], latency["p50"], latency["p95"]) if latency else None


def _says(candidate: Mapping[str, Any], against: Against) -> str:
    if against == "cost":
        return f"{money(candidate['cost']['per_1000_answers'], candidate['cost']['currency'])} per 1,000 answers"
    return (
        f"half of the answers within {seconds(candidate['latency']['p50'])}, 95 % within {seconds(candidate['latency']['p95'])}"
    )


def _title(report: Mapping[str, Any], against: Against, scale: Scale) -> str:
    currency = report["plan"]["currency"]
    title = f"cost of 1,000 answers, {currency}" if against == "cost" else "seconds an answer takes: median, line to 95 %"
    return f"{title} (logarithmic)" if scale.logarithmic else title


def _thinned(scale: Scale, x: Any, *, gap: float) -> tuple[tuple[float, str], ...]:
    """Ticks that keep their distance."""
    kept: list[tuple[float, str]] = []
    for tick in scale.ticks:
        at = x(tick)
        if not kept or at - kept[-1][0] >= gap:
            kept.append((at, scale.words(tick)))
    return tuple(kept)
