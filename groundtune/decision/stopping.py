"""Which candidate answers, learns and stops when, so that no more is measured than a verdict needs. Pure: it is handed scores.

Untuned candidates go through all looks, cheapest first. One that is worse than another by the margin or more is dropped. A
training begins only if something can be better than the best of them by the margin. Tuned candidates learn from a part of
their pairs at the first looks and from four times as many at the next. From the second part on one is dropped when it would be
worse by the margin even if every further fourfold of data brought as much as the last one: no learning curve is taken to grow
steeper, as in learning-curve cross-validation (Mohr and van Rijn 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from groundtune.decision.evidence import SPARED, Entrant, Evidence, Looks, Seen
from groundtune.evaluation.bounded import Array
from groundtune.types import ALPHA_NOT_WORSE, ALPHA_SUPERIOR

RISE = 4
"""A rung of data has so many times the pairs of the one before."""
FEWEST_PAIRS = 16
"""Training pairs of the smallest rung."""
CLAIMED = 1 / RISE
"""A candidate that learned a smaller share than this is never said to be better than others."""
LOOKS = (0.25, 0.5, 1.0)
FEWEST_GROUPS = 10
"""Of the first look; with fewer there is one look less."""

Measure = Callable[[str, int, float], Array]
"""(candidate, look, share of the training pairs learned) -> [item] its scores on all items up to that look."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where one candidate's work ended."""

    items: int
    """That it answered; of a tuned one, with the weights of `learned`."""
    learned: float
    """Share of its training pairs; 1 for a candidate that learns nothing, 0 for one that was not trained."""
    why: str
    """In a sentence; empty when it went to the end."""


@dataclass(frozen=True)
class Course:
    """How a race went."""

    evidence: Evidence
    look: int
    """The last one: the verdict speaks of its items."""
    left: tuple[str, ...]
    """Candidates that were neither dropped nor spared, in the order given."""
    stops: Mapping[str, Stop]
    ended: str
    """Why no more was measured, in a sentence; empty when everything was."""

    @property
    def items(self) -> tuple[str, ...]:
        """Those that the verdict speaks of."""
        looks = self.evidence.looks
        return looks.items[: looks.ends[self.look]]

    @property
    def seen(self) -> Seen:
        return Seen(self.evidence, self.look, tuple(name for name in self.stops if name not in self.left))


def rungs(looks: int, pairs: int) -> tuple[float, ...]:
    """[look] The share of the training pairs that is learned by then: a quarter for each look before the last, at least 16."""
    least = min(1.0, next((RISE**-n for n in range(looks, -1, -1) if pairs * RISE**-n >= FEWEST_PAIRS), 1.0))
    return tuple(max(RISE ** -(looks - 1 - look), least) for look in range(looks))


def race(field: Sequence[Entrant], looks: Looks, *, measure: Measure, margin: float, floor: float, seed: int = 0) -> Course:
    """Run it. The same scores give the same course, so an interrupted one is repeated from what was stored."""
    return _Race(Evidence(tuple(field), looks, margin, seed), measure, floor).run()


