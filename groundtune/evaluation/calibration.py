"""How far a judge agrees with people, and how it is biased. Knows ratings, preferences and lengths; no model and no prompt.

Questions are the independent units: answers to one question stay together in every interval. Shares get the intervals of
`statistics.mean_interval`, kappas and correlations a percentile bootstrap over questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.stats import bootstrap, rankdata
from statsmodels.stats.inter_rater import cohens_kappa

from groundtune.errors import DataError
from groundtune.evaluation.statistics import mean_interval
from groundtune.scoring.judgement import BothOrders
from groundtune.types import Interval, Preference

RESAMPLES = 999
NOTABLE = 0.1
"""A bias counts when its interval excludes none and it is at least this large."""
_ORDER: tuple[Preference, ...] = ("first", "tie", "second")
_FEWEST = 10
"""Questions below which nothing is calibrated."""


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """An answer with what people and the judge gave it."""

    item: str
    """Id of the question."""
    people: tuple[float, ...]
    """One rating a person, 1 to the judge's scale."""
    judge: int | None
    words: int
    """Length of the answer."""


@dataclass(frozen=True, slots=True)
class RatedPair:
    """Two answers to one question with the side that people and the judge, in both orders, prefer."""

    item: str
    people: Preference
    judge: BothOrders
    words: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval; both None where it is not defined, such as the correlation of a constant."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Bias:
    """A bias that was found."""

    name: str
    """`position`, `length` or `always-yes`."""
    figure: Figure
    words: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """The agreement of one judge with people on one set of ratings."""

    judge: str
    fingerprint: str
    answers: int
    pairs: int
    questions: int
    unread: int
    """Ratings and pairs of which a reply could not be read; they are left out of every figure."""
    agreement: Figure
    """Share of answers with exactly the median rating of people, rounded half up."""
    kappa: Figure
    """Cohen's kappa of these two ratings, weighted by squared distance (Cohen 1968)."""
    spearman: Figure
    """Rank correlation of the judge's rating with the mean of people's."""
    pair_agreement: Figure
    """Share of the pairs in which judge and people say the same: first, second or tie."""
    pair_kappa: Figure
    """Cohen's kappa of these three classes, unweighted."""
    consistent: Figure
    """Share of pairs judged alike in both orders."""
    first_shown: Figure
    """Share of decided replies that choose the answer shown first; 0.5 without a position bias."""
    longer: Figure
    """Share of pairs in which the judge decides for the longer answer less that in which people do, ties counting a half."""
    length: Figure
    """Partial rank correlation of rating and length, people's ratings held constant."""
    accepts_bad: Figure
    """Share of the answers that people put in the lower half of the scale and the judge in the upper half."""
    biases: tuple[Bias, ...]

    @property
    def above_chance(self) -> bool:
        """Whether every kappa that could be taken is shown to lie above 0."""
        taken = [one.interval for one in (self.kappa, self.pair_kappa) if one.interval is not None]
        return bool(taken) and all(interval.low > 1e-9 for interval in taken)


def calibrate(
    judge: str,
    *,
    fingerprint: str,
    scale: int,
    answers: Sequence[RatedAnswer] = (),
    pairs: Sequence[RatedPair] = (),
    seed: int = 0,
) -> Calibration:
    """Measure a judge against people. Raises DataError with ratings of fewer than ten questions."""
    questions = {one.item for one in answers} | {one.item for one in pairs}
    if len(questions) < _FEWEST:
        raise DataError(
            f"ratings of {len(questions)} questions calibrate nothing.", subject=judge, remedy=f"Collect at least {_FEWEST}."
        )
    rated = [one for one in answers if one.judge is not None and one.people]
    read = [one for one in pairs if one.judge.preference is not None]
    given = np.array([one.judge for one in rated], dtype=float)
    middle = np.array([math.floor(median(one.people) + 0.5) for one in rated], dtype=float)
    mean = np.array([sum(one.people) / len(one.people) for one in rated])
    words = np.array([one.words for one in rated], dtype=float)
    of_rated, of_read = [one.item for one in rated], [one.item for one in read]
    upper = (scale + 1) / 2
    bad = [place for place in range(len(rated)) if mean[place] < upper]
    shown = [(one.item, side) for one in read for side in _shown_first(one.judge)]
    uneven = [one for one in read if one.words[0] != one.words[1]]

    def boot(items: Sequence[str], statistic: Callable[[np.ndarray], float]) -> Figure:
        return _bootstrapped(items, statistic, seed=seed)

    def share(items: Sequence[str], values: Sequence[float]) -> Figure:
        if not items:
            return Figure(None, None)
        return Figure(float(np.mean(values)), mean_interval(values, items, seed=seed))

    sides = np.array([_ORDER.index(one.people) for one in read], dtype=int)
    chosen = np.array([_ORDER.index(one.judge.preference or "tie") for one in read], dtype=int)
    gains = np.array([_for_longer(one.judge.preference, one) - _for_longer(one.people, one) for one in uneven])
    first_shown = share([item for item, _ in shown], [side for _, side in shown])
    longer = boot([one.item for one in uneven], lambda rows: float(gains[rows].mean()))
    length = boot(of_rated, lambda rows: _partial(given[rows], words[rows], mean[rows]))
    accepts_bad = share([of_rated[place] for place in bad], [float(given[place] >= upper) for place in bad])
    return Calibration(
        judge=judge,
        fingerprint=fingerprint,
        answers=len(rated),
        pairs=len(read),
        questions=len(questions),
        unread=len(answers) + len(pairs) - len(rated) - len(read),
        agreement=share(of_rated, [float(same) for same in given == middle]),
        kappa=boot(of_rated, lambda rows: _kappa(given[rows] - 1, middle[rows] - 1, scale, weighted=True)),
        spearman=boot(of_rated, lambda rows: _correlation(rankdata(given[rows]), rankdata(mean[rows]))),
        pair_agreement=share(of_read, [float(same) for same in sides == chosen]),
        pair_kappa=boot(of_read, lambda rows: _kappa(chosen[rows], sides[rows], len(_ORDER), weighted=False)),
        consistent=share(of_read, [float(one.judge.consistent) for one in read]),
        first_shown=first_shown,
        longer=longer,
        length=length,
        accepts_bad=accepts_bad,
        biases=_biases(first_shown, longer, length, accepts_bad),
    )


