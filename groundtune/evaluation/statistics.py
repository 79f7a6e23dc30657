"""Paired tests and intervals over per-item scores. Knows arrays of scores in [0, 1] and groups; no candidate by name.

Which method where, and why:

- difference or none: exact McNemar (binary, every item its own group), else sign-flip over groups, exact up to 14 groups that
  differ. Both are exact under "the two are exchangeable", whatever the shape of the scores.
- interval of a difference or mean: the score interval of `bounded` below 200 groups, for binary scores of ungrouped items and
  where fewer than 10 groups differ; else the BCa bootstrap over groups (Efron 1987), which covers too little below (measured at
  a nominal .95, 1,000 replicates, 30 to 100 groups: BCa .908 to .954, score .933 to .990).
- worse by the margin or more: the score test of `bounded` at any size, because t tests and bootstraps call rare failures
  harmless when few items happen to show none (measured: up to .24 false claims at a nominal .025, n = 25).
- a claim about the method, from several training seeds: the score test and interval with the variance between seeds added
  (`crossed`), and never a smaller p-value than that of the claim about these weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import bootstrap, norm, permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower, normal_sample_size_one_tail

from groundtune.evaluation.bounded import (
    ENOUGH,
    Array,
    BoundedValues,
    Codes,
    design_effect,
    groups_that_differ,
    null_deviation,
    score_interval,
    score_test,
)
from groundtune.evaluation.crossed import sample_of
from groundtune.types import Interval

RESAMPLES = 9_999
FLIPS = 20_000
"""Sign flips drawn; all of them are tried where there are no more."""
BOOTSTRAP_GROUPS = 200
SPREAD = 0.45
"""Standard deviation of a paired difference before anything is known: every fifth item is answered right by one of two only."""

_SMALLEST_GAIN = 0.001
"""A tenth of a point: no affordable number of questions shows less."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two rows of scores on the same items, first minus second."""

    difference: float
    interval: Interval
    p_value: float
    """Two-sided, of "no difference"."""
    p_not_worse: float
    """One-sided, of "the first is worse by the margin or more"."""
    p_not_worse_reverse: float
    """The same with the roles exchanged."""
    test: str
    """What made the three, in words."""


def contrast(first: Array, second: Array, groups: Codes, *, margin: float, level: float = 0.95, seed: int = 0) -> Contrast:
    """Compare two rows [item] of scores in [0, 1]. The result of the exchanged rows is the exact mirror image.

    Rows [seed, item] make it a claim about the method: seeds are then a sample too.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    differing = np.flatnonzero(first - second)
    turned = -1.0 if len(differing) and (first - second).flat[differing[0]] < 0 else 1.0
    ahead, behind = (first, second) if turned > 0 else (second, first)
    sample = sample_of(ahead - behind, groups, low=-1.0, high=1.0)
    reverse = replace(sample, values=-sample.values)
    seeds = len(first)
    binary = seeds == 1 and bool(np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all())
    if binary and not sample.clustered:
        p_value, test = exact_mcnemar(ahead[0], behind[0]), "exact McNemar"
    else:
        p_value, test = sign_flip(sample, seed=seed)
    if seeds > 1:
        p_value = max(p_value, min(1.0, 2 * min(score_test(sample, 0.0), score_test(reverse, 0.0))))
        test += f" or, if larger, crossed score test ({seeds} seeds x items)"
    interval = mean_of(sample, level=level, seed=seed, prefer_score=binary and not sample.clustered)
    not_worse = score_test(sample, -margin), score_test(reverse, -margin)
    if turned < 0:
        interval = Interval(-interval.high, -interval.low, interval.level, interval.method)
        not_worse = not_worse[1], not_worse[0]
    return Contrast(
        turned * float(sample.values.mean()),
        interval,
        p_value,
        *not_worse,
        test=f"{test}; not worse: {_score_name(sample)} test",
    )


def exact_mcnemar(first: Array, second: Array) -> float:
    """Two-sided p-value from the items that only one of two binary rows [item] has right (McNemar 1947, exact)."""
    only_first, only_second = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    return float(mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)


def sign_flip(sample: BoundedValues, *, seed: int) -> tuple[float, str]:
    """Two-sided p-value of "differences are symmetric about 0" by turning the signs of whole groups, and the test's name."""
    sums, _ = _group_totals(sample)
    sums = sums[np.abs(sums) > 1e-12]
    unit = "groups" if sample.clustered else "items"
    if len(sums) < 2:
        return 1.0, f"sign-flip over {unit} (exact)"
    found = permutation_test(
        (sums,),
        _total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=2_000,
        rng=np.random.default_rng(seed),
    )
    drawn = "exact" if 2 ** len(sums) <= FLIPS else f"{FLIPS:,} draws"
    return min(1.0, float(found.pvalue)), f"sign-flip over {unit} ({drawn})"


