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
    """Hypotheses fixed before the first look, each with the looks that it may be tested at. What is not tested has p = 1."""

    alpha: float
    weights: tuple[float, ...]
    """[look] The share of `alpha` that may be used there."""
    _weight: dict[Key, float] = field(default_factory=dict)
    _p: dict[Key, float] = field(default_factory=dict)

    def enter(self, key: Key, looks: Sequence[int]) -> None:
        """Add a hypothesis that is tested at these looks or at some of them."""
        self._weight[key] = sum(self.weights[look] for look in looks)
        self._p[key] = float("inf")

    def see(self, key: Key, look: int, p_value: float) -> None:
        """The p-value of one look, from all data up to it."""
        self._p[key] = min(self._p[key], p_value / self.weights[look] if self.weights[look] else float("inf"))

    def adjusted(self) -> dict[Key, float]:
        """Adjusted p-values: what lies below `alpha` is rejected; the chance of any false rejection at any look is below it."""
        return weighted_holm(self._p, self._weight)

    def __contains__(self, key: Key) -> bool:
        return key in self._p


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
