"""Scores as an array: candidate x item, with the item's group. Knows stored scores; no statistic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from groundtune.errors import DataError
from groundtune.evaluation.bounded import Array, Codes
from groundtune.types import Score


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """One metric of every candidate on the same items."""

    candidates: tuple[str, ...]
    items: tuple[str, ...]
    """Sorted ids, so that nothing depends on the order in which items were asked."""
    groups: Codes
    """[item] Codes from 0 in order of first appearance, so that nothing depends on what groups are called."""
    names: tuple[str, ...]
    """[group] What the groups are called."""
    values: Array
    """[candidate, item] In [0, 1]; the mean over seeds where an item was scored with several."""


def score_table(scores: Mapping[str, Sequence[Score]], *, metric: str) -> ScoreTable:
    """The table of one metric; an item to which the metric does not apply for some candidate is left out for all.

    Raises DataError when candidates were not scored on the same items, or when an item changes its group.
    """
    values: dict[str, dict[str, list[float]]] = {}
    group_of: dict[str, str] = {}
    for candidate, rows in scores.items():
        found: defaultdict[str, list[float]] = defaultdict(list)
        for row in rows:
            found[row.item] += [row.metrics[metric]] if metric in row.metrics else []
            if group_of.setdefault(row.item, row.group) != row.group:
                raise DataError("the item has two groups.", subject=row.item, remedy="Score all candidates on one grouping.")
        values[candidate] = found
    asked = sorted(group_of)
    for candidate, by_item in values.items():
        missing = [item for item in asked if item not in by_item]
        if missing:
            raise DataError(
                f"{len(missing)} items were not scored, the first {missing[0]!r}.",
                subject=candidate,
                remedy="Score every candidate on the same items.",
            )
    items = [item for item in asked if all(by_item[item] for by_item in values.values())]
    codes: dict[str, int] = {}
    groups = np.array([codes.setdefault(group_of[item], len(codes)) for item in items], dtype=np.int64)
    means = [[sum(by_item[item]) / len(by_item[item]) for item in items] for by_item in values.values()]
    return ScoreTable(tuple(values), tuple(items), groups, tuple(codes), np.array(means, dtype=np.float64))
