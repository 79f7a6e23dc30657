"""Where each candidate stands in the field: its chance to be the best, and the set that still may be. Knows a score table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from groundtune.evaluation.bounded import Array
from groundtune.evaluation.table import ScoreTable

RESAMPLES = 4_999
SET_RESAMPLES = 1_000
SET_SIZE = 0.05
"""The set holds the best candidate in at least 1 - this of all races, as the number of groups grows."""

_BLUR = 1e-9
"""Differences that are the same in every group have no spread to divide by; this gives them one that decides nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Descriptive: no verdict rests on it."""

    p_best: Mapping[str, float]
    """Candidate -> share of bootstrap resamples of groups in which its mean is the highest; ties share. Sums to 1."""
    confidence_set: tuple[str, ...]
    """Candidates that the model confidence set keeps, in the order of the table."""


def standing(table: ScoreTable, *, seed: int = 0) -> Standing:
    """P(best) and the model confidence set over the groups of a table, as seen with these weights.

    Candidates with identical scores are one entry and share its chance; with fewer than two groups each may be the best.
    """
    rows = table.values
    distinct, entry = np.unique(rows, axis=0, return_inverse=True)
    entry = entry.ravel()
    sums = np.array([np.bincount(table.groups, row) for row in distinct])
    sizes = np.bincount(table.groups).astype(np.float64)
    if len(distinct) < 2 or len(sizes) < 2:
        share = np.full(len(distinct), 1 / len(distinct))
        kept = np.full(len(distinct), True)
    else:
        share, kept = p_best(sums, sizes, seed=seed), confidence_set(sums, sizes, seed=seed)
    twins = np.bincount(entry)
    chances = {name: float(share[own] / twins[own]) for name, own in zip(table.candidates, entry, strict=True)}
    return Standing(chances, tuple(name for name, own in zip(table.candidates, entry, strict=True) if kept[own]))


def p_best(sums: Array, sizes: Array, *, seed: int) -> Array:
    """[candidate] Share of resamples of groups in which a candidate leads, from sums [candidate, group] and sizes [group]."""
    found = bootstrap(
        (*sums, sizes),
        _leads,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=1_000,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return np.asarray(found.bootstrap_distribution.mean(axis=-1))


def confidence_set(sums: Array, sizes: Array, *, seed: int) -> NDArray[np.bool_]:
    """[candidate] Whether the model confidence set (Hansen, Lunde and Nason 2011) keeps a candidate.

    Groups are independent, so blocks have length 1; their linearised shares of the mean over items stand in for losses. The
    statistic is T_max: arch breaks ties of its T_R wrongly.
    """
    from arch.bootstrap import MCS  # takes seconds to import

    means = sums.sum(axis=1, keepdims=True) / sizes.sum()
    losses = 1 - means - (sums - means * sizes) * len(sizes) / sizes.sum()
    losses = losses[:, np.lexsort(losses)]
    losses = losses + np.random.default_rng(seed).uniform(-_BLUR, _BLUR, losses.shape)
    found = MCS(losses.T, size=SET_SIZE, reps=SET_RESAMPLES, block_size=1, method="max", bootstrap="stationary", seed=seed)
    found.compute()
    kept = {int(str(number)) for number in found.included}
    return np.array([number in kept for number in range(len(sums))])


def _leads(*rows: Array, axis: int) -> Array:
    *sums, sizes = rows
    means = np.stack([total.sum(axis=axis) for total in sums]) / sizes.sum(axis=axis)
    leads = means >= means.max(axis=0) - 1e-12
    return np.asarray(leads / leads.sum(axis=0))
