"""How a race is going to be run, as its plan says it. Plain data."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from groundtune.decision.evidence import Entrant


@dataclass(frozen=True, slots=True)
class Frugality:
    """How a race is going to be run."""

    race: Literal["exhaustive", "frugal"]
    why: str
    """Why it is exhaustive although it was to be frugal; else empty."""
    looks: tuple[int, ...]
    """Questions at each look, from the first."""
    entrants: tuple[Entrant, ...]
    exhaustive: Mapping[str, Mapping[str, float]]
    """Candidate -> stage -> planned seconds when it learns and answers everything."""
    least: Mapping[str, float]
    """Candidate -> planned seconds when all but the cheapest drop out at the first look and no training begins."""

    def of(self, chosen: Container[str]) -> Frugality:
        """The same for the candidates that a budget left."""
        return replace(
            self,
            entrants=tuple(one for one in self.entrants if one.name in chosen),
            exhaustive={name: stages for name, stages in self.exhaustive.items() if name in chosen},
            least={name: seconds for name, seconds in self.least.items() if name in chosen},
        )

    @property
    def note(self) -> str:
        """What the plan says of it; empty for a plain exhaustive race."""
        if self.why:
            return f"The race is exhaustive: {self.why}."
        if self.race == "exhaustive":
            return ""
        counts = ", ".join(map(str, self.looks))
        least = sum(self.least.values()) / 60
        whole = sum(seconds for stages in self.exhaustive.values() for seconds in stages.values()) / 60
        return (
            f"The race is frugal, with looks after {counts} questions. Planned is the most that it may take; the least is "
            f"{least:.1f} minutes, and the exhaustive race takes {whole:.1f}."
        )
