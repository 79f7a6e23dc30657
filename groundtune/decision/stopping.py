"""Which candidate answers, learns and stops when, so that no more is measured than a verdict needs. Pure: it is handed scores.

Untuned candidates answer look by look; one that is worse than another by the margin or more is dropped. Training waits while
the best of them may leave no headroom. Tuned candidates learn a quarter of their pairs first and answer look by look beside
the others, and learn all as soon as further answers cost more than they are likely to save. With everything learned it also
ends when nobody is likely to win. With a quarter one is dropped when it would be worse by the margin even if all its data
brought as much for each fourfold as the last fourfold did, from a sixteenth, which is trained only to know that: no learning
curve is taken to grow steeper, as in learning-curve cross-validation (Mohr and van Rijn 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from groundtune.decision.evidence import CLAIMED, SPARED, Entrant, Evidence, Looks, Seen
from groundtune.evaluation.bounded import Array
from groundtune.evaluation.statistics import sign_flip
from groundtune.types import ALPHA_NOT_WORSE, ALPHA_SUPERIOR

RISE = 4
"""A rung of data has so many times the pairs of the one before."""
RUNGS = (1 / 16, 1 / 4, 1.0)
FEWEST_PAIRS = {1 / 16: 64, 1 / 4: 16}
"""Training pairs of a rung. Below 64 in the sixteenth, where curves were seen to steepen, nothing is projected."""
HOPELESS = 2
"""Margins that a tuned candidate must be behind before a smaller rung is trained to see how fast it learns."""
LOOKS = (0.125, 0.25, 0.5, 1.0)
"""Shares of the groups that are seen at each look."""
FEWEST_GROUPS = 10
"""Of the first look; with fewer there is one look less."""
FUTILE = 0.1
"""A race ends when nobody's chance of winning it is that good."""

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
        learned = {name: stop.learned for name, stop in self.stops.items() if stop.learned}
        return Seen(self.evidence, learned, tuple(name for name in learned if name not in self.left))


def rungs_of(pairs: int) -> tuple[float, ...]:
    """The shares of its training pairs that a candidate learns one after the other: those with pairs enough, and all."""
    return tuple(share for share in RUNGS if pairs * share >= FEWEST_PAIRS.get(share, 0))


def race(
    entrants: Sequence[Entrant],
    looks: Looks,
    *,
    measure: Measure,
    margin: float,
    floor: float,
    seed: int = 0,
    flip: Callable[..., tuple[float, str]] = sign_flip,
) -> Course:
    """Run it. The same scores give the same course, so an interrupted one is repeated from what was stored.

    `flip` stands in for `sign_flip` where thousands of races are replayed.
    """
    return _Race(Evidence(tuple(entrants), looks, margin, seed, flip=flip), measure, floor).run()


