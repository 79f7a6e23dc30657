"""Which candidate a report is about, and which ones ran. Knows the shape of report.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def ran(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The candidates that answered, in the order of the report."""
    return [candidate for candidate in report["candidates"] if not candidate["not_applicable"]]


def mean(candidate: Mapping[str, Any], metric: str) -> float:
    """The candidate's score; below every score where the metric gives none."""
    value = candidate["metrics"].get(metric)
    return -1.0 if value is None else float(value)


def reference(report: Mapping[str, Any]) -> str | None:
    """The winner, else the provisional choice, else the best mean among those that keep the limits; None when nothing ran."""
    named = report["decision"]["winner"] or report["decision"]["provisional"]
    if named:
        return str(named)
    kept = [one for one in ran(report) if not one["excluded"]] or ran(report)
    best = max(kept, key=lambda one: mean(one, report["task"]["metric"]), default=None)
    return str(best["name"]) if best else None
