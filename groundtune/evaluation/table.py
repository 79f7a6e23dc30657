"""Scores as an array: candidate x seed x item, with the item's group. Knows stored scores; no statistic."""

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
    by_seed: Array
    """[candidate, seed, item] In [0, 1]; a candidate that was scored once has the same row for every seed."""

    @property
    def values(self) -> Array:
        """[candidate, item] The mean over seeds."""
        return np.asarray(self.by_seed.mean(axis=1))

    @property
    def seeds(self) -> int:
        return int(self.by_seed.shape[1])


def score_table(scores: Mapping[str, Sequence[Score]], *, metric: str) -> ScoreTable:
    """The table of one metric; an item to which the metric does not apply for some candidate is left out for all.

    Raises DataError when candidates were not scored on the same items and seeds, or when an item changes its group. A candidate
    with a single seed stands for all seeds of the others: it was not trained, or trained once.
    """
    values: dict[str, defaultdict[str, defaultdict[int, list[float]]]] = {}
    group_of: dict[str, str] = {}
    for candidate, rows in scores.items():
        found: defaultdict[str, defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            found[row.item][row.seed] += [row.metrics[metric]] if metric in row.metrics else []
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
    trained = {name: {seed for by_seed in by_item.values() for seed in by_seed} for name, by_item in values.items()}
    seeds = sorted(set().union(*(own for own in trained.values() if len(own) > 1))) or [0]
    for candidate, by_item in values.items():
        for item, by_seed in by_item.items():
            if by_seed.keys() != (set(seeds) if len(trained[candidate]) > 1 else trained[candidate]):
                raise DataError(
                    f"item {item!r} was not scored with the seeds {', '.join(map(str, seeds))}.",
                    subject=candidate,
                    remedy="Score every item with every seed.",
                )
    items = [item for item in asked if all(found and all(found.values()) for found in (by[item] for by in values.values()))]
    codes: dict[str, int] = {}
    groups = np.array([codes.setdefault(group_of[item], len(codes)) for item in items], dtype=np.int64)
    cube = np.empty((len(values), len(seeds), len(items)))
    for number, by_item in enumerate(values.values()):
        for column, item in enumerate(items):
            cube[number, :, column] = [sum(found) / len(found) for _, found in sorted(by_item[item].items())]
    return ScoreTable(tuple(values), tuple(items), groups, tuple(codes), cube)
