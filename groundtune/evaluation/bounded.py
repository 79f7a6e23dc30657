"""Score test and score interval for the mean of bounded values that may come in groups. Knows arrays only.

The paired score test for two proportions (Nam 1997; Tango 1998) and Wilson's interval (1927) divide by the standard error under
the null, from the restricted maximum-likelihood estimate, and so hold up with few discordant items and near 0 and 1, where t
tests and the bootstrap do not. Here the same for any bounded values: the restricted estimate is the nonparametric one over all
distributions within the bounds (empirical likelihood, Owen 1988, with the bound itself as a further support point). For
ungrouped values -1, 0, 1 it is Tango's, for 0, 1 Wilson's. Groups enter as the design effect of a cluster sample, with the t
distribution for the number of groups (Rao and Scott 1992; Korn and Graubard 1998). What training seeds add to the variance of
the mean (see `crossed`) is added to it. None of it is in scipy, statsmodels or arch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, t

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

_EDGE = 1e-12
ENOUGH = 10
"""Groups that hold anything but the commonest value, from which on the largest difference seen bounds an interval."""
FEW = 6
"""The same, below which the correlation within groups is not estimated but partly assumed."""


@dataclass(frozen=True, slots=True)
class BoundedValues:
    """Values of items in independent groups; what is tested is their mean over items."""

    values: Array
    """[item]"""
    groups: Codes
    """[item] 0 ... number of groups - 1, each at least once."""
    low: float
    """Smallest value that an item can have."""
    high: float
    """Largest one."""
    seed_variance: float = 0.0
    """Variance that training seeds add to the mean; 0 when the claim is about these weights."""
    freedom: float = float("inf")
    """Degrees of freedom that the seeds leave."""

    @property
    def group_count(self) -> int:
        return int(self.groups.max()) + 1

    @property
    def clustered(self) -> bool:
        return self.group_count < len(self.values)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the reference distribution; infinite means normal."""
        return min(self.freedom, self.group_count - 1 if self.clustered else float("inf"))


def score_test(sample: BoundedValues, null: float) -> float:
    """One-sided p-value of "the mean is at most `null`", for `null` strictly between the bounds. 1 when all is one group."""
    if sample.group_count < 2:
        return 1.0
    z = _statistic(sample, null, design_effect(sample))
    return float(t.sf(z, sample.degrees) if np.isfinite(sample.degrees) else norm.sf(z))


def score_interval(sample: BoundedValues, *, level: float) -> tuple[float, float]:
    """All means that the two-sided score test at 1 - level does not reject; the bounds themselves when all is one group."""
    if sample.group_count < 2:
        return sample.low, sample.high
    tail = (1 - level) / 2
    wanted = float(t.isf(tail, sample.degrees) if np.isfinite(sample.degrees) else norm.isf(tail))
    enlarged = design_effect(sample)
    width = sample.high - sample.low
    bottom, top = sample.low + _EDGE * width, sample.high - _EDGE * width
    start = min(max(float(sample.values.mean()), bottom), top)

    def edge(end: float, sign: float, bound: float) -> float:
        if start == end or sign * _statistic(sample, end, enlarged) <= wanted:
            return bound
        return float(brentq(lambda null: sign * _statistic(sample, null, enlarged) - wanted, end, start, xtol=1e-10))

    return edge(bottom, 1.0, sample.low), edge(top, -1.0, sample.high)


def design_effect(sample: BoundedValues) -> float:
    """Variance of the mean over what it would be with independent items, at least 1.

    Estimated from the groups' sums. While fewer than 6 groups hold anything but the commonest value the estimate cannot be
    trusted, and a line from "all items of a group alike" (none such) down to 1 (six such) bounds it from below.
    """
    if not sample.clustered:
        return 1.0
    items, count = len(sample.values), sample.group_count
    residual = sample.values - sample.values.mean()
    sums, sizes = np.bincount(sample.groups, residual), np.bincount(sample.groups)
    independent = float((residual**2).sum()) * items / (items - 1)
    clustered = float((sums**2).sum()) * count / (count - 1)
    alike = float((sizes**2).sum() / items)
    assumed = 1 + (alike - 1) * max(0.0, 1 - groups_that_differ(sample) / FEW)
    return max(1.0, assumed, clustered / independent if independent > _EDGE else 1.0)


def groups_that_differ(sample: BoundedValues) -> int:
    """Number of groups that hold anything but the commonest value: what there is to learn the spread from."""
    values, counts = np.unique(sample.values, return_counts=True)
    return len(np.unique(sample.groups[sample.values != values[counts.argmax()]]))


def null_deviation(sample: BoundedValues, null: float) -> float:
    """Standard deviation of an item under "the mean is `null`", enlarged by the design effect."""
    return float(np.sqrt(_variance_under(sample, null) * design_effect(sample)))


def _statistic(sample: BoundedValues, null: float, enlarged: float) -> float:
    """z of "the mean is `null`", given the design effect: positive when the mean lies above it."""
    gain = float(sample.values.mean()) - null
    variance = _variance_under(sample, null) * enlarged / len(sample.values) + sample.seed_variance
    return gain / float(np.sqrt(variance)) if variance > 0 else 0.0


def _variance_under(sample: BoundedValues, null: float) -> float:
    excess = sample.values - null
    if excess.sum() >= 0:
        return _null_variance(excess, sample.low - null)
    return _null_variance(-excess, null - sample.high)


def _null_variance(excess: Array, bound: float) -> float:
    """Second moment under the likeliest distribution of mean 0, for data of mean >= 0 that may reach down to `bound` < 0."""
    reached = float(excess.min()) <= bound * (1 - 1e-9)
    limit = -1 / min(float(excess.min()), bound)

    def slope(tilt: float) -> float:
        return float((excess / (1 + tilt * excess)).sum())

    if slope(0.0) <= 0:
        tilt = 0.0
    elif reached:
        tilt = float(brentq(slope, 0.0, limit * (1 - _EDGE)))
    else:
        tilt = limit if slope(limit) >= 0 else float(brentq(slope, 0.0, limit))
    weights = 1 / (len(excess) * (1 + tilt * excess))
    return float((weights * excess**2).sum() + max(0.0, 1 - float(weights.sum())) * bound**2)