@dataclass
class _Race:
    evidence: Evidence
    measure: Measure
    floor: float
    stops: dict[str, Stop] = field(default_factory=dict)
    learned: dict[str, float] = field(default_factory=dict)
    """Candidate -> the share of its pairs that its present weights learned."""
    look: int = 0
    ended: str = ""

    def run(self) -> Course:
        by_effort = sorted(self.evidence.entrants, key=lambda one: one.effort)
        untuned, tuned = [one for one in by_effort if not one.rungs], [one for one in by_effort if one.rungs]
        many, turns = len(self.evidence.looks.ends), max(1, self.evidence.turns)
        asked = self._until_headroom(untuned, tuned) if untuned and tuned else -1
        for turn in range(turns):
            self._learn(tuned, turn)
            for look in range(many):
                if look > asked:
                    self._ask(untuned, look, others=())
                    asked = look
                self._ask(tuned, look, others=untuned)
                if look < asked and not self._left(tuned):
                    continue  # the others have answered more
                if self._decided([*self._left(tuned), *self._left(untuned)], look):
                    return self._course()
                if turn + 1 < turns and not self._goes_on(tuned, untuned, look):
                    break
        self.look = many - 1
        return self._course()

    def _goes_on(self, tuned: Sequence[Entrant], untuned: Sequence[Entrant], look: int) -> bool:
        """Whether a part of the pairs is worth further answers: what it saves by winning, times the chance of that, is more."""
        if look == len(self.evidence.looks.ends) - 1 or not self._left(tuned):
            return True
        present = [*self._left(tuned), *self._left(untuned)]
        best = max(present, key=lambda one: self._mean(one, look))
        others = [one.name for one in present if one is not best]
        if not best.rungs or not others:
            return not others
        saved = self.evidence.chance_of_beating(best.name, others, self.learned, look) * sum(one.training for one in present)
        return saved > (1 - self.evidence.looks.shares[look]) * sum(one.effort for one in present)

    def _learn(self, tuned: Sequence[Entrant], turn: int) -> None:
        for one in self._left(tuned):
            self.learned[one.name] = one.at(turn, self.evidence.turns)

    def _until_headroom(self, untuned: Sequence[Entrant], tuned: Sequence[Entrant]) -> int:
        """Ask untuned candidates until the best is shown to leave headroom, and return that look; else spare the training."""
        last = len(self.evidence.looks.ends) - 1
        for look in range(last):
            self._ask(untuned, look, others=())
            best = max(self._left(untuned), key=lambda one: self._mean(one, look))
            if self.evidence.below_ceiling(best.name, look):
                return look
        self._ask(untuned, last, others=())
        self._spare(tuned)
        return last

    def _left(self, some: Sequence[Entrant]) -> list[Entrant]:
        return [one for one in some if one.name not in self.stops]

    # --- one look -------------------------------------------------------------------------------------------------------

    def _ask(self, some: Sequence[Entrant], look: int, *, others: Sequence[Entrant]) -> None:
        """Measure `some` on one look, compare them with each other and with `others`, and drop who is worse by the margin."""
        evidence, asked, against = self.evidence, self._left(some), self._left(others)
        for one in asked:
            share = self.learned.setdefault(one.name, 1.0)
            if (one.name, share, look) not in evidence.rows:
                evidence.rows[one.name, share, look] = self.measure(one.name, look, share)
        self.look = look
        pairs = [*combinations((one.name for one in asked), 2), *((one.name, other.name) for one in asked for other in against)]
        growth = {one.name: rise for one in asked if (rise := self._growth(one, look, [*asked, *against])) is not None}
        evidence.see(look, pairs, learned=self.learned, growth=growth)
        worse, better = evidence.worse(self.learned), evidence.better(self.learned)
        for one in asked:
            over = [
                other
                for other in (*asked, *against)
                if other is not one
                and worse[one.name, other.name] < ALPHA_NOT_WORSE
                and better[frozenset((one.name, other.name))] < ALPHA_SUPERIOR
            ]
            if over:
                best = max(over, key=lambda other: self._mean(other, look))
                why = self._why_dropped(one, best, look, growth.get(one.name, 0.0))
                self.stops[one.name] = Stop(evidence.looks.ends[look], self.learned[one.name], why)

    def _mean(self, one: Entrant, look: int) -> float:
        return self.evidence.mean(one.name, self.learned[one.name], look)

    def _growth(self, one: Entrant, look: int, field: Sequence[Entrant]) -> float | None:
        """By how much its score may still rise; None where that is not known, or could not have it dropped anyway."""
        share, lower = self.learned[one.name], [rung for rung in one.rungs if rung < self.learned[one.name]]
        if share == 1:
            return 0.0
        lead = max((self._mean(other, look) for other in field if self.learned[other.name] == 1), default=0.0)
        if not lower or self._mean(one, look) > lead - HOPELESS * self.evidence.margin:
            return None
        early = self.measure(one.name, look, lower[-1])
        gain = float(np.nanmean(self.evidence.rows[one.name, share, look] - early)) / math.log(share / lower[-1], RISE)
        return max(0.0, gain) * math.log(1 / share, RISE)

    def _why_dropped(self, one: Entrant, best: Entrant, look: int, growth: float) -> str:
        mine, other = 100 * self._mean(one, look), 100 * self._mean(best, look)
        reach = f", and all its data may bring {100 * growth:.1f} more" if self.learned[one.name] < 1 else ""
        return (
            f"worse than {best.name} by {100 * self.evidence.margin:g} points or more: "
            f"{mine:.1f} against {other:.1f} on {self.evidence.looks.ends[look]} questions{reach}"
        )

    # --- the ends -------------------------------------------------------------------------------------------------------

    def _spare(self, tuned: Sequence[Entrant]) -> None:
        """Train nobody where nothing can be better than some untuned candidate by the margin."""
        margin = self.evidence.margin
        full = [name for name, p_value in self.evidence.headroom(margin).items() if p_value < SPARED]
        if not full:
            return
        best = max((self.evidence.by_name[name] for name in full), key=lambda one: self._mean(one, self.look))
        why = (
            f"not trained: {best.name} scores {100 * self._mean(best, self.look):.1f} points, and nothing can be better by "
            f"{100 * margin:g} or more"
        )
        for one in tuned:
            self.stops[one.name] = Stop(0, 0.0, why)
        self.evidence.untried = tuple(one.name for one in tuned)
        self.ended = f"No training began: {best.name} leaves no headroom."

    def _decided(self, present: Sequence[Entrant], look: int) -> bool:
        """Whether one is superior to all that are left, or the cheapest of them is not worse and nobody can still improve."""
        evidence, names = self.evidence, [one.name for one in present]
        settled = all(self.learned[name] == 1 for name in names)
        if settled and look == len(evidence.looks.ends) - 1:
            return False
        better = evidence.better(self.learned)
        for one in present:
            beats = all(
                better[frozenset((one.name, other.name))] < ALPHA_SUPERIOR and self._mean(one, look) > self._mean(other, look)
                for other in present
                if other is not one
            )
            if beats and (settled or (one.rungs and self.learned[one.name] >= CLAIMED)) and self._able(one, look):
                return self._end(f"{one.name} is better than every other candidate", one, look)
        if not settled:
            return False
        cheapest = min(present, key=lambda one: one.effort)
        if evidence.may_hold_up(cheapest.name, self.learned, look) and self._able(cheapest, look):
            not_worse = evidence.not_worse(self.learned, evidence.margin)
            if all(not_worse[cheapest.name, name] < ALPHA_NOT_WORSE for name in names if name != cheapest.name):
                return self._end(f"{cheapest.name} is the cheapest and not worse than any other by the margin", cheapest, look)
        return self._futile(names, look)

    def _futile(self, names: Sequence[str], look: int) -> bool:
        """Whether nobody is likely to win any more, with all that they can learn."""
        best = max(
            self.evidence.chance_of_winning(name, [other for other in names if other != name], self.learned, look, self.floor)
            for name in names
        )
        if best >= FUTILE:
            return False
        asked, whole = self.evidence.looks.ends[look], self.evidence.looks.ends[-1]
        self.ended = (
            f"Ended after {asked} of {whole} questions: nobody has a chance of {100 * FUTILE:g} % to win with all of them."
        )
        return True

    def _able(self, one: Entrant, look: int) -> bool:
        least = self.floor - self.evidence.margin
        return self._mean(one, look) >= self.floor and self.evidence.above(one.name, self.learned[one.name], least, look)

    def _end(self, said: str, one: Entrant, look: int) -> bool:
        share, asked, whole = self.learned[one.name], self.evidence.looks.ends[look], self.evidence.looks.ends[-1]
        learned = f", with weights from 1/{round(1 / share)} of its training pairs" if share < 1 else ""
        self.ended = f"Decided after {asked} of {whole} questions{learned}: {said}."
        return True

    def _course(self) -> Course:
        ends = self.evidence.looks.ends
        left = tuple(one.name for one in self.evidence.entrants if one.name not in self.stops)
        for name in left:
            share = self.learned[name]
            look = max(when for other, learned, when in self.evidence.rows if (other, learned) == (name, share))
            early = ends[look] < ends[-1] or share < 1
            self.stops[name] = Stop(ends[look], share, "the race was over" if early else "")
        return Course(self.evidence, self.look, left, self.stops, self.ended)
