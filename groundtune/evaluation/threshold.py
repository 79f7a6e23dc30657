"""Calibrating when to abstain: a number per item against whether the item can be answered. Knows no question and no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu

from groundtune.scoring.abstention import abstention_counts

PRECISION = 0.9
"""Share of the answered items that are to be answerable."""

FEWEST = 10
"""Items of either kind below which nothing is calibrated."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A threshold below which an assistant abstains, and how it did on the items that it was chosen on."""

    threshold: float
    """0 where no threshold reaches the precision: then nothing is gained by one."""
    auroc: float
    """Chance that an answerable item has a larger number than an unanswerable one."""
    coverage: float
    """Share of the items that are answered at the threshold."""
    answered_precision: float
    """Share of the answered ones that are answerable."""
    abstained_precision: float | None
    """Share of the abstentions that fall on unanswerable items."""
    abstained_recall: float
    """Share of the unanswerable items from which it abstains."""
    answerable: int
    unanswerable: int


def auroc(numbers: Sequence[float], answerable: Sequence[bool]) -> float:
    """Area under the ROC curve: Mann and Whitney's U over the pairs of an answerable and an unanswerable item."""
    values, known = np.asarray(numbers, dtype=np.float64), np.asarray(answerable, dtype=bool)
    found = mannwhitneyu(values[known], values[~known], alternative="two-sided")
    return float(found.statistic / (known.sum() * (~known).sum()))


def coverage_at(numbers: Sequence[float], answerable: Sequence[bool], *, precision: float = PRECISION) -> tuple[float, float]:
    """(largest share of items that can be answered with this precision, the threshold for it); (0, infinity) when none can.

    Items with equal numbers are answered together.
    """
    values, known = np.asarray(numbers, dtype=np.float64), np.asarray(answerable, dtype=bool)
    for threshold in np.unique(values):
        answered = values >= threshold
        if known[answered].mean() >= precision:
            return float(answered.mean()), float(threshold)
    return 0.0, float("inf")


def calibrate(numbers: Sequence[float], answerable: Sequence[bool], *, precision: float = PRECISION) -> Calibrated | None:
    """The lowest threshold with this precision; None with fewer than 10 items of either kind."""
    known = [bool(one) for one in answerable]
    if min(sum(known), len(known) - sum(known)) < FEWEST:
        return None
    share, threshold = coverage_at(numbers, known, precision=precision)
    threshold = threshold if share else 0.0
    abstained = [number < threshold for number in numbers]
    counts = abstention_counts([not one for one in known], abstained)
    answered = [one for one, out in zip(known, abstained, strict=True) if not out]
    return Calibrated(
        threshold=threshold,
        auroc=auroc(numbers, known),
        coverage=len(answered) / len(known),
        answered_precision=sum(answered) / max(1, len(answered)),
        abstained_precision=counts.precision,
        abstained_recall=counts.recall or 0.0,
        answerable=sum(known),
        unanswerable=len(known) - sum(known),
    )
