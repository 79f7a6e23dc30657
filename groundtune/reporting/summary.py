"""The first screen: verdict, doubt and the figures of the choice, each in a line. Knows report.json; computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from groundtune.reporting.words import chance, cost, listed, number, plain, points, seconds

MOST_CHANGES = 2
"""Changes of the verdict that the first screen names; a section has all."""


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    tone: Literal["good", "warn", "bad"]
    role: str
    """What the figures are of: the winner, the provisional choice, or the best of those that are not good enough."""
    facts: tuple[Fact, ...]
    doubts: tuple[str, ...]
    warnings: tuple[str, ...]


def summary(report: Mapping[str, Any], reference: str | None) -> Summary:
    decision = report["decision"]
    kind = decision["verdict"]
    candidate = next((one for one in report["candidates"] if one["name"] == reference), None)
    role = "winner" if decision["winner"] else "provisional choice" if decision["provisional"] else "best score"
    return Summary(
        tone="good" if decision["winner"] else "warn" if kind == "inconclusive" else "bad",
        role=f"{role}: {reference}" if reference else "",
        facts=_facts(report, candidate) if candidate else (),
        doubts=tuple(_doubts(report, reference)),
        warnings=tuple(note.removeprefix("Warning: ") for note in report["notes"] if note.startswith("Warning: ")),
    )


def _facts(report: Mapping[str, Any], candidate: Mapping[str, Any]) -> tuple[Fact, ...]:
    metric, task = report["task"]["metric"], report["task"]
    bounds = candidate["intervals"].get(metric)
    note = f"95 % interval {number(bounds['low'])} to {number(bounds['high'])}" if bounds else ""
    facts = [Fact(metric, number(candidate["metrics"].get(metric)), note)]
    if report["field"]:
        best = report["field"]["p_best"].get(candidate["name"])
        if best is not None:
            facts.append(Fact("chance to be the best", chance(best), "over resamples of the questions"))
    if candidate["latency"]:
        facts.append(
            Fact("answer time", seconds(candidate["latency"]["p50"]), f"95 % within {seconds(candidate['latency']['p95'])}")
        )
    if candidate["cost"]:
        known = candidate["cost"]["known"]
        price = cost(candidate["cost"])
        facts.append(Fact("1,000 answers cost", price if known else "not known", "" if known else price))
    asked = f"in {task['groups']} independent groups"
    if task["unanswerable"]:
        asked += f"; {task['unanswerable']} without an answer"
    facts.append(Fact("questions", str(task["scored"]), asked))
    return tuple(facts)


def _doubts(report: Mapping[str, Any], reference: str | None) -> list[str]:
    """Sentences that keep a reader of the first screen from believing too much."""
    decision, said = report["decision"], []
    mine = [row for row in report["comparisons"] if row["a"] == reference]
    if decision["verdict"] == "cheapest non-inferior" and mine:
        close = min(mine, key=lambda row: row["difference"])
        low, high = points(close["interval"]["low"]), points(close["interval"]["high"])
        said.append(f"Against {close['b']}, the closest: {points(close['difference'])} points ({low} to {high}).")
    if decision["further_questions"]:
        said.append(
            f"About {decision['further_questions']:,} further questions would settle it, if what was seen is the truth."
        )
    if report["field"]:
        others = [name for name in report["field"]["confidence_set"] if name != reference]
        if others:
            said.append(f"Not ruled out as the best, at 95 %: {listed(others)}.")
    if mine:
        said.append(f"Differences below {plain(report['mde'])} points are likely to be missed with this many questions.")
    changes = [change["words"] for change in report["sensitivity"]["changes"][:MOST_CHANGES]]
    said += changes or ["No price, limit or margin that was tried would change the verdict."]
    models = report["task"]["models"]
    which = "this model" if len(models) == 1 else "these models"
    said.append(f"It holds for {which} ({listed(models)}) and these questions; winners do not transfer between models.")
    return said
