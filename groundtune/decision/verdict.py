"""Per-item scores to comparisons and a verdict. Pure: knows no model, no retrieval and no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from groundtune.decision.evidence import Seen
from groundtune.evaluation.baseline import best_constant
from groundtune.evaluation.bounded import Array, BoundedValues, score_test
from groundtune.evaluation.crossed import sample_of
from groundtune.evaluation.statistics import (
    Contrast,
    contrast,
    groups_needed,
    holm,
    questions_needed,
    simultaneous_level,
    smallest_p,
)
from groundtune.evaluation.table import ScoreTable, score_table
from groundtune.scoring import metric as find_metric
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.types import (
    ALPHA_NOT_WORSE,
    ALPHA_SUPERIOR,
    Claim,
    Comparison,
    Example,
    Interval,
    Score,
    Verdict,
    VerdictKind,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What per-item scores say."""

    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    """Every ordered pair of the candidates that were given, in their order."""
    floor: float
    """The mean score below which no candidate is good enough."""
    constant: str
    """The constant answer that set the floor; empty when the floor was given."""
    claim: Claim = "these weights"
    """What the comparisons speak of."""


def decide_verdict(
    scores: Mapping[str, Sequence[Score]],
    *,
    metric: str,
    examples: Sequence[Example],
    costs: Mapping[str, float],
    margin: float,
    floor: float | None = None,
    claim: Claim | None = None,
    seed: int = 0,
    settings: Settings = NOTHING_SET,
    compare: Callable[..., Contrast] = contrast,
    seen: Seen | None = None,
) -> Finding:
    """The verdict on candidates that meet the constraints, and the comparisons behind it.

    `scores` are all of one race, `examples` hold at least their items, `costs` rank what is cheapest (one unit for all; a
    candidate without is dearest), `margin` and `floor` are in units of the metric, which `settings` bind. The floor
    defaults to the score of the best constant answer plus the margin.

    The kinds, in this order: `none good enough` when no mean reaches the floor; `superior` when one candidate beats every other
    with Holm-adjusted p < .05; `cheapest non-inferior` for the cheapest that reaches the floor and whose Holm-adjusted test of
    "worse by the margin or more" rejects at 2.5 % against every other; else `inconclusive`. Candidates with identical scores on
    every item are one entry of the family, represented by their cheapest; where their answers differ, equal scores may be
    chance, so it wins only if that many items without a difference show it not to be worse by the margin. Ties of cost go to
    the better mean, then to the one given first. Whoever wins must also be shown, one-sided at 2.5 %, to lie above the floor
    less the margin, by default above the best constant answer, because the best of several that know nothing may clear the
    floor by luck. The order of items and the names of candidates and groups change nothing. `compare` stands in for `contrast`
    where its results are remembered. `seen` brings the p-values of a race with several looks, whose candidates are those that
    are left: one that was dropped is worse by the margin than one of them, and one that was not trained cannot be better by it.

    Scores with several training seeds make a claim about the method, in which seeds are a sample like the items, unless `claim`
    asks for these weights, whose scores are then averaged. With one seed there is no other claim than about these weights.
    """
    table = score_table(scores, metric=metric)
    wanted = set(table.items)
    constant = ""
    if floor is None:
        scorer = find_metric(metric, settings=settings)
        best = best_constant([example for example in examples if example.id in wanted], scorer) if wanted else None
        floor, constant = (best.score + margin, best.answer) if best else (margin, "")
    if not wanted:
        reason = "No candidate meets the constraints." if not scores else f"No question can be scored by {metric}."
        return Finding(Verdict("none good enough", None, None, reason), (), floor, constant)
    claimed: Claim = "these weights" if table.seeds == 1 else claim or "the method"
    said = {name: {(row.item, row.seed): row.answer for row in rows if row.item in wanted} for name, rows in scores.items()}
    race = _Race(table, said, metric, costs, margin, floor, claimed, seed, compare, seen)
    return Finding(race.verdict(), race.comparisons(), floor, constant, claimed)


