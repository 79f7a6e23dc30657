"""The best decision tree of depth two, found by trying all of them. Knows features and losses; nothing of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tree:
    """A choice, or a question with a tree for each answer."""

    choice: int
    feature: int = -1
    """-1: no question, the choice stands."""
    threshold: float = 0.0
    below: Tree | None = None
    above: Tree | None = None

    def __call__(self, features: Array) -> int:
        """The choice for one row [feature]."""
        if self.below is None or self.above is None:
            return self.choice
        return (self.below if features[self.feature] <= self.threshold else self.above)(features)


def fit(features: Array, losses: Array, *, depth: int = 2) -> Tree:
    """The tree with the least sum of `losses` [row, choice] over rows of `features` [row, feature].

    A question is asked only where it lowers the sum; of equals the first feature, the lowest threshold and the first choice.
    """
    return _fit(features, losses, depth)[0]


def _fit(features: Array, losses: Array, depth: int) -> tuple[Tree, float]:
    sums = losses.sum(axis=0)
    best, least = Tree(int(sums.argmin())), float(sums.min())
    if depth == 0:
        return best, least
    for feature, threshold, low in _questions(features):
        below, first = _fit(features[low], losses[low], depth - 1)
        above, second = _fit(features[~low], losses[~low], depth - 1)
        if first + second < least - 1e-12:
            best, least = Tree(best.choice, feature, threshold, below, above), first + second
    return best, least


def _questions(features: Array) -> Iterator[tuple[int, float, Flags]]:
    """(feature, threshold halfway between two values that occur, rows at or below it)."""
    for feature in range(features.shape[1]):
        values = np.unique(features[:, feature])
        for threshold in (values[:-1] + values[1:]) / 2:
            yield feature, float(threshold), features[:, feature] <= threshold
