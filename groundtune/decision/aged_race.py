"""A race as it is expected to look once facts are as old as they get. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from groundtune.decision.aging import Memory, aged, aging, horizon, still_right
from groundtune.decision.constraints import Measured
from groundtune.types import Example, Score


@dataclass(frozen=True)
class AgedRace:
    """Scores and figures of a race at any rate of change."""

    scores: Mapping[str, Sequence[Score]]
    measured: Mapping[str, Measured]
    metric: str
    examples: Sequence[Example]

    @property
    def applies(self) -> bool:
        """Whether facts age here, and it is known of every candidate how often they are renewed."""
        return bool(self.measured) and len(self._worths(0.0)) == len(self.measured)

    @property
    def now(self) -> float | None:
        """The rate that the operator named."""
        return next((found.aging.per_month for found in self.measured.values() if found.aging is not None), None)

    def scores_at(self, rate: float) -> dict[str, list[Score]]:
        """Only where it `applies`."""
        worths, answerable = self._worths(rate), self._answerable()
        return {
            name: aged(scores, metric=self.metric, worth=worths[name], answerable=answerable)
            for name, scores in self.scores.items()
        }

    def figures_at(self, rate: float) -> dict[str, Measured]:
        """The figures with what changed facts cost at that rate."""
        answerable, longest = self._answerable(), self._horizon()
        figures: dict[str, Measured] = {}
        for name, found in self.measured.items():
            told = None
            if found.staleness is not None:
                told = aging(
                    self.scores[name],
                    found.staleness,
                    metric=self.metric,
                    answerable=answerable,
                    per_month=rate,
                    horizon=longest,
                    memory=_memory(found),
                )
            figures[name] = replace(found, aging=told)
        return figures

    def _worths(self, rate: float) -> dict[str, float]:
        """Of the candidates of which it is known."""
        longest, found = self._horizon(), {}
        for name, one in self.measured.items():
            if one.staleness is not None:
                worth = still_right(one.staleness, per_month=rate, horizon=longest, memory=_memory(one))
                if worth is not None:
                    found[name] = worth
        return found

    def _horizon(self) -> float | None:
        return horizon(found.staleness for found in self.measured.values() if found.staleness is not None)

    def _answerable(self) -> set[str]:
        return {example.id for example in self.examples if example.answers}


def _memory(found: Measured) -> Memory | None:
    return found.aging.memory if found.aging is not None else None