def mean_interval(values: Sequence[float], groups: Sequence[str], *, level: float = 0.95, seed: int = 0) -> Interval:
    """Interval of the mean of scores in [0, 1]; `groups[i]` is the group of `values[i]`. Not simultaneous over candidates."""
    codes: dict[str, int] = {}
    coded = np.array([codes.setdefault(group, len(codes)) for group in groups], dtype=np.int64)
    row = np.asarray(values, dtype=np.float64)
    sample = BoundedValues(row, coded, 0.0, 1.0)
    return mean_of(sample, level=level, seed=seed, prefer_score=bool(np.isin(row, (0.0, 1.0)).all()) and not sample.clustered)


def mean_of(sample: BoundedValues, *, level: float, seed: int, prefer_score: bool) -> Interval:
    """Interval of a mean over items: BCa over groups where that can be trusted and is wanted, else the score interval.

    Differences are then bounded by the largest seen, once ten groups differ: at worst a failure not seen yet is as bad as those
    seen. Tests keep the bound of -1.
    """
    sums, sizes = _group_totals(sample)
    enough = groups_that_differ(sample) >= ENOUGH
    if prefer_score or sample.seed_variance or len(sums) < BOOTSTRAP_GROUPS or not enough:
        reach = float(np.abs(sample.values).max()) if enough and sample.low < 0 else sample.high
        low, high = score_interval(replace(sample, low=max(sample.low, -reach), high=reach), level=level)
        return Interval(low, high, level, f"{_score_name(sample)} interval")
    found = bootstrap(
        (sums, sizes),
        _ratio,
        paired=True,
        vectorized=True,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(
        float(found.low), float(found.high), level, f"BCa bootstrap over {'groups' if sample.clustered else 'items'}"
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the given order (Holm 1979)."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def simultaneous_level(comparisons: int, *, level: float = 0.95) -> float:
    """Level of each of several intervals so that all hold together at `level` (Bonferroni)."""
    return 1 - (1 - level) / max(1, comparisons)


# --- before the run, and after an open one ------------------------------------------------------------------------------


def smallest_p(groups: int) -> float:
    """Smallest two-sided p-value that a paired test over that many independent groups can reach: 2 / 2^groups."""
    return float(min(1.0, 2.0 ** (1 - groups)))


def groups_needed(comparisons: int, *, alpha: float = 0.05) -> int:
    """Fewest independent groups with which the first of so many comparisons can be significant after Holm."""
    return next(groups for groups in range(1, 1000) if smallest_p(groups) * max(1, comparisons) < alpha)


def power(effect: float, *, groups: int, comparisons: int = 1, spread: float = SPREAD, alpha: float = 0.05) -> float:
    """Chance that a true difference of that size turns out significant at the strictest step of Holm (t approximation)."""
    test = TTestPower()
    return float(test.power(effect / spread, nobs=groups, alpha=alpha / max(1, comparisons), alternative="two-sided"))


def minimum_detectable_effect(
    groups: int, *, comparisons: int = 1, spread: float = SPREAD, alpha: float = 0.05, chance: float = 0.8
) -> float:
    """Smallest true difference found with that chance, at the strictest step of Holm; 1 when not even that would be.

    `spread` is the standard deviation of the paired difference of a group's mean.
    """
    if smallest_p(groups) * max(1, comparisons) >= alpha:
        return 1.0
    solved = TTestPower().solve_power(nobs=groups, alpha=alpha / max(1, comparisons), power=chance, alternative="two-sided")
    return float(min(1.0, float(np.squeeze(solved)) * spread))


def questions_needed(sample: BoundedValues, null: float, *, alpha: float, two_sided: bool, chance: float = 0.8) -> float:
    """Items with which "the mean is `null`" would be rejected upwards with that chance, if what was seen is the truth.

    Infinite when the mean does not lie above `null`, or not by more than what training seeds scatter it. Groups are taken to
    grow in number, not in size. The two-sided test sees the values' own spread, the one-sided score test the spread under the
    null (normal approximation).
    """
    gain = float(sample.values.mean()) - null
    seen = float(sample.values.std() * np.sqrt(design_effect(sample)))
    under_null = seen if two_sided else null_deviation(sample, null)
    tail = alpha / 2 if two_sided else alpha
    left = 1 - sample.seed_variance * float((norm.isf(tail) + norm.ppf(chance)) / gain) ** 2 if gain > 0 else 0.0
    if gain < _SMALLEST_GAIN or left <= 0:
        return float("inf")
    return float(np.ceil(normal_sample_size_one_tail(gain, chance, tail, std_null=under_null, std_alternative=seen) / left))


# --- parts --------------------------------------------------------------------------------------------------------------


def _group_totals(sample: BoundedValues) -> tuple[Array, Array]:
    """Sums and sizes of the groups, in an order that does not depend on the items' order."""
    sums = np.bincount(sample.groups, sample.values).astype(np.float64)
    sizes = np.bincount(sample.groups).astype(np.float64)
    order = np.lexsort((sums, sizes))
    return sums[order], sizes[order]


def _total(sums: Array, axis: int) -> Array:
    return np.asarray(sums.sum(axis=axis))


def _ratio(sums: Array, sizes: Array, axis: int) -> Array:
    return np.asarray(sums.sum(axis=axis) / sizes.sum(axis=axis))


def _score_name(sample: BoundedValues) -> str:
    name = "cluster-adjusted score" if sample.clustered else "score"
    return f"seed-adjusted {name}" if sample.seed_variance else name
