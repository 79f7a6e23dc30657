"""The product's verdict over many samples of items at once. Knows arrays; a test holds it to `decide_verdict` itself.

What differs is written here: sign flips are drawn once for all samples, and candidates with the same scores are always taken to
answer differently, because the table holds no answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.deciding.scoretests import group_sums, score_tests
from benchmarks.simulate import flip_tails
from groundtune.types import ALPHA_NOT_WORSE, ALPHA_SUPERIOR

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

KINDS = ("superior", "cheapest non-inferior", "inconclusive", "none good enough")
"""As numbers: their places here."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """[sample] each."""

    kind: Codes
    """Place in KINDS."""
    choice: Codes
    """What is deployed: the winner, else the provisional choice, which is the best seen."""


def verdicts(scores: Array, codes: Codes, *, costs: Array, floors: Array, margin: float, seed: int = 0) -> Verdicts:
    """Verdicts on scores [sample, candidate, item] with codes [sample, item] of groups, costs [candidate], floors [sample]."""
    samples, candidates, items = scores.shape
    means = scores.mean(axis=2)
    cheapness = np.lexsort((-means, np.broadcast_to(costs, means.shape)), axis=1)  # of equals the one given first
    rank = np.argsort(cheapness, axis=1)
    entry = _entries(scores, rank)
    standing = entry == np.arange(candidates)
    twins = np.stack([(entry == name).sum(axis=1) > 1 for name in range(candidates)], axis=1)
    different, worse = _tests(scores, codes, standing, margin=margin, seed=seed)
    least = floors - margin
    clear = np.stack([_above(scores[:, name], codes, least) for name in range(candidates)], axis=1)
    same = score_tests(np.zeros((samples, items)), codes, -margin, low=-1.0, high=1.0) < ALPHA_NOT_WORSE
    usable = standing & clear & (~twins | same[:, np.newaxis])
    leader = _first(np.where(standing, -means, np.inf), rank)
    rows = np.arange(samples)
    ahead = means[rows, leader][:, np.newaxis] > means
    rival = standing & (np.arange(candidates) != leader[:, np.newaxis])
    beaten = rival.any(axis=1) & (~rival | (ahead & (different[rows, leader] < ALPHA_SUPERIOR))).all(axis=1)
    superior = beaten & usable[rows, leader]
    good = standing & (means >= floors[:, np.newaxis])
    others = standing[:, np.newaxis] & ~np.eye(candidates, dtype=bool)
    proven = good & usable & (~others | (worse < ALPHA_NOT_WORSE)).all(axis=2)
    cheapest = np.where(proven, rank, candidates).argmin(axis=1)
    kind = np.select([~good.any(axis=1), superior, proven.any(axis=1)], [3, 0, 1], 2)
    return Verdicts(kind, np.where(kind == 1, cheapest, leader))


def _entries(scores: Array, rank: Codes) -> Codes:
    """[sample, candidate] The cheapest of those with the same scores on every item."""
    samples, candidates, _ = scores.shape
    entry = np.tile(np.arange(candidates), (samples, 1))
    for name in range(candidates):
        alike = (scores == scores[:, name : name + 1]).all(axis=2)
        entry[:, name] = np.where(alike, rank, candidates).argmin(axis=1)
    return entry


def _tests(scores: Array, codes: Codes, standing: Flags, *, margin: float, seed: int) -> tuple[Array, Array]:
    """[sample, candidate, candidate] Holm-adjusted p-values of "no difference" and of "the first is worse by the margin"."""
    samples, candidates, _ = scores.shape
    pairs = list(combinations(range(candidates), 2))
    raw, lower, upper = (np.ones((samples, len(pairs))) for _ in range(3))
    rng = np.random.default_rng(seed)
    single = (codes.max(axis=1) + 1) == codes.shape[1]
    for column, (a, b) in enumerate(pairs):
        rows = np.flatnonzero(standing[:, a] & standing[:, b])
        if not len(rows):
            continue
        difference = scores[rows, a] - scores[rows, b]
        binary = single[rows] & np.isin(scores[rows][:, [a, b]], (0.0, 1.0)).all(axis=(1, 2))
        found = np.ones(len(rows))
        first, second = (difference[binary] > 0).sum(axis=1), (difference[binary] < 0).sum(axis=1)
        found[binary] = np.minimum(1.0, 2 * binom.cdf(np.minimum(first, second), first + second, 0.5))
        if not binary.all():
            found[~binary] = flip_tails(rng, group_sums(difference[~binary], codes[rows][~binary]))
        raw[rows, column] = found
        lower[rows, column] = score_tests(difference, codes[rows], -margin, low=-1.0, high=1.0)
        upper[rows, column] = score_tests(-difference, codes[rows], -margin, low=-1.0, high=1.0)
    present = np.stack([standing[:, a] & standing[:, b] for a, b in pairs], axis=1)
    different, worse = np.ones((samples, candidates, candidates)), np.ones((samples, candidates, candidates))
    adjusted = _holm(raw, present)
    ordered = _holm(np.concatenate([lower, upper], axis=1), np.concatenate([present, present], axis=1))
    for column, (a, b) in enumerate(pairs):
        different[:, a, b] = different[:, b, a] = adjusted[:, column]
        worse[:, a, b], worse[:, b, a] = ordered[:, column], ordered[:, len(pairs) + column]
    return different, worse


def _holm(raw: Array, present: Flags) -> Array:
    """Adjusted p-values along the last axis of the tests that are present (Holm 1979)."""
    order = np.argsort(np.where(present, raw, 2.0), axis=1)
    tests = present.sum(axis=1, keepdims=True)
    steps = np.take_along_axis(raw, order, axis=1) * np.maximum(tests - np.arange(raw.shape[1]), 1)
    adjusted = np.empty_like(raw)
    np.put_along_axis(adjusted, order, np.minimum(1.0, np.maximum.accumulate(steps, axis=1)), axis=1)
    return adjusted


def _above(values: Array, codes: Codes, least: Array) -> Flags:
    """[sample] Whether the mean is shown to lie above `least`; nothing is to be shown for one outside (0, 1)."""
    asked = (least > 0) & (least < 1)
    p = score_tests(values, codes, np.where(asked, least, 0.5), low=0.0, high=1.0)
    return np.asarray(~asked | (p < ALPHA_NOT_WORSE))


def _first(keys: Array, rank: Codes) -> Codes:
    """[sample] Where the key is least, the cheapest of equals."""
    tied = keys == keys.min(axis=1, keepdims=True)
    return np.asarray(np.where(tied, rank, keys.shape[1]).argmin(axis=1))
