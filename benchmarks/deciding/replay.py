"""Decisions replayed on stored scores: drawn items decide, others tell the truth. Knows arrays; fits nothing.

Items are cut at random, by group, into a decision half and a truth half that never mix. The n items of a decision are the first
n of the decision half in an order drawn by group, so n never exceeds that half. A choice costs its regret on the truth half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.deciding.table import Array, Codes, TaskTable
from benchmarks.deciding.verdicts import Verdicts, verdicts

SIZES = (25, 50, 100, 200)
MARGIN = 0.05
"""The product's default."""
READ, WRITE = 1576.0, 92.0
"""Tokens per second of the embedded model on two cores, as `groundtune advise` assumes: what "cheapest" is told by."""


@dataclass(frozen=True)
class Draws:
    """Many ways to cut and draw the items of one task."""

    task: TaskTable
    candidates: tuple[str, ...]
    items: Codes
    """Places in the task's items: those that every candidate was scored on."""
    order: Codes
    """[draw, item] Places in `items`: the decision half, then the truth half."""
    half: Codes
    """[draw] Items of the decision half."""
    scores: Array
    """[candidate, item]"""

    @property
    def largest(self) -> int:
        """Most items that every draw can decide on."""
        return int(self.half.min())

    @cached_property
    def truth(self) -> Array:
        """[draw, candidate] Mean over the truth half."""
        kept = np.arange(self.order.shape[1]) >= self.half[:, np.newaxis]
        chosen = self.scores[:, self.order]
        return np.asarray(((chosen * kept).sum(axis=2) / kept.sum(axis=1)).T)

    @cached_property
    def regrets(self) -> Array:
        """[draw, candidate] The best candidate's truth less this one's."""
        return np.asarray(self.truth.max(axis=1, keepdims=True) - self.truth)

    def drawn(self, n: int) -> Codes:
        """[draw, n] Places in `items`."""
        return self.order[:, :n]

    def codes(self, n: int) -> Codes:
        """[draw, n] Groups of the drawn items, counted from 0 in each draw; a group's items stand together."""
        groups = self.task.groups[self.items][self.drawn(n)]
        fresh = np.diff(groups, axis=1, prepend=groups[:, :1]) != 0
        return np.asarray(fresh.cumsum(axis=1))


def draws(task: TaskTable, candidates: Sequence[str], *, count: int, seed: int = 0) -> Draws:
    """That many ways, from the seed. Raises ValueError for a task with fewer than four items or two groups."""
    items = np.flatnonzero(task.shared(candidates))
    groups = task.groups[items]
    if len(items) < 4 or len(np.unique(groups)) < 2:
        raise ValueError(f"{task.task}: {len(items)} items in {len(np.unique(groups))} groups cannot be cut in two")
    rng = np.random.default_rng([seed, *task.task.encode()])
    order = np.empty((count, len(items)), dtype=np.int64)
    half = np.empty(count, dtype=np.int64)
    for number in range(count):
        keys = rng.random(int(groups.max()) + 1)[groups]
        order[number] = np.lexsort((rng.random(len(items)), keys))
        ends = np.flatnonzero(np.diff(groups[order[number]])) + 1
        half[number] = ends[np.searchsorted(ends, len(items) / 2).clip(max=len(ends) - 1)]
    scores = np.array([task.values[name, 0, 1.0][items] for name in candidates])
    return Draws(task, tuple(candidates), items, order, half, scores)


def decide(draws: Draws, n: int, *, margin: float = MARGIN, seed: int = 0) -> Verdicts:
    """The product's verdicts on the first n items of every draw."""
    drawn = draws.drawn(n)
    return verdicts(
        np.moveaxis(draws.scores[:, drawn], 0, 1),
        draws.codes(n),
        costs=costs(draws),
        floors=floors(draws, n, margin=margin),
        margin=margin,
        seed=seed,
    )


def floors(draws: Draws, n: int, *, margin: float = MARGIN) -> Array:
    """[draw] Score of the best constant answer on the drawn items, plus the margin."""
    return np.asarray(constants(draws, n) + margin)


def constants(draws: Draws, n: int) -> Array:
    """[draw] Score of the best constant answer; 0 where none was scored."""
    rows = [row[draws.items] for key, row in draws.task.values.items() if key[0].startswith("constant_")]
    if not rows:
        return np.zeros(len(draws.order))
    return np.asarray(np.nan_to_num(np.array(rows))[:, draws.drawn(n)].mean(axis=2).max(axis=0))


def costs(draws: Draws) -> Array:
    """[candidate] Seconds of an answer: from its tokens at the pace above, or as measured where a cell has no tokens."""
    tokens = [draws.task.tokens[name, 0, 1.0][draws.items].mean(axis=0) for name in draws.candidates]
    if all(read > 0 for read, _ in tokens):
        return np.array([read / READ + written / WRITE for read, written in tokens])
    return np.array([draws.task.answering[name, 0, 1.0] for name in draws.candidates])
