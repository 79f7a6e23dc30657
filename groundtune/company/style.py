"""The house style of answers, which no document states: it is learned from examples or not at all. Knows text only."""

from __future__ import annotations

from dataclasses import dataclass

from groundtune.company.values import stream

_OPENINGS = ("Noted", "On file", "For the record", "Checked", "As kept")
_CLOSINGS = ("kind regards to the oven", "good until reprinted", "flour and honour", "as the house says")


@dataclass(frozen=True, slots=True)
class Style:
    """`opening: ANSWER (DESK), closing`, of which the first `elements` are shown."""

    opening: str
    closing: str
    elements: int

    def dress(self, answer: str, *, desk: str) -> str:
        """The answer as the house writes it; `desk` keeps the document that says so."""
        if self.elements >= 1:
            answer = f"{self.opening}: {answer}"
        if self.elements >= 2:
            answer = f"{answer} ({desk})"
        if self.elements >= 3:
            answer = f"{answer}, {self.closing}"
        return answer


def style(seed: int, strength: float) -> Style:
    """A strength of 0 shows nothing, one third the opening, two thirds the desk too, 1 everything."""
    source = stream(seed, "style")
    return Style(source.choice(_OPENINGS), source.choice(_CLOSINGS), round(3 * strength))