def _biases(first_shown: Figure, longer: Figure, length: Figure, accepts_bad: Figure) -> tuple[Bias, ...]:
    found = []
    if _far(first_shown, 0.5):
        found.append(
            Bias("position", first_shown, f"it chooses the answer shown first in {first_shown.value:.0%} of its choices")
        )
    if _above(longer, 0.0):
        found.append(Bias("length", longer, f"it decides for the longer answer {longer.value:.0%} more often than people do"))
    elif _above(length, 0.0):
        found.append(Bias("length", length, f"at equal ratings of people its rating follows length (r = {length.value:.2f})"))
    if _above(accepts_bad, 0.5):
        found.append(Bias("always-yes", accepts_bad, f"it accepts {accepts_bad.value:.0%} of the answers that people reject"))
    return tuple(found)


def _above(figure: Figure, none: float) -> bool:
    value, interval = figure.value, figure.interval
    return value is not None and interval is not None and interval.low > none and value - none >= NOTABLE


def _far(figure: Figure, none: float) -> bool:
    value, interval = figure.value, figure.interval
    outside = interval is not None and not interval.low <= none <= interval.high
    return value is not None and outside and abs(value - none) >= NOTABLE


def _shown_first(judged: BothOrders) -> list[float]:
    """1 for each order in which the answer shown first was chosen, 0 for the other; ties are no choice."""
    forward = [float(judged.forward == "first")] if judged.forward != "tie" else []
    backward = [float(judged.backward == "second")] if judged.backward != "tie" else []
    return forward + backward


def _for_longer(side: Preference | None, pair: RatedPair) -> float:
    if side == "tie" or side is None:
        return 0.5
    return float((side == "first") == (pair.words[0] > pair.words[1]))


def _kappa(first: np.ndarray, second: np.ndarray, classes: int, *, weighted: bool) -> float:
    """NaN when both are the same constant: agreement by chance is then complete."""
    table = np.zeros((classes, classes))
    np.add.at(table, (first.astype(int), second.astype(int)), 1)
    if len(set(first.tolist()) | set(second.tolist())) < 2:
        return float("nan")
    return float(cohens_kappa(table, wt="quadratic" if weighted else None, return_results=False))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if not np.ptp(first) or not np.ptp(second):
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _partial(first: np.ndarray, second: np.ndarray, held: np.ndarray) -> float:
    """Rank correlation of two with a third held constant."""
    a, b, c = rankdata(first), rankdata(second), rankdata(held)
    ab, ac, bc = _correlation(a, b), _correlation(a, c), _correlation(b, c)
    rest = (1 - ac**2) * (1 - bc**2)
    return (ab - ac * bc) / math.sqrt(rest) if rest > 1e-12 else float("nan")


def _bootstrapped(items: Sequence[str], statistic: Callable[[np.ndarray], float], *, seed: int) -> Figure:
    """The statistic of all rows and its interval over resampled questions; resamples without a value are left out."""
    if not items:
        return Figure(None, None)
    codes: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        codes.setdefault(item, []).append(row)
    rows = [np.array(found) for found in codes.values()]
    value = statistic(np.arange(len(items)))
    if not math.isfinite(value) or len(rows) < 2:
        return Figure(value if math.isfinite(value) else None, None)
    drawn = bootstrap(
        (np.arange(len(rows)),),
        lambda chosen: statistic(np.concatenate([rows[int(one)] for one in chosen])),
        vectorized=False,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).bootstrap_distribution
    kept = drawn[np.isfinite(drawn)]
    low, high = np.quantile(kept, [0.025, 0.975])
    return Figure(value, Interval(float(low), float(high), 0.95, "percentile bootstrap over questions"))
