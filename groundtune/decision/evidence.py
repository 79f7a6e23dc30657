"""What several looks at growing scores show of every pair of candidates. Knows arrays and levels; no model and no task.

Four families, fixed before the first look, each with its own error rate: one candidate is better; one is not worse by the
margin; one is worse by the margin or more; nothing can be better than one by the margin. A tuned candidate that has learned a
part of its pairs is another assistant than the one that learned all: it has hypotheses of its own, and half of the error rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations

import numpy as np

from groundtune.evaluation.bounded import Array, BoundedValues, Codes, score_test
from groundtune.evaluation.spending import Family, look_weights, predictive_power
from groundtune.evaluation.statistics import FLIPS, exact_mcnemar, sign_flip
from groundtune.types import ALPHA_NOT_WORSE, ALPHA_SUPERIOR

SPARED = 0.005
"""Error rate, within that of "not worse", of resting that claim on a candidate's being worse by the margin than another, and as
much again of resting it on the ceiling."""
NOT_WORSE = ALPHA_NOT_WORSE - 2 * SPARED
"""What is left of that error rate for comparisons."""
CLAIMED = 0.25
"""Smaller shares of its pairs are learned only to see how fast a candidate improves: it is compared from this one on."""
RESOLVED = 4 / FLIPS
"""Smaller p-values are below what drawn sign flips resolve, and the first looks need them: there the score test counts."""
CEILING = 1.0
"""No candidate scores more; the only bound that holds whatever a candidate knows."""

Hypothesis = tuple[str, str, float, float]
"""Two candidates, each with the share of its training pairs that it had learned."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Items in the order in which they are scored, cut into looks."""

    items: tuple[str, ...]
    ends: tuple[int, ...]
    """[look] Items up to and with it; the last is all."""
    groups: Codes
    """[item] Codes of the groups; no group is cut by a look."""

    @property
    def group_counts(self) -> tuple[int, ...]:
        """[look] Groups up to and with it."""
        return tuple(len(np.unique(self.groups[:end])) for end in self.ends)

    @property
    def shares(self) -> tuple[float, ...]:
        """[look] Share of the groups that were seen."""
        return tuple(count / self.group_counts[-1] for count in self.group_counts)


@dataclass(frozen=True, slots=True)
class Entrant:
    """A candidate as a race sees it."""

    name: str
    effort: float
    """Planned seconds or money of all answers: cheaper ones go first."""
    rungs: tuple[float, ...] = ()
    """Shares of its training pairs that a tuned candidate may learn, from the smallest to 1; empty for others."""
    training: float = 0.0
    """Planned effort of learning all of its pairs."""

    @property
    def claimed(self) -> tuple[float, ...]:
        """The rungs that something may be claimed of."""
        return tuple(rung for rung in self.rungs if rung >= CLAIMED)

    def at(self, turn: int, turns: int) -> float:
        """The share that it has learned in one of so many turns; one with fewer rungs begins them later."""
        return self.claimed[max(0, turn - turns + len(self.claimed))] if self.rungs else 1.0


