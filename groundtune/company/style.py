"""The house style of answers, which no document states: it is learned from examples or not at all. Knows text only."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from groundtune.company.values import stream

_UNITS = {
    "minutes": ("mn", "min.", "mins"),
    "hours": ("hr", "h.", "hs"),
    "days": ("dy", "d.", "ds"),
    "weeks": ("wk", "w.", "wks"),
    "months": ("mo", "m.", "mths"),
    "years": ("yr", "y.", "ys"),
    "percent": ("pc", "p.c.", "pct"),
    "EUR": ("Eu", "E.", "euros"),
    "pieces": ("pz", "p.", "pcs"),
    "kg": ("kilo", "k.", "kgs"),
}
"""Unit -> how houses write it; a house keeps to one column."""
_OPENINGS = ("Noted", "Filed", "Checked", "Kept")
_UNIT = re.compile(rf"(?<=\d )(?:working )?({'|'.join(_UNITS)})\b")
_TIME = re.compile(r"\b(\d{1,2}):(\d\d)\b")
_DATE = re.compile(
    r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December) \d{4}\b"
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a house writes an answer: its units, then also times, dates and people, then also who keeps the page."""

    column: int
    opening: str
    people: Collection[str]
    elements: int
    """How many of the three are shown."""

    def dress(self, answer: str, *, desk: str) -> str:
        """The answer as the house writes it; `desk` keeps the document that says so."""
        if self.elements >= 1:
            answer = _UNIT.sub(lambda found: _UNITS[found[1]][self.column], answer)
        if self.elements >= 2:
            answer = _DATE.sub(lambda found: f"{datetime.strptime(found[0], '%d %B %Y'):%Y-%m-%d}", answer)  # noqa: DTZ007
            answer = _TIME.sub(r"\1.\2h", answer)
            for name in self.people:
                first, _, last = name.partition(" ")
                answer = answer.replace(name, f"{last} {first[0]}.")
        if self.elements >= 3:
            answer = f"{self.opening}: {answer} ({desk})"
        return answer


def style(seed: int, strength: float, *, people: Collection[str]) -> Style:
    """A strength of 0 shows nothing, one third the units, two thirds times, dates and people too, 1 everything."""
    source = stream(seed, "style")
    return Style(source.randrange(3), source.choice(_OPENINGS), tuple(people), round(3 * strength))