@dataclass
class _Race:
    evidence: Evidence
    measure: Measure
    floor: float
    stops: dict[str, Stop] = field(default_factory=dict)
    look: int = 0
    ended: str = ""

    def run(self) -> Course:
        by_effort = sorted(self.evidence.entrants, key=lambda one: one.effort)
        untuned = [one for one in by_effort if not one.learned]
        tuned = [one for one in by_effort if one.learned]
        last = len(self.evidence.looks.ends) - 1
        for look in range(last + 1):
            alone = self._ask(untuned, look, others=())
            if not tuned and alone:
                break
        if tuned and self._spare(tuned):
            tuned = []
        for look in range(last + 1) if tuned else ():
            if self._ask(tuned, look, others=untuned) or not self._left(tuned):
                break
        if not self._left(tuned):
            self.look = max(look for name, look in self.evidence.rows if name in {one.name for one in untuned} or not untuned)
        return self._course()

    def _left(self, some: Sequence[Entrant]) -> list[Entrant]:
        return [one for one in some if one.name not in self.stops]

    # --- one look -------------------------------------------------------------------------------------------------------

    def _ask(self, some: Sequence[Entrant], look: int, *, others: Sequence[Entrant]) -> bool:
        """Measure `some` on one look, compare them with each other and with `others`, drop; whether the race is decided."""
        evidence, asked, against = self.evidence, self._left(some), self._left(others)
        for one in asked:
            evidence.rows[one.name, look] = self.measure(one.name, look, one.at(look))
        self.look = look
        pairs = [*combinations((one.name for one in asked), 2), *((one.name, other.name) for one in asked for other in against)]
        growth = {one.name: rise for one in asked if (rise := self._growth(one, look)) is not None}
        evidence.see(look, pairs, growth=growth)
        hopeless = evidence.hopeless(look)
        for one in asked:
            over = [other for other in (*asked, *against) if other is not one and hopeless[one.name, other.name] < SPARED]
            if over:
                best = max(over, key=lambda other: evidence.mean(other.name, look))
                self._stop(one, look, self._why_dropped(one, best, look, growth[one.name]))
        present = [*self._left(asked), *against]
        if not self._left(asked) or look == len(evidence.looks.ends) - 1:
            return False
        pending = not others and any(one.learned for one in evidence.entrants)
        return not pending and self._decided(present, look)

    def _growth(self, one: Entrant, look: int) -> float | None:
        """By how much it may still improve; None where too little is known of that."""
        share = one.at(look)
        if share == 1:
            return 0.0
        before = [when for when in range(look) if one.at(when) < share and (one.name, when) in self.evidence.rows]
        if not before:
            return None
        early = self.evidence.rows[one.name, before[-1]]
        late = self.evidence.rows[one.name, look][: len(early)]
        gain = float(np.nanmean(late - early)) / math.log(share / one.at(before[-1]), RISE)
        return max(0.0, gain) * math.log(1 / share, RISE)

    def _why_dropped(self, one: Entrant, best: Entrant, look: int, growth: float) -> str:
        mine, other = (100 * self.evidence.mean(name, look) for name in (one.name, best.name))
        reach = f" and at most {100 * growth:.1f} more are expected of all its data" if one.at(look) < 1 else ""
        margin = f"{100 * self.evidence.margin:g} points or more"
        return f"worse than {best.name} by {margin}: {mine:.1f} against {other:.1f} points{reach}"

    def _stop(self, one: Entrant, look: int, why: str) -> None:
        self.stops[one.name] = Stop(self.evidence.looks.ends[look], one.at(look), why)

    # --- the ends -------------------------------------------------------------------------------------------------------

    def _spare(self, tuned: Sequence[Entrant]) -> bool:
        """Whether nothing can be better than some untuned candidate by the margin; then no training begins."""
        margin = self.evidence.margin
        full = [name for name, p_value in self.evidence.headroom(margin).items() if p_value < SPARED]
        if not full:
            return False
        last = len(self.evidence.looks.ends) - 1
        best = max(full, key=lambda name: self.evidence.mean(name, last))
        score = f"{100 * self.evidence.mean(best, last):.1f} points"
        why = f"not trained: {best} scores {score}, and nothing can be better by {100 * margin:g} points or more"
        for one in tuned:
            self.stops[one.name] = Stop(0, 0.0, why)
        self.evidence.untried = tuple(one.name for one in tuned)
        self.ended = f"No training began: {best} leaves no headroom."
        return True

    def _decided(self, present: Sequence[Entrant], look: int) -> bool:
        """Superior to all that are left, or the cheapest of them and not worse, with nobody who could still improve."""
        evidence, better = self.evidence, self.evidence.better(look)
        settled = all(one.at(look) == 1 for one in present)
        able = [one for one in present if self._able(one, look)]
        for one in able:
            others = [other.name for other in present if other is not one]
            beats = all(
                better[frozenset((one.name, other))] < ALPHA_SUPERIOR
                and evidence.mean(one.name, look) > evidence.mean(other, look)
                for other in others
            )
            if beats and (settled or (one.learned and one.at(look) >= CLAIMED)):
                return self._end(f"{one.name} is better than every other candidate", one, look)
        if settled and able:
            cheapest, not_worse = min(present, key=lambda one: one.effort), evidence.not_worse(look, evidence.margin)
            others = [other.name for other in present if other is not cheapest]
            if cheapest in able and all(not_worse[cheapest.name, other] < ALPHA_NOT_WORSE for other in others):
                return self._end(f"{cheapest.name} is the cheapest and not worse than any other by the margin", cheapest, look)
        return False

    def _able(self, one: Entrant, look: int) -> bool:
        evidence = self.evidence
        return evidence.mean(one.name, look) >= self.floor and evidence.above(one.name, self.floor - evidence.margin, look)

    def _end(self, said: str, one: Entrant, look: int) -> bool:
        asked, all_items = self.evidence.looks.ends[look], self.evidence.looks.ends[-1]
        share = one.at(look)
        learned = f", with weights from 1/{round(1 / share)} of its training pairs" if share < 1 else ""
        self.ended = f"Decided after {asked} of {all_items} questions{learned}: {said}."
        return True

    def _course(self) -> Course:
        ends, whole = self.evidence.looks.ends, len(self.evidence.looks.items)
        left = tuple(one.name for one in self.evidence.entrants if one.name not in self.stops)
        for name in left:
            look = max(when for other, when in self.evidence.rows if other == name)
            one = self.evidence.by_name[name]
            early = ends[look] < whole or one.at(look) < 1
            self.stops[name] = Stop(ends[look], one.at(look), "the race was decided" if early else "")
        return Course(self.evidence, self.look, left, self.stops, self.ended)
