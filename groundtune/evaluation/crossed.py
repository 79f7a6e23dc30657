"""What training seeds add to the variance of a mean over items. Knows an array seed x item with groups; no candidate.

A claim about these weights holds the trainings fixed and lets items vary. A claim about the method lets both vary: every seed
meets every item, a crossed random-effects design, as of readers and cases in radiology. Its variance and degrees of freedom are
those of Hillis (2007, Statistics in Medicine 26, 596-619), with independent groups in the place of cases, except that a
negative estimate for the seeds counts as none, so that the method is never claimed more sharply than the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundtune.evaluation.bounded import Array, BoundedValues, Codes

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """How much of the uncertainty of a mean comes from training again."""

    variance: float
    """Added to the variance of the mean over these seeds."""
    freedom: float
    """Degrees of freedom of the whole; infinite where seeds add nothing."""
    deviation: float
    """Standard deviation between trainings of the mean over all items there could be."""


def seed_spread(values: Array, groups: Codes) -> SeedSpread:
    """Estimate it from values [seed, item]; nothing is added with one seed or one group, where it cannot be estimated."""
    seeds, items = values.shape
    count = int(groups.max()) + 1
    if seeds < 2 or count < 2:
        return SeedSpread(0.0, float("inf"), 0.0)
    sizes = np.bincount(groups)
    sums = np.array([np.bincount(groups, row) for row in values])
    table = (sums - sizes * values.mean()) * count / items
    """[seed, group] What each group moves the mean by, times the number of groups."""
    by_seed, by_group = table.mean(axis=1), table.mean(axis=0)
    between_seeds = count * float((by_seed**2).sum()) / (seeds - 1)
    between_groups = seeds * float((by_group**2).sum()) / (count - 1)
    rest = float(((table - by_seed[:, None] - by_group) ** 2).sum()) / ((seeds - 1) * (count - 1))
    excess = max(0.0, between_seeds - rest)
    if excess < _ROUNDING:
        return SeedSpread(0.0, float("inf"), 0.0)
    whole = between_seeds + max(0.0, between_groups - rest)
    return SeedSpread(excess / (seeds * count), (seeds - 1) * (whole / between_seeds) ** 2, float(np.sqrt(excess / count)))


def sample_of(values: Array, groups: Codes, *, low: float, high: float) -> BoundedValues:
    """Values [seed, item] of a claim about the method; with one seed the same as a claim about these weights."""
    spread = seed_spread(values, groups)
    return BoundedValues(values.mean(axis=0), groups, low, high, spread.variance, spread.freedom)
