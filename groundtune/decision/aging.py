"""What changed facts cost until they are renewed: scores as they are expected to become. Pure; knows no model and no clock.

A right answer about a fact in the documents turns wrong when the fact changes and nothing renews it. So its expected score is
its score times the chance that the fact is still as it was, (1 - r) ^ (hours / 720) with r the share that changes within 30
days. Weights beside a fresh context add the facts that they tell from memory although the context says otherwise: that share
is measured, not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from groundtune.types import Score

MONTH = 720.0
"""Hours of the 30 days that a rate of change is told for."""

Renewal = Literal["interval", "never", "unsaid"]


@dataclass(frozen=True, slots=True)
class Staleness:
    """How old the facts in an answer can get."""

    hours: float
    """Infinite when nothing renews them, or nobody said when."""
    why: str
    renewal: Renewal = "interval"
    """Whether facts are renewed at all: every `hours`; never; or nobody said how often."""
    weights_hours: float | None = None
    """Age of tuned weights beside a context that is fresher; infinite when nobody said when they are trained anew."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How weights beside a context treat facts that they learned and that the context tells otherwise."""

    known: int
    """Learned questions that were answered right from their own passage."""
    stale: int
    """Of these, answered as before when the passage told another fact."""

    @property
    def share(self) -> float:
        return self.stale / self.known if self.known else 0.0


@dataclass(frozen=True, slots=True)
class Aging:
    """One candidate's mean score now, and when its facts are as old as they get."""

    per_month: float
    """Share of facts that change within 30 days."""
    score: float
    expected: float | None
    """None where nobody said how often its facts are renewed."""
    hours: float | None
    """The age that `expected` is for."""
    memory: Memory | None
    """None where no weights stand beside a context, or too few facts could be edited."""
    words: str

    @property
    def loss(self) -> float | None:
        return None if self.expected is None else self.score - self.expected


def horizon(found: Iterable[Staleness]) -> float | None:
    """Hours of the longest interval that anything is renewed in; what nothing renews is looked at then. None without any."""
    hours = [hours for one in found for hours in (one.hours, one.weights_hours) if hours is not None and math.isfinite(hours)]
    return max(hours, default=None)


def as_it_was(per_month: float, hours: float) -> float:
    """The chance that a fact did not change within these hours."""
    return float((1 - per_month) ** (hours / MONTH))


def still_right(found: Staleness, *, per_month: float, horizon: float | None, memory: Memory | None = None) -> float | None:
    """What a right answer about the documents is worth when its facts are as old as they get; None where nobody said how old.

    Weights beside a context whose memory was not measured are taken to follow it.
    """
    if found.renewal == "unsaid" or (found.renewal == "never" and horizon is None):
        return None
    hours = horizon if found.renewal == "never" and horizon is not None else found.hours
    worth = as_it_was(per_month, hours)
    if found.weights_hours is not None and memory is not None and memory.share:
        worth *= 1 - memory.share * (1 - as_it_was(per_month, found.weights_hours))
    return worth


def aged(scores: Sequence[Score], *, metric: str, worth: float, answerable: Collection[str]) -> list[Score]:
    """The scores with the metric of answerable items times `worth`; the documents' silence on the others does not age."""
    return [
        replace(score, metrics={**score.metrics, metric: worth * score.metrics[metric]})
        if score.item in answerable and metric in score.metrics
        else score
        for score in scores
    ]


def aging(
    scores: Sequence[Score],
    found: Staleness,
    *,
    metric: str,
    answerable: Collection[str],
    per_month: float,
    horizon: float | None,
    memory: Memory | None,
) -> Aging:
    """The expected score of one candidate, and how it comes about, in words."""
    score = mean(scores, metric)
    worth = still_right(found, per_month=per_month, horizon=horizon, memory=memory)
    if worth is None:
        return Aging(per_month, score, None, None, memory, "what changed facts cost it is not known")
    expected = mean(aged(scores, metric=metric, worth=worth, answerable=answerable), metric)
    hours = horizon if found.renewal == "never" else found.hours
    when = f"after {hours:g} h, the longest interval" if found.renewal == "never" else "just before they are renewed"
    words = f"with {100 * per_month:g} % of facts changing a month, {metric} {score:.3f} becomes {expected:.3f} {when}"
    if memory is not None:
        words += f"; against its context, its weights told {memory.stale} of {memory.known} learned facts as they were"
        if memory.stale and found.weights_hours == math.inf:
            words += ", and upkeep.refresh_hours does not say for how long: all of them count as changed"
    elif found.weights_hours is not None:
        words += "; that its weights tell old facts against its context was not measured, and is taken not to happen"
    return Aging(per_month, score, expected, hours, memory, words)


def mean(scores: Sequence[Score], metric: str) -> float:
    values = [score.metrics[metric] for score in scores if metric in score.metrics]
    return sum(values) / len(values) if values else 0.0


def loss_breach(found: Aging | None, limit: float) -> list[str]:
    """How a candidate breaks the limit on what changed facts may cost; an unknown loss breaks every limit."""
    if found is None:
        return ["upkeep.facts_changed_per_month does not say how many facts change, and max_staleness_loss is set"]
    if found.loss is None:
        return [f"{found.words}, and max_staleness_loss is set"]
    return [f"changed facts cost it {found.loss:.3f} before they are renewed, above {limit:g}"] if found.loss > limit else []