@dataclass
class Evidence:
    """Scores as they come in, and what may be said from them."""

    entrants: Sequence[Entrant]
    looks: Looks
    margin: float
    seed: int = 0
    rows: dict[tuple[str, float, int], Array] = field(default_factory=dict)
    """(candidate, share learned, look) -> [item] in [0, 1], all items up to that look; NaN where the metric does not apply."""
    untried: tuple[str, ...] = ()
    """Tuned candidates that were not trained, because nothing can be better by the margin."""
    flip: Callable[..., tuple[float, str]] = sign_flip
    """Stands in for `sign_flip` where thousands of races are replayed."""

    def __post_init__(self) -> None:
        self.by_name = {one.name: one for one in self.entrants}
        self.turns = max((len(one.claimed) for one in self.entrants), default=0)
        self._weights = look_weights(self.looks.shares)
        self._one_way, self._pairs = tuple(combinations(self.by_name, 2)), tuple(permutations(self.by_name, 2))
        self._better, self._worse = self._family(self._one_way), self._family(self._pairs)
        self._seen: list[tuple[Hypothesis, int]] = []

    def _family(self, pairs: Sequence[tuple[str, str]]) -> Family[Hypothesis]:
        family: Family[Hypothesis] = Family()
        for a, b in pairs:
            states = self._states(a, b)
            for state in states:
                family.enter((a, b, *state), [weight / len(states) for weight in self._weights])
        return family

    def _states(self, a: str, b: str) -> list[tuple[float, float]]:
        """The shares of their pairs that two candidates may have learned when they are compared."""
        both = [(self.by_name[a].at(turn, self.turns), self.by_name[b].at(turn, self.turns)) for turn in range(self.turns)]
        return list(dict.fromkeys(both or [(1.0, 1.0)]))

    # --- scores in ------------------------------------------------------------------------------------------------------

    def see(
        self, look: int, pairs: Sequence[tuple[str, str]], *, learned: Mapping[str, float], growth: Mapping[str, float]
    ) -> None:
        """Test these pairs on the rows of a look, each pair in each state once a look.

        `learned` is the share that each candidate has learned, `growth` by how much its score may still rise; one that it does
        not name is not tested for being worse by the margin.
        """
        for pair in pairs:
            a, b = pair if pair in self._one_way else pair[::-1]
            state: Hypothesis = (a, b, learned[a], learned[b])
            self._seen.append((state, look))
            self._better.see(state, look, self._two_sided(state, look))
            for low, high in ((a, b), (b, a)):
                if low in growth and learned[high] == 1:
                    p_value = self._above((high, low, 1.0, learned[low]), look, self.margin + growth[low])
                    self._worse.see((low, high, learned[low], 1.0), look, p_value)

    # --- what may be said -----------------------------------------------------------------------------------------------

    def better(self, learned: Mapping[str, float]) -> dict[frozenset[str], float]:
        """Pair -> adjusted two-sided p-value of "no difference", to be held against ALPHA_SUPERIOR."""
        adjusted = self._better.adjusted()
        return {frozenset((a, b)): adjusted.get((a, b, learned[a], learned[b]), 1.0) for a, b in self._known(learned)}

    def not_worse(self, learned: Mapping[str, float], margin: float) -> dict[tuple[str, str], float]:
        """Ordered pair -> adjusted p-value of "worse by the margin or more", to be held against ALPHA_NOT_WORSE."""
        family = self._family(self._pairs)
        for (a, b, one, other), look in self._seen:
            for state in ((a, b, one, other), (b, a, other, one)):
                family.see(state, look, self._above(state, look, -margin))
        adjusted, scale = family.adjusted(), ALPHA_NOT_WORSE / NOT_WORSE
        return {
            pair: min(1.0, scale * adjusted.get((*pair, learned[pair[0]], learned[pair[1]]), 1.0))
            for one in self._known(learned)
            for pair in (one, one[::-1])
        }

    def chance_of_beating(self, name: str, others: Sequence[str], learned: Mapping[str, float], look: int) -> float:
        """How likely it is to be shown to be better than all of these at the last look, each with what it has learned now."""
        return min(
            self._chance_of_more((name, other, learned[name], learned[other]), look, pairs=len(self._one_way))
            for other in others
        )

    def _chance_of_more(self, state: Hypothesis, look: int, *, pairs: int = 1) -> float:
        """The chance of the last look to show that the first is better than the second, as one of so many pairs."""
        a, b, one, other = state
        p_value = self._two_sided(state, look) / 2
        if np.nanmean(self.rows[a, one, look] - self.rows[b, other, look]) <= 0:
            p_value = 1 - p_value
        level = ALPHA_SUPERIOR / 2 * self._weights[-1] / (pairs * len(self._states(a, b)))
        return predictive_power(p_value, self.looks.shares[look], level=level)

    def chance_of_winning(
        self, name: str, others: Sequence[str], learned: Mapping[str, float], look: int, floor: float
    ) -> float:
        """At most so likely is it to reach the floor, and to be better than all of these or not worse, when everything is seen.

        Corrections for many pairs are left out, so that it is never too low for their sake.
        """
        share, rows = self.looks.shares[look], self.rows[name, learned[name], look]
        good = predictive_power(score_test(self._sample(rows, low=0.0), floor), share, level=0.5) if 0 < floor < 1 else 1.0
        better, not_worse = [1.0], [1.0]
        for other in others:
            better.append(self._chance_of_more((name, other, learned[name], learned[other]), look))
            gain = self._sample(rows - self.rows[other, learned[other], look], low=-1.0)
            not_worse.append(predictive_power(score_test(gain, -self.margin), share, level=NOT_WORSE * self._weights[-1]))
        return min(good, max(min(better), min(not_worse)))

    def may_hold_up(self, name: str, learned: Mapping[str, float], look: int) -> bool:
        """Whether this look alone could show a candidate not to be worse than any other; quick."""
        level = NOT_WORSE * self._weights[look]
        return all(
            self._above((name, other, learned[name], learned[other]), look, -self.margin) < level
            for other in self.by_name
            if other != name and (other, learned.get(other), look) in self.rows
        )

    def worse(self, learned: Mapping[str, float]) -> dict[tuple[str, str], float]:
        """(candidate, other) -> adjusted p-value of "not worse than the other by the margin"."""
        adjusted = self._worse.adjusted()
        return {
            pair: adjusted.get((*pair, learned[pair[0]], learned[pair[1]]), 1.0)
            for one in self._known(learned)
            for pair in (one, one[::-1])
        }

    def _known(self, learned: Mapping[str, float]) -> list[tuple[str, str]]:
        return [(a, b) for a, b in self._one_way if a in learned and b in learned]

    def headroom(self, margin: float) -> dict[str, float]:
        """Untuned candidate -> adjusted p-value of "the ceiling is the margin or more above it", held against SPARED.

        It is tested once, on all items; a candidate that did not reach them has none.
        """
        last = len(self.looks.ends) - 1
        family: Family[str] = Family()
        for name in (one.name for one in self.entrants if not one.rungs):
            family.enter(name, [1.0])
            if (name, 1.0, last) in self.rows and 0 < CEILING - margin < 1:
                family.see(name, 0, score_test(self._sample(self.rows[name, 1.0, last], low=0.0), CEILING - margin))
        return family.adjusted()

    def spent(self) -> list[dict[str, float]]:
        """[look] Its questions and groups, and the error rates that each claim may use there."""
        rows = zip(self.looks.ends, self.looks.group_counts, self._weights, strict=True)
        return [
            {"questions": end, "groups": groups, "superior": ALPHA_SUPERIOR * weight, "not_worse": NOT_WORSE * weight}
            for end, groups, weight in rows
        ]

    def mean(self, name: str, learned: float, look: int) -> float:
        return float(np.nanmean(self.rows[name, learned, look]))

    def below_ceiling(self, name: str, look: int) -> bool:
        """Whether an untuned candidate is shown to lie below the ceiling by more than the margin; nothing is claimed by it."""
        left = self._sample(CEILING - self.rows[name, 1.0, look], low=0.0)
        return score_test(left, self.margin) < ALPHA_NOT_WORSE

    def above(self, name: str, learned: float, least: float, look: int) -> bool:
        """Whether a candidate is shown to lie above `least`, at the level of this look."""
        sample = self._sample(self.rows[name, learned, look], low=0.0)
        return not 0 < least < 1 or score_test(sample, least) < ALPHA_NOT_WORSE * self._weights[look]

    # --- tests ----------------------------------------------------------------------------------------------------------

    def _sample(self, values: Array, *, low: float) -> BoundedValues:
        known = np.isfinite(values)
        codes = np.unique(self.looks.groups[: len(values)][known], return_inverse=True)[1].astype(np.int64)
        return BoundedValues(values[known], codes, low, 1.0)

    def _two_sided(self, state: Hypothesis, look: int) -> float:
        a, b, one, other = state
        first, second = self.rows[a, one, look], self.rows[b, other, look]
        known = np.isfinite(first - second)
        first, second, sample = first[known], second[known], self._sample(first - second, low=-1.0)
        if not sample.clustered and np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all():
            return exact_mcnemar(first, second)
        p_value = self.flip(sample, seed=self.seed)[0]
        if p_value > RESOLVED:
            return p_value
        return min(RESOLVED, 2 * min(score_test(sample, 0.0), score_test(replace(sample, values=-sample.values), 0.0)))

    def _above(self, state: Hypothesis, look: int, least: float) -> float:
        """One-sided p-value of "the first is better than the second by at most `least`"."""
        a, b, one, other = state
        sample = self._sample(self.rows[a, one, look] - self.rows[b, other, look], low=-1.0)
        if least >= 1 or sample.values.mean() <= least:  # p is a half or more, and is not needed more precisely
            return 1.0
        return score_test(sample, least)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a finished race with looks may say of those that were left."""

    evidence: Evidence
    learned: Mapping[str, float]
    """Candidate that was measured -> the share of its pairs that it had learned."""
    dropped: tuple[str, ...]

    @property
    def looks(self) -> int:
        return len(self.evidence.looks.ends)

    @property
    def untried(self) -> tuple[str, ...]:
        return self.evidence.untried

    @property
    def others(self) -> tuple[str, ...]:
        """Candidates that were dropped or not trained."""
        return (*self.dropped, *self.untried)

    def better(self) -> Mapping[frozenset[str], float]:
        return self.evidence.better(self.learned)

    def not_worse(self, margin: float) -> Mapping[tuple[str, str], float]:
        return self.evidence.not_worse(self.learned, margin)

    def unmatched(self, name: str, margin: float) -> tuple[str, ...]:
        """Those of the others that this one, not worse than any that is left, is not shown to be as good as.

        One that was dropped is met directly, or through one that it is worse than by the margin.
        """
        direct, worse = self.not_worse(margin), self.evidence.worse(self.learned)
        left = [other for other in self.learned if other not in self.dropped]
        missed = [
            one
            for one in self.dropped
            if direct[name, one] >= ALPHA_NOT_WORSE and all(worse[one, other] >= SPARED for other in left)
        ]
        full = self.evidence.headroom(margin).get(name, 1.0) < SPARED if self.untried else True
        return (*missed, *(() if full else self.untried))
