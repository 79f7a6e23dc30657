"""Races whose truth is known, many at once, and the product's p-values over all of them. Knows arrays; keeps no figures.

What is slow one race at a time is done here over all replicates together, in the same way and with as many draws as the
product: exact McNemar, sign-flips, Holm. `coverage.py` holds some of the races against the product itself.
"""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import binom

from groundtune.evaluation.statistics import FLIPS

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

SHARED = 0.6
"""Part of an answer's latent difficulty that all candidates share."""
INTRACLASS = 0.3
"""Part of it that the items of a group share, where there are groups."""
PARTIAL = 0.25
"""Half-width of the zone of partly right answers of the continuous score, at most the distance to 0 or 1."""
UNEVEN = (1, 2, 3, 6)


def groups_of(shape: str, items: int) -> Codes:
    """[item] `single`: every item its own group; `even`: threes; `uneven`: groups of 1, 2, 3 and 6."""
    if shape == "single":
        return np.arange(items)
    sizes = (3,) if shape == "even" else UNEVEN
    codes = np.repeat(np.arange(items), np.resize(sizes, items))[:items]
    return np.asarray(codes, dtype=np.int64)


def draw(rng: np.random.Generator, means: Array, *, kind: str, groups: Codes, replicates: int) -> Array:
    """Scores [replicate, candidate, item] with exactly these expected `means` [candidate] or [replicate, candidate].

    A Gaussian copula: items share difficulty between candidates, groups share it between items. `binary` is right or wrong;
    `continuous` has answers that are partly right between the two, like F1.
    """
    means = np.broadcast_to(means, (replicates, means.shape[-1]))
    shared = groups.max() + 1 < len(groups)

    def latent(*shape: int) -> Array:
        own = rng.standard_normal((*shape, len(groups)))
        if not shared:
            return own
        whole = rng.standard_normal((*shape, int(groups.max()) + 1))[..., groups]
        return np.asarray(np.sqrt(INTRACLASS) * whole + np.sqrt(1 - INTRACLASS) * own)

    mixed = np.sqrt(SHARED) * latent(replicates, 1) + np.sqrt(1 - SHARED) * latent(replicates, means.shape[1])
    place, centre = ndtr(mixed), means[:, :, None]
    if kind == "binary":
        return (place < centre).astype(np.float64)
    half = np.maximum(np.minimum(PARTIAL, np.minimum(centre, 1 - centre)), 1e-9)
    return np.asarray(np.clip((centre + half - place) / (2 * half), 0, 1))


def pairs(candidates: int) -> list[tuple[int, int]]:
    return list(combinations(range(candidates), 2))


def p_values(rng: np.random.Generator, scores: Array, groups: Codes, *, binary: bool) -> Array:
    """[replicate, pair] Two-sided p-values of "no difference", by the test that the product chooses."""
    columns = []
    for a, b in pairs(scores.shape[1]):
        difference = scores[:, a] - scores[:, b]
        if binary and groups.max() + 1 == len(groups):
            first, second = (difference > 0).sum(axis=1), (difference < 0).sum(axis=1)
            columns.append(np.minimum(1.0, 2 * binom.cdf(np.minimum(first, second), first + second, 0.5)))
        else:
            columns.append(flip_tails(rng, group_sums(difference, groups)))
    return np.stack(columns, axis=1)


def group_sums(values: Array, groups: Codes) -> Array:
    """[..., group] Sums of [..., item]."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.asarray(np.add.reduceat(values, starts, axis=-1))


def flip_tails(rng: np.random.Generator, sums: Array) -> Array:
    """[replicate] Sign-flip p-values of [replicate, group]: all flips where there are at most FLIPS, else FLIPS at random."""
    found = np.ones(len(sums))
    differing = (np.abs(sums) > 1e-12).sum(axis=1)
    limit = int(np.log2(FLIPS))
    for count in range(2, limit + 1):
        rows = np.flatnonzero(differing == count)
        if len(rows):
            own = np.array([row[np.abs(row) > 1e-12] for row in sums[rows]])
            found[rows] = _tails(np.array(list(product((-1.0, 1.0), repeat=count))), own, extra=0)
    for part in np.array_split(rows, max(1, len(rows) // 200)) if len(rows := np.flatnonzero(differing > limit)) else ():
        found[part] = _tails(rng.choice((-1.0, 1.0), size=(FLIPS, sums.shape[1])), sums[part], extra=1)
    return found


def _tails(signs: Array, sums: Array, *, extra: int) -> Array:
    flipped = signs.astype(np.float32) @ sums.T.astype(np.float32)
    seen = sums.sum(axis=1).astype(np.float32)
    slack = np.float32(1e-5)
    above, below = (flipped >= seen - slack).sum(axis=0), (flipped <= seen + slack).sum(axis=0)
    return np.asarray(np.minimum(1.0, 2 * (np.minimum(above, below) + extra) / (len(signs) + extra)))


def holm(raw: Array) -> Array:
    """[replicate, test] Adjusted p-values along the last axis (Holm 1979)."""
    order = np.argsort(raw, axis=1)
    tests = raw.shape[1]
    steps = np.take_along_axis(raw, order, axis=1) * np.arange(tests, 0, -1)
    adjusted = np.empty_like(raw)
    np.put_along_axis(adjusted, order, np.minimum(1.0, np.maximum.accumulate(steps, axis=1)), axis=1)
    return adjusted


def superior(scores: Array, adjusted: Array, *, alpha: float) -> NDArray[np.int64]:
    """[replicate] The candidate that beats every other with an adjusted p below alpha; -1 when there is none."""
    means = scores.mean(axis=2)
    winners = np.full(len(scores), -1)
    for name in range(scores.shape[1]):
        beats = np.full(len(scores), True)
        for column, pair in enumerate(pairs(scores.shape[1])):
            if name in pair:
                other = pair[1] if pair[0] == name else pair[0]
                beats &= (means[:, name] > means[:, other] + 1e-12) & (adjusted[:, column] < alpha)
        winners[beats] = name
    return winners


def holds_up(raw: Array, candidates: int, *, alpha: float) -> NDArray[np.bool_]:
    """[replicate, candidate] Not worse by the margin than any other, from raw p-values [replicate, ordered pair]."""
    passed = holm(raw) < alpha
    ordered = list(permutations(range(candidates), 2))
    own = [[column for column, pair in enumerate(ordered) if pair[0] == name] for name in range(candidates)]
    return np.stack([passed[:, columns].all(axis=1) for columns in own], axis=1)


def p_best(rng: np.random.Generator, scores: Array, groups: Codes, *, resamples: int = 999) -> Array:
    """[replicate, candidate] Share of resamples of groups in which a candidate leads."""
    sums, sizes = group_sums(scores, groups), np.bincount(groups).astype(np.float64)
    count = len(sizes)
    found = np.empty(scores.shape[:2])
    for part in np.array_split(np.arange(len(scores)), max(1, len(scores) // 100)):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
        means = sums[part] @ drawn.T / (drawn @ sizes)
        leads = means >= means.max(axis=1, keepdims=True) - 1e-12
        found[part] = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=2)
    return found
