"""Which change of a price, a limit or the margin would change the verdict. Pure: decides anew from stored per-item scores.

A verdict depends on prices and limits only through who is allowed and in which order of cost they stand, so their break points
are exact: every one is a measured figure of some candidate. For the margin a range is searched and the change bisected.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from groundtune.decision.aged_race import AgedRace
from groundtune.decision.constraints import Limits, Measured, breaches
from groundtune.decision.evidence import Seen
from groundtune.decision.repeated import quick_collections, remembered
from groundtune.decision.verdict import decide_verdict
from groundtune.evaluation.statistics import contrast
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.types import Example, Score, VerdictKind

MARGINS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25)
"""Margins tried beside the one that is set; between two neighbours that agree a change and its undoing would be missed."""
MARGIN_STEP = 0.0005
"""Bisection stops here: a twentieth of a point."""
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of facts that change a month, tried in this order until the verdict on expected scores is another."""
RATE_STEP = 0.05
"""Bisection stops at this part of the rate."""
PRICE_FACTOR = 10.0
"""Prices are varied from a tenth of what they are to ten times."""
_BEYOND = 1e-9

Direction = Literal["above", "below", "if"]
_UNITS = {
    "max_p95_seconds": ("p95 latency", "s"),
    "max_cost_per_1000": ("the cost of 1,000 answers", ""),
    "max_memory_gb": ("memory", "GiB"),
    "max_staleness_hours": ("the age of facts", "h"),
    "max_staleness_loss": ("what changed facts cost", "of the metric"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The part of a verdict that people act on."""

    kind: VerdictKind
    winner: str | None
    provisional: str | None

    @property
    def used(self) -> str | None:
        return self.winner or self.provisional

    def words(self) -> str:
        if self.winner:
            return f"{self.winner} would win ({self.kind})"
        if self.kind == "inconclusive":
            return f"the verdict would be inconclusive, meanwhile {self.provisional}"
        return "none would be good enough"


@dataclass(frozen=True, slots=True)
class Change:
    """The nearest point, in one direction, at which the verdict becomes another."""

    lever: str
    """What is changed: `margin`, a key of `[decision]`, or a price."""
    now: float | None
    """Its value in this decision; None when there is no such limit."""
    direction: Direction
    at: float | None
    """The break point, in the lever's own unit; None when any limit at all is one. A switch such as must_cite changes "if" it
    is turned to this, 0 or 1."""
    outcome: Outcome
    words: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    changes: tuple[Change, ...]
    tried: tuple[str, ...]
    """Every lever that was varied, with its range, so that silence about one can be read as "changes nothing"."""


def sensitivity(
    scores: Mapping[str, Sequence[Score]],
    *,
    metric: str,
    examples: Sequence[Example],
    measured: Mapping[str, Measured],
    limits: Limits,
    prices: Mapping[str, Sequence[str]],
    margin: float,
    floor: float | None = None,
    seed: int = 0,
    settings: Settings = NOTHING_SET,
    seen: Seen | None = None,
) -> Sensitivity:
    """Break points of the verdict on `scores`, one lever at a time, the others staying as they are.

    `scores` and `measured` are of all candidates that ran, also of those that break a limit now; `prices` maps each price to
    the candidates whose answers it makes cheaper or dearer in proportion; the other arguments are those of `decide_verdict`.
    Limits are not varied where candidates were dropped: one might come back if what it was dropped for went. The rate at which
    facts change is not varied where a race took several looks, whose tests are of the scores as they are.
    """
    search = _Search(scores, metric, examples, measured, limits, margin, floor, seed, settings, seen)
    with quick_collections():
        limited = () if seen and seen.others else (*search.limits(), *search.citing())
        rates = () if seen else search.rates()
        changes = [*search.margins(), *limited, *rates, *search.costs(prices)]
    return Sensitivity(tuple(changes), search.tried(prices))


class _Search:
    def __init__(
        self,
        scores: Mapping[str, Sequence[Score]],
        metric: str,
        examples: Sequence[Example],
        measured: Mapping[str, Measured],
        limits: Limits,
        margin: float,
        floor: float | None,
        seed: int,
        settings: Settings,
        seen: Seen | None,
    ) -> None:
        self._scores, self._metric, self._examples = scores, metric, examples
        self._measured, self._limits, self._margin, self._floor, self._seed = measured, limits, margin, floor, seed
        self._settings, self._seen = settings, seen
        self._aged = AgedRace(scores, measured, metric, examples)
        self._compare = remembered(contrast)
        self._known: dict[tuple[tuple[str, ...], float, float], Outcome] = {}
        self._costs = {
            name: math.inf if figures.cost_per_1000 is None else figures.cost_per_1000 for name, figures in measured.items()
        }
        self._base = self._outcome()

    def _outcome(
        self,
        *,
        margin: float | None = None,
        limits: Limits | None = None,
        costs: Mapping[str, float] | None = None,
        rate: float = 0.0,
    ) -> Outcome:
        """With a `rate` of change, on the scores that are expected once facts are as old as they get."""
        margin, limits, costs = margin or self._margin, limits or self._limits, costs or self._costs
        figures = {
            name: replace(found, cost_per_1000=costs[name] if found.cost_per_1000 is not None else None)
            for name, found in (self._aged.figures_at(rate) if rate else self._measured).items()
        }
        allowed = [name for name in self._scores if not breaches(figures[name], limits)]
        key = tuple(sorted(allowed, key=lambda name: costs[name])), margin, rate
        if key not in self._known:
            scores = self._aged.scores_at(rate) if rate else self._scores
            verdict = decide_verdict(
                {name: scores[name] for name in allowed},
                metric=self._metric,
                examples=self._examples,
                costs=costs,
                margin=margin,
                floor=self._floor,
                seed=self._seed,
                settings=self._settings,
                compare=self._compare,
                seen=self._seen,
            ).verdict
            self._known[key] = Outcome(verdict.kind, verdict.winner, verdict.provisional)
        return self._known[key]

    # --- the levers -----------------------------------------------------------------------------------------------------

    def margins(self) -> Iterator[Change]:
        """Outwards from the margin that is set; the first change in each direction, bisected."""
        for direction, points in (
            ("below", [point for point in reversed(MARGINS) if point < self._margin]),
            ("above", [point for point in MARGINS if point > self._margin]),
        ):
            same = self._margin
            for point in points:
                if self._outcome(margin=point) == self._base:
                    same = point
                    continue
                other = point
                while abs(other - same) > MARGIN_STEP:
                    middle = (same + other) / 2
                    if self._outcome(margin=middle) == self._base:
                        same = middle
                    else:
                        other = middle
                outcome = self._outcome(margin=other)
                words = f"With a margin {direction} {100 * other:.1f} points (now {100 * self._margin:g}), {outcome.words()}."
                yield Change("margin", self._margin, "below" if direction == "below" else "above", other, outcome, words)
                break

    def limits(self) -> Iterator[Change]:
        """A limit drops a candidate as soon as it is below that candidate's figure, and admits it from there on."""
        for lever, (name, unit) in _UNITS.items():
            values = sorted({value for found in self._measured.values() if (value := _figure(found, lever)) is not None})
            now: float | None = getattr(self._limits, lever)
            current = math.inf if now is None else now
            set_to = f"now {now:g} {unit}".rstrip() if now is not None else "none now"
            unit = unit or self._limits.currency
            for value in reversed([value for value in values if value <= current]):
                outcome = self._outcome(limits=_limited(self._limits, lever, math.nextafter(value, -math.inf)))
                if outcome != self._base:
                    finite = math.isfinite(value)
                    what = f"{name} limited to less than {value:.4g} {unit}" if finite else f"any limit on {name}"
                    words = f"With {what} ({set_to}), {outcome.words()}."
                    yield Change(f"decision.{lever}", now, "below", value if finite else None, outcome, words)
                    break
            for value in [value for value in values if current < value < math.inf]:
                outcome = self._outcome(limits=_limited(self._limits, lever, value))
                if outcome != self._base:
                    words = f"With {name} allowed up to {value:.4g} {unit} ({set_to}), {outcome.words()}."
                    yield Change(f"decision.{lever}", now, "above", value, outcome, words)
                    break

    def citing(self) -> Iterator[Change]:
        turned = not self._limits.must_cite
        if (outcome := self._outcome(limits=replace(self._limits, must_cite=turned))) != self._base:
            words = f"If citations were {'required' if turned else 'not required'}, {outcome.words()}."
            yield Change("decision.must_cite", float(not turned), "if", float(turned), outcome, words)

    def rates(self) -> Iterator[Change]:
        """The share of changing facts from which another candidate would be used, by expected scores; bisected."""
        now, used = self._aged.now, self._base.used
        same = now or 0.0 if self._limits.max_staleness_loss is not None else 0.0
        for other in [rate for rate in RATES if rate > same] if self._aged.applies else []:
            if self._outcome(rate=other).used == used:
                same = other
                continue
            while other - same > RATE_STEP * other:
                middle = (same + other) / 2
                same, other = (middle, other) if self._outcome(rate=middle).used == used else (same, middle)
            outcome = self._outcome(rate=other)
            told = "not said" if now is None else f"now {100 * now:.2g} %"
            words = f"With {100 * other:.2g} % of facts changing a month ({told}), {outcome.words()} by expected scores."
            yield Change("upkeep.facts_changed_per_month", now, "above", other, outcome, words)
            return

    def costs(self, prices: Mapping[str, Sequence[str]]) -> Iterator[Change]:
        """Each price, and the answers of each candidate alone: only where two costs cross, or one crosses the limit."""
        alone = {f"1,000 answers of {name}": (name,) for name in self._measured}
        for lever, names in {**prices, **alone}.items():
            moving = [name for name in names if 0 < self._costs.get(name, 0.0) < math.inf]
            against = [cost for name, cost in self._costs.items() if name not in names and 0 < cost < math.inf]
            if self._limits.max_cost_per_1000 is not None:
                against.append(self._limits.max_cost_per_1000)
            factors = sorted({cost / self._costs[name] for name in moving for cost in against})
            price = self._costs[moving[0]] if len(names) == 1 and moving else 1.0
            yield from self._cross(lever, moving, [one for one in factors if 1 <= one <= PRICE_FACTOR], "above", price)
            below = [one for one in reversed(factors) if 1 / PRICE_FACTOR <= one <= 1]
            yield from self._cross(lever, moving, below, "below", price)

    def _cross(
        self, lever: str, moving: Sequence[str], factors: Sequence[float], direction: Direction, price: float
    ) -> Iterator[Change]:
        for factor in factors:
            beyond = factor * (1 + _BEYOND if direction == "above" else 1 - _BEYOND)
            outcome = self._outcome(
                costs={name: cost * (beyond if name in moving else 1.0) for name, cost in self._costs.items()}
            )
            if outcome != self._base:
                if lever.startswith("1,000 answers"):
                    figures = f"{factor * price:.4g} {self._limits.currency} (now {price:.4g})"
                    words = f"If {lever} cost {'more' if direction == 'above' else 'less'} than {figures}, {outcome.words()}."
                else:
                    words = f"If {lever} were {direction} {factor:.3g} times what it is, {outcome.words()}."
                yield Change(lever, price, direction, factor * price, outcome, words)
                return

    def tried(self, prices: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        measured = [lever for lever in _UNITS if any(_figure(found, lever) is not None for found in self._measured.values())]
        limits = [*(f"decision.{lever} at every measured value" for lever in measured), "decision.must_cite"]
        if self._seen and self._seen.others:
            limits = []
        aging = self._aged.applies and not self._seen
        limits += [f"upkeep.facts_changed_per_month up to {100 * RATES[-1]:g} %"] if aging else []
        return (
            f"margin from {100 * MARGINS[0]:g} to {100 * MARGINS[-1]:g} points",
            *limits,
            *(f"{price}, from a tenth to ten times" for price in prices),
            "the cost of each candidate's answers, from a tenth to ten times",
        )


def _limited(limits: Limits, lever: str, value: float) -> Limits:
    change: dict[str, Any] = {lever: value}
    return replace(limits, **change)


def _figure(found: Measured, lever: str) -> float | None:
    if lever == "max_staleness_hours":
        return found.staleness.hours if found.staleness is not None else None
    values = {
        "max_p95_seconds": found.p95_seconds,
        "max_cost_per_1000": found.cost_per_1000,
        "max_memory_gb": found.memory_gb,
        "max_staleness_loss": found.aging.loss if found.aging is not None else None,
    }
    return values[lever]