class _Race:
    """One family of comparisons, computed once."""

    def __init__(
        self,
        table: ScoreTable,
        said: Mapping[str, Mapping[tuple[str, int], str]],
        metric: str,
        costs: Mapping[str, float],
        margin: float,
        floor: float,
        claim: Claim,
        seed: int,
        compare: Callable[..., Contrast],
        seen: Seen | None,
    ) -> None:
        self.table, self.metric, self.margin, self.floor, self.claim = table, metric, margin, floor, claim
        self.seen, self.others = seen, seen.others if seen else ()
        self.least = floor - margin
        rows = table.by_seed if claim == "the method" else table.values[:, np.newaxis]
        self.row = dict(zip(table.candidates, rows, strict=True))
        """[seed, item] of every candidate."""
        self.mean = {name: float(row.mean()) for name, row in self.row.items()}
        given = {name: number for number, name in enumerate(table.candidates)}
        self.cheapness: Callable[[str], tuple[float, float, int]] = lambda name: (
            costs.get(name, float("inf")),
            -self.mean[name],
            given[name],
        )
        same: dict[bytes, list[str]] = {}
        for name in table.candidates:
            same.setdefault(self.row[name].tobytes(), []).append(name)
        self.entry = {name: min(names, key=self.cheapness) for names in same.values() for name in names}
        self.entries = [name for name in table.candidates if self.entry[name] == name]
        self.unlike = {
            name: [twin for twin in table.candidates if self.entry[twin] == name and said[twin] != said[name]]
            for name in self.entries
        }
        """Entry -> candidates with the same scores and other answers."""
        pairs = list(combinations(self.entries, 2))
        self.pairs = len(pairs)
        level = simultaneous_level(len(pairs))
        self.contrasts: dict[tuple[str, str], Contrast] = {
            (a, b): compare(self.row[a], self.row[b], table.groups, margin=margin, level=level, seed=seed) for a, b in pairs
        }
        if seen is not None:
            self.p_adjusted, self.p_not_worse = dict(seen.better()), dict(seen.not_worse(margin))
            return
        adjusted = holm([found.p_value for found in self.contrasts.values()])
        self.p_adjusted = {frozenset(pair): p for pair, p in zip(self.contrasts, adjusted, strict=True)}
        ordered = list(permutations(self.entries, 2))
        self.p_not_worse = dict(zip(ordered, holm([self._raw_not_worse(a, b) for a, b in ordered]), strict=True))

    def verdict(self) -> Verdict:
        good = [name for name in self.entries if self.mean[name] >= self.floor]
        leader = min(self.entries, key=lambda name: (-self.mean[name], self.cheapness(name)))
        if not good:
            return self._say(
                "none good enough",
                None,
                f"The best, {leader}, scores {self.mean[leader]:.3f} on {self.metric}, below the floor of {self.floor:.3f}",
            )
        rivals = [name for name in self.entries if name != leader]
        beaten = bool(rivals or self.others) and all(self._beats(leader, rival) for rival in rivals)
        beaten = beaten and not (self.seen and self.seen.untried)
        if beaten and self._clears_floor(leader) and self._settled(leader):
            closest = min(rivals, key=lambda rival: self.mean[leader] - self.mean[rival], default=None)
            why = self._versus(leader, closest) if closest else f"each of which was dropped: {', '.join(self.others)}"
            return self._say("superior", leader, f"{leader} beats every other candidate, {why}")
        proven = [name for name in good if self._clears_floor(name) and self._settled(name) and self._holds_up(name)]
        if proven:
            cheapest = min(proven, key=self.cheapness)
            return self._say("cheapest non-inferior", cheapest, self._why_cheapest(cheapest, leader))
        return self._inconclusive(leader, self._further_questions(good))

    def comparisons(self) -> tuple[Comparison, ...]:
        return tuple(self._comparison(a, b) for a, b in permutations(self.table.candidates, 2))

    # --- what the tests say ---------------------------------------------------------------------------------------------

    def _beats(self, winner: str, other: str) -> bool:
        return self.mean[winner] > self.mean[other] and self.p_adjusted[frozenset((winner, other))] < ALPHA_SUPERIOR

    def _holds_up(self, name: str) -> bool:
        """Not worse by the margin than any other entry, nor than one that was not trained."""
        held = all(self.p_not_worse[name, other] < ALPHA_NOT_WORSE for other in self.entries if other != name)
        return held and not (self.seen and self.seen.unmatched(name, self.margin))

    def _settled(self, name: str) -> bool:
        """Whether equal scores of candidates that answer differently are enough to take one for the other."""
        return not self.unlike[name] or score_test(self._same(), -self.margin) < ALPHA_NOT_WORSE

    def _same(self) -> BoundedValues:
        return BoundedValues(np.zeros(len(self.table.items)), self.table.groups, -1.0, 1.0)

    def _clears_floor(self, name: str) -> bool:
        return not 0 < self.least < 1 or score_test(self._sample(self.row[name], low=0.0), self.least) < ALPHA_NOT_WORSE

    def _raw_not_worse(self, a: str, b: str) -> float:
        found = self.contrasts.get((a, b))
        return found.p_not_worse if found else self.contrasts[b, a].p_not_worse_reverse

    def _sample(self, values: Array, *, low: float = -1.0) -> BoundedValues:
        return sample_of(values, self.table.groups, low=low, high=1.0)

    def _further_questions(self, good: Sequence[str]) -> int | None:
        """Fewest further questions with which a good one would be superior or not worse than all, at the effects seen."""
        groups = len(self.table.names)
        least = len(self.table.items) * groups_needed(self.pairs) / groups if smallest_p(groups) * self.pairs >= 0.05 else 0.0
        found = []
        for name in good:
            alone = self._sample(self.row[name], low=0.0)
            clear = questions_needed(alone, self.least, alpha=ALPHA_NOT_WORSE, two_sided=False) if 0 < self.least < 1 else 0.0
            if self.unlike[name]:
                same = questions_needed(self._same(), -self.margin, alpha=ALPHA_NOT_WORSE, two_sided=False)
                clear = max(clear, same)
            rivals = [self._sample(self.row[name] - self.row[other]) for other in self.entries if other != name]
            alpha = ALPHA_SUPERIOR / max(1, self.pairs)
            beat = [questions_needed(one, 0.0, alpha=alpha, two_sided=True) for one in rivals]
            alpha = ALPHA_NOT_WORSE / max(1, 2 * self.pairs)
            hold = [questions_needed(one, -self.margin, alpha=alpha, two_sided=False) for one in rivals]
            found += [max([clear, *beat]), max([clear, *hold])]
        total = max(least, min(found))
        return max(1, int(np.ceil(total)) - len(self.table.items)) if np.isfinite(total) else None

    # --- what is said ---------------------------------------------------------------------------------------------------

    def _say(self, kind: VerdictKind, winner: str | None, reason: str) -> Verdict:
        return Verdict(kind, winner, None, f"{reason}; {self._basis()}.")

    def _inconclusive(self, leader: str, further: int | None) -> Verdict:
        rivals = [name for name in self.entries if name != leader and not self._beats(leader, name)]
        if rivals:
            close = min(rivals, key=lambda rival: abs(self.mean[leader] - self.mean[rival]))
            why = f"{leader} scores best but is not shown to be better than {close} or as good, {self._versus(leader, close)}"
        elif self.seen is not None and (open_ := self.seen.unmatched(leader, self.margin)):
            why = f"{leader} scores best but is not shown to be as good as {', '.join(open_)} might be"
        elif not self._settled(leader):
            why = f"{leader} scores best, the same as {self.unlike[leader][0]} on every question, but with other answers"
        else:
            why = f"{leader} scores best with {self.mean[leader]:.3f} but is not shown to be above {self.least:.3f}"
        settle = f"; about {further} further questions would settle it" if further else ""
        return Verdict("inconclusive", None, leader, f"{why}{settle}; {self._basis()}.", further)

    def _why_cheapest(self, winner: str, leader: str) -> str:
        if len(self.entries) == 1 and not self.others:
            return f"{winner} has no rival with other answers and is the cheapest"
        why = f"{winner} is the cheapest that is shown not to be worse than any other by {100 * self.margin:g} points or more"
        return why if winner == leader else f"{why}, {self._versus(winner, leader)}"

    def _versus(self, a: str, b: str) -> str:
        found = self._comparison(a, b)
        low, high = 100 * found.interval.low, 100 * found.interval.high
        return (
            f"{100 * found.difference:+.1f} points of {self.metric} against {b} "
            f"(simultaneous 95 % interval {low:+.1f} to {high:+.1f}, adjusted p = {found.p_adjusted:.3g})"
        )

    def _basis(self) -> str:
        sizes = np.bincount(self.table.groups)
        text = f"{len(self.table.items)} questions in {len(sizes)} independent groups"
        if len(sizes) > 1 and 2 * sizes.max() >= len(self.table.items):
            text += f", one of which holds {100 * sizes.max() / len(self.table.items):.0f} % of them"
        if self.claim == "the method":
            text += f"; a claim about the method, from {self.table.seeds} training seeds"
        elif self.table.seeds > 1:
            text += f"; a claim about these weights, averaged over {self.table.seeds} training seeds"
        return text

    def _comparison(self, a: str, b: str) -> Comparison:
        first, second = self.entry[a], self.entry[b]
        items, groups = len(self.table.items), len(self.table.names)
        if first == second:
            found = contrast(
                self.row[a], self.row[b], self.table.groups, margin=self.margin, level=simultaneous_level(self.pairs)
            )
            test = f"identical scores, one entry of the family; {found.test}, unadjusted"
            return Comparison(a, b, self.metric, 0.0, found.interval, 1.0, 1.0, found.p_not_worse, test, items, groups)
        turned = (first, second) not in self.contrasts
        found = self.contrasts[(second, first) if turned else (first, second)]
        low, high = found.interval.low, found.interval.high
        method = f"{found.interval.method}, simultaneous over {self.pairs} pairs (Bonferroni)"
        return Comparison(
            a,
            b,
            self.metric,
            difference=-found.difference if turned else found.difference,
            interval=Interval(-high, -low, 0.95, method) if turned else Interval(low, high, 0.95, method),
            p_value=found.p_value,
            p_adjusted=self.p_adjusted[frozenset((first, second))],
            p_not_worse=self.p_not_worse[first, second],
            test=found.test + (f"; alpha spending over {self.seen.looks} looks" if self.seen else ""),
            items=items,
            groups=groups,
        )
