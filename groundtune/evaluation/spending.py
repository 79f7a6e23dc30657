"""How an error rate is spent over looks at growing data, Holm over what was seen at some of them, what the last may show.

A look k may use the share w_k of the error rate (alpha spending: Lan and DeMets 1983, with the linear function of Kim and
DeMets 1987). A hypothesis that was tested at several looks has the p-value min p_k / w_k: a weighted Bonferroni
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


def look_weights(shares: Sequence[float]) -> tuple[float, ...]:
    """The share of an error rate that each look may use: as much as it adds to the information, whose `shares` grow to 1.

    The function alpha t of the power family (Kim and DeMets, Biometrika 74 (1987), 149-154).
    """
    return tuple(after - before for before, after in pairwise((0.0, *shares)))


def predictive_power(p_value: float, share: float, *, level: float) -> float:
    """The chance that a one-sided test will reject at `level` with all data, given its p-value on a `share` of them, in (0, 1).

    It is averaged over the effects that are likely after what was seen, all equally likely before (Spiegelhalter, Freedman and
    Blackburn, Controlled Clinical Trials 7 (1986), 8-17); normal approximation.
    """
    seen = norm.isf(min(max(p_value, _TINY), 1 - _TINY))
    return float(norm.sf((norm.isf(level) * share**0.5 - seen) / (1 - share) ** 0.5))


_TINY = 1e-12


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
