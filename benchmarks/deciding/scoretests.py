"""The score tests of `groundtune.evaluation.bounded` over many samples at once. Knows arrays; a test holds it to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from groundtune.evaluation.bounded import FEW

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

_STEPS = 60
"""Halvings of the bracket in which the tilt lies."""
_EDGE = 1e-12


def group_sums(values: Array, codes: Codes) -> Array:
    """[sample, group] Sums of [sample, item]; groups that a sample lacks are 0."""
    width = int(codes.max()) + 1
    place = codes + width * np.arange(len(codes))[:, np.newaxis]
    flat = np.bincount(place.ravel(), values.ravel(), minlength=width * len(codes))
    return np.asarray(flat.reshape(len(codes), width))


def design_effects(values: Array, codes: Codes) -> Array:
    """[sample] See `bounded.design_effect`; codes [sample, item] count from 0 in every sample."""
    items = values.shape[1]
    counts = codes.max(axis=1) + 1
    residual = values - values.mean(axis=1, keepdims=True)
    sums, sizes = group_sums(residual, codes), group_sums(np.ones_like(values), codes)
    with np.errstate(divide="ignore", invalid="ignore"):
        independent = (residual**2).sum(axis=1) * items / (items - 1)
        clustered = (sums**2).sum(axis=1) * counts / (counts - 1)
        alike = (sizes**2).sum(axis=1) / items
        other = values != _commonest(values)[:, np.newaxis]
        differing = (group_sums(other.astype(np.float64), codes) > 0).sum(axis=1)
        assumed = 1 + (alike - 1) * np.maximum(0.0, 1 - differing / FEW)
        measured = np.where(independent > _EDGE, clustered / independent, 1.0)
    found = np.maximum(1.0, np.maximum(assumed, measured))
    return np.where(counts < items, found, 1.0)


def _commonest(values: Array) -> Array:
    """[sample] The commonest value, the smallest of several."""
    ordered = np.sort(values, axis=1)
    columns = np.arange(values.shape[1])
    fresh = np.concatenate([np.ones((len(values), 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    runs = columns - np.maximum.accumulate(np.where(fresh, columns, 0), axis=1)
    return np.take_along_axis(ordered, runs.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]


def score_tests(values: Array, codes: Codes, null: float | Array, *, low: float, high: float) -> Array:
    """[sample] One-sided p-values of "the mean is at most `null`", as `bounded.score_test`; `null` is one or [sample]."""
    samples, items = values.shape
    null = np.broadcast_to(np.asarray(null, dtype=np.float64), (samples,))
    excess = values - null[:, np.newaxis]
    up = excess.sum(axis=1) >= 0
    turned = np.where(up[:, np.newaxis], excess, -excess)
    bound = np.where(up, low - null, null - high)
    variance = _null_variances(turned, bound) * design_effects(values, codes) / items
    gain = values.mean(axis=1) - null
    z = np.divide(gain, np.sqrt(variance), out=np.zeros(samples), where=variance > 0)
    counts = codes.max(axis=1) + 1
    p = np.where(counts < items, t.sf(z, np.maximum(counts - 1, 1)), norm.sf(z))
    return np.where(counts < 2, 1.0, p)


def _null_variances(excess: Array, bound: Array) -> Array:
    """[sample] See `bounded._null_variance`."""
    least = excess.min(axis=1)
    reached = least <= bound * (1 - 1e-9)
    limit = -1 / np.minimum(least, bound)

    def slope(tilt: Array) -> Array:
        return np.asarray((excess / (1 + tilt[:, np.newaxis] * excess)).sum(axis=1))

    with np.errstate(divide="ignore", invalid="ignore"):
        at_limit = np.where(reached, -np.inf, slope(limit))
        below, above = np.zeros_like(limit), np.where(reached, limit * (1 - _EDGE), limit)
        for _ in range(_STEPS):
            middle = (below + above) / 2
            rising = slope(middle) > 0
            below, above = np.where(rising, middle, below), np.where(rising, above, middle)
    tilt = np.where(slope(np.zeros_like(limit)) <= 0, 0.0, np.where(at_limit >= 0, limit, (below + above) / 2))
    weights = 1 / (excess.shape[1] * (1 + tilt[:, np.newaxis] * excess))
    return np.asarray((weights * excess**2).sum(axis=1) + np.maximum(0.0, 1 - weights.sum(axis=1)) * bound**2)
