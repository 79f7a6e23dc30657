"""How an error rate is spent over several looks at growing data, and Holm over hypotheses that were seen at some of them.

A look k may use the share w_k of the error rate (alpha spending: Lan and DeMets 1983, with their function of the
O'Brien-Fleming type). A hypothesis that was tested at several looks has the p-value min p_k / w_k: a weighted Bonferroni
correction. It holds under any dependence between looks, so that the tests of one look serve at each of them, and whatever the
data decide about which tests are left out. It is conservative: the exact boundaries of a Brownian motion are a little lower.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

from scipy.stats import norm

Key = TypeVar("Key", bound=Hashable)


def obrien_fleming(alpha: float, share: float) -> float:
    """One-sided error rate that may be spent up to this share of the information, in (0, 1]: 2 - 2 Phi(z(alpha / 2) / sqrt(t)).

    Lan and DeMets, Biometrika 70 (1983), 659-663.
    """
    return float(2 * norm.sf(norm.isf(alpha / 2) / share**0.5))


def look_weights(shares: Sequence[float], *, alpha: float) -> tuple[float, ...]:
    """The share of a one-sided `alpha` that each look may use; `shares` of the information grow to 1, and so they sum to 1."""
    spent = [0.0, *(obrien_fleming(alpha, share) for share in shares)]
    return tuple((after - before) / alpha for before, after in pairwise(spent))


@dataclass
class Family(Generic[Key]):
    """Hypotheses fixed before the first look, each with its share of the error rate at each look; an untested one has p = 1."""

    _weights: dict[Key, tuple[float, ...]] = field(default_factory=dict)
    _p: dict[Key, float] = field(default_factory=dict)

    def enter(self, key: Key, weights: Sequence[float]) -> None:
        """Add a hypothesis with its weight [look]."""
        self._weights[key] = tuple(weights)
        self._p[key] = float("inf")

    def see(self, key: Key, look: int, p_value: float) -> None:
        """The p-value of one look, from all data up to it."""
        weight = self._weights[key][look]
        self._p[key] = min(self._p[key], p_value / weight if weight else float("inf"))

    def adjusted(self) -> dict[Key, float]:
        """Adjusted p-values: the chance that any true hypothesis ever has one below alpha is at most alpha."""
        return weighted_holm(self._p, {key: sum(weights) for key, weights in self._weights.items()})


def weighted_holm(p_values: Mapping[Key, float], weights: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p-values from p-values divided by their weights (Holm 1979, weighted); with weights of 1 the usual Holm.

    The smallest counts times the sum of all weights, the next times the sum of the others, and so on; none below one before it.
    """
    left, least = sum(weights.values()), 0.0
    adjusted: dict[Key, float] = {}
    for key in sorted(p_values, key=lambda key: p_values[key]):
        least = max(least, min(1.0, p_values[key] * left) if left > 0 else 1.0)
        adjusted[key] = least
        left -= weights[key]
    return adjusted
