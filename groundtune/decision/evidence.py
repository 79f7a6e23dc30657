"""What several looks at growing scores show of every pair of candidates. Knows arrays and levels; no model and no task.

Three families, fixed before the first look, each with its own error rate: one is better (two-sided), one is not worse by the
margin, and the two that spare work: one is worse by the margin or more, and nothing can be better than one by the margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations

import numpy as np

from groundtune.evaluation.bounded import Array, BoundedValues, Codes, score_test
from groundtune.evaluation.spending import Family, look_weights
from groundtune.evaluation.statistics import exact_mcnemar, sign_flip
from groundtune.types import ALPHA_NOT_WORSE, ALPHA_SUPERIOR

SPARED = 0.005
"""Error rate of dropping one that is not worse by the margin, and as much again of "nothing can be better by the margin"."""
BETTER = ALPHA_SUPERIOR - SPARED
"""What is left of the error rate of "superior": that claim may rest on a drop."""
NOT_WORSE = ALPHA_NOT_WORSE - 2 * SPARED
"""What is left of that of "not worse": that claim may rest on a drop and on a training that was spared."""
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
    """Planned seconds or money of one answer: cheaper ones go first."""
    learned: tuple[float, ...] = ()
    """[look] The share of its training pairs that a tuned candidate has learned; empty for others."""

    def at(self, look: int) -> float:
        return self.learned[look] if self.learned else 1.0


@dataclass
class Evidence:
    """Scores as they come in, and what may be said from them."""

    entrants: Sequence[Entrant]
    looks: Looks
    margin: float
    seed: int = 0
    rows: dict[tuple[str, int], Array] = field(default_factory=dict)
    """(candidate, look) -> [item] in [0, 1] over the items up to that look; NaN where the metric does not apply."""
    untried: tuple[str, ...] = ()
    """Tuned candidates that were not trained, because nothing can be better by the margin."""

    def __post_init__(self) -> None:
        self.by_name = {one.name: one for one in self.entrants}
        names, shares = tuple(self.by_name), self.looks.shares
        sided = look_weights(shares, alpha=BETTER / 2)
        self._better = self._family(BETTER, sided, list(combinations(names, 2)))
        self._weights = look_weights(shares, alpha=NOT_WORSE)
        self._pairs, self._one_way = list(permutations(names, 2)), frozenset(combinations(names, 2))
        self._worse = self._family(SPARED, look_weights(shares, alpha=SPARED), self._pairs)
        self._seen: list[tuple[str, str, int]] = []

    def _family(self, alpha: float, weights: tuple[float, ...], pairs: Sequence[tuple[str, str]]) -> Family[Hypothesis]:
        family: Family[Hypothesis] = Family(alpha, weights)
        for a, b in pairs:
            states = [self._state(a, b, look) for look in range(len(weights))]
            for state in dict.fromkeys(states):
                family.enter(state, [look for look, other in enumerate(states) if other == state])
        return family

    def _state(self, a: str, b: str, look: int) -> Hypothesis:
        return a, b, self.by_name[a].at(look), self.by_name[b].at(look)

    # --- scores in ------------------------------------------------------------------------------------------------------

    def see(self, look: int, pairs: Sequence[tuple[str, str]], *, growth: Mapping[str, float]) -> None:
        """Test these pairs on the rows of a look, each pair once a look. `growth` says by how much a candidate may still
        improve; one that it does not name is not tested for being worse by the margin."""
        for pair in pairs:
            a, b = pair if pair in self._one_way else pair[::-1]
            self._seen.append((a, b, look))
            self._better.see(self._state(a, b, look), look, self._two_sided(a, b, look))
            for low, high in ((a, b), (b, a)):
                if low in growth and self.by_name[high].at(look) == 1.0:
                    p_value = self._above(high, low, look, self.margin + growth[low])
                    self._worse.see(self._state(low, high, look), look, p_value)

    # --- what may be said -----------------------------------------------------------------------------------------------

    def better(self, look: int) -> dict[frozenset[str], float]:
        """Pair -> adjusted two-sided p-value of "no difference", to be held against ALPHA_SUPERIOR, as of this look."""
        adjusted, scale = self._better.adjusted(), ALPHA_SUPERIOR / BETTER
        return {frozenset(pair): min(1.0, scale * adjusted[self._state(*pair, look)]) for pair in combinations(self.by_name, 2)}

    def not_worse(self, look: int, margin: float) -> dict[tuple[str, str], float]:
        """Ordered pair -> adjusted p-value of "worse by the margin or more", to be held against ALPHA_NOT_WORSE."""
        family = self._family(NOT_WORSE, self._weights, self._pairs)
        for a, b, when in self._seen:
            for one, other in ((a, b), (b, a)):
                family.see(self._state(one, other, when), when, self._above(one, other, when, -margin))
        adjusted, scale = family.adjusted(), ALPHA_NOT_WORSE / NOT_WORSE
        return {pair: min(1.0, scale * adjusted[self._state(*pair, look)]) for pair in self._pairs}

    def hopeless(self, look: int) -> dict[tuple[str, str], float]:
        """(candidate, other) -> adjusted p-value of "not worse than the other by the margin", to be held against SPARED."""
        adjusted = self._worse.adjusted()
        return {pair: adjusted[self._state(*pair, look)] for pair in self._pairs}

    def headroom(self, margin: float) -> dict[str, float]:
        """Untuned candidate -> adjusted p-value of "the ceiling is the margin or more above it", held against SPARED.

        It is tested once, on all items; a candidate that did not reach them has none.
        """
        last = len(self.looks.ends) - 1
        untuned = [one.name for one in self.entrants if not one.learned]
        family: Family[str] = Family(SPARED, (1.0,))
        for name in untuned:
            family.enter(name, [0])
            if (name, last) in self.rows and 0 < CEILING - margin < 1:
                family.see(name, 0, score_test(self._sample(self.rows[name, last], low=0.0), CEILING - margin))
        return family.adjusted()

    def spent(self) -> list[dict[str, float]]:
        """[look] Its questions and groups, and the error rates that each claim may use there."""
        rows = zip(self.looks.ends, self.looks.group_counts, self._better.weights, self._weights, strict=True)
        return [
            {"questions": end, "groups": groups, "superior": BETTER * better, "not_worse": NOT_WORSE * not_worse}
            for end, groups, better, not_worse in rows
        ]

    def floor_level(self, look: int) -> float:
        """One-sided level at which a winner must be shown to lie above the floor less the margin at this look."""
        return ALPHA_NOT_WORSE * self._weights[look]

    def mean(self, name: str, look: int) -> float:
        return float(np.nanmean(self.rows[name, look]))

    def above(self, name: str, least: float, look: int) -> bool:
        """Whether a candidate is shown to lie above `least`, at the level of this look."""
        sample = self._sample(self.rows[name, look], low=0.0)
        return not 0 < least < 1 or score_test(sample, least) < self.floor_level(look)

    # --- tests ----------------------------------------------------------------------------------------------------------

    def _sample(self, values: Array, *, low: float) -> BoundedValues:
        known = np.isfinite(values)
        codes = np.unique(self.looks.groups[: len(values)][known], return_inverse=True)[1].astype(np.int64)
        return BoundedValues(values[known], codes, low, 1.0)

    def _two_sided(self, a: str, b: str, look: int) -> float:
        first, second = self.rows[a, look], self.rows[b, look]
        known = np.isfinite(first - second)
        first, second, sample = first[known], second[known], self._sample(first - second, low=-1.0)
        if not sample.clustered and np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all():
            return exact_mcnemar(first, second)
        return sign_flip(sample, seed=self.seed)[0]

    def _above(self, one: str, other: str, look: int, least: float) -> float:
        """One-sided p-value of "the first is better than the second by at most `least`"."""
        if least >= 1:
            return 1.0
        return score_test(self._sample(self.rows[one, look] - self.rows[other, look], low=-1.0), least)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a finished race with looks may say, as of its last one."""

    evidence: Evidence
    look: int
    others: tuple[str, ...]
    """Candidates that were dropped or not trained."""

    @property
    def looks(self) -> int:
        return len(self.evidence.looks.ends)

    @property
    def untried(self) -> tuple[str, ...]:
        return self.evidence.untried

    def better(self) -> Mapping[frozenset[str], float]:
        return self.evidence.better(self.look)

    def not_worse(self, margin: float) -> Mapping[tuple[str, str], float]:
        return self.evidence.not_worse(self.look, margin)

    def at_ceiling(self, name: str, margin: float) -> bool:
        """Whether nothing that was not trained can be better than this one by the margin."""
        return not self.untried or self.evidence.headroom(margin).get(name, 1.0) < SPARED
