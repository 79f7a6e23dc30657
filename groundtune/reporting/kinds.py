"""Scores by kind of question. Knows per-item scores as plain rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundtune.reporting.choice import ran

MOST_KINDS = 24
"""Rows of the table; rarer kinds are taken together."""
UNNAMED = "no kind named"


@dataclass(frozen=True, slots=True)
class KindRow:
    kind: str
    items: int
    means: tuple[float | None, ...]
    """One a candidate; None where the metric gives no score."""


@dataclass(frozen=True, slots=True)
class Kinds:
    candidates: tuple[str, ...]
    rows: tuple[KindRow, ...]
    """The commonest kind first, all questions last."""


def kinds(report: Mapping[str, Any], scores: Sequence[Mapping[str, Any]]) -> Kinds | None:
    """None without scores, or when no question names a kind."""
    names = [str(one["name"]) for one in ran(report)]
    metric = report["task"]["metric"]
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    items: dict[str, set[str]] = defaultdict(set)
    for score in scores:
        if score["candidate"] in names:
            items[score["kind"]].add(score["item"])
            if metric in score["metrics"]:
                values[score["kind"], score["candidate"]].append(score["metrics"][metric])
    if not any(items):
        return None
    common = sorted(items, key=lambda kind: (-len(items[kind]), kind))
    groups = [(kind or UNNAMED, [kind]) for kind in common]
    if len(groups) > MOST_KINDS:
        rest = common[MOST_KINDS - 1 :]
        groups = [*groups[: MOST_KINDS - 1], (f"{len(rest)} rarer kinds", rest)]

    def row(title: str, members: Sequence[str]) -> KindRow:
        found = [[value for kind in members for value in values[kind, name]] for name in names]
        counted = sum(len(items[kind]) for kind in members)
        return KindRow(title, counted, tuple(sum(one) / len(one) if one else None for one in found))

    return Kinds(tuple(names), (*(row(*group) for group in groups), row("all questions", common)))
