"""What a judge said, read strictly, and two orders made one. Knows strings and ratings; no model and no prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from groundtune.types import Preference

_RATING = re.compile(r"\s*(?:Rating:\s*)?(\d{1,2})\s*\.?\s*", re.IGNORECASE)
_BETTER = re.compile(r"\s*(?:Better:\s*)?(?:Answer\s+)?(A|B|tie)\s*\.?\s*", re.IGNORECASE)
_SIDE: dict[str, Preference] = {"a": "first", "b": "second", "tie": "tie"}
_TURNED: dict[Preference, Preference] = {"first": "second", "second": "first", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class BothOrders:
    """One pair, judged in both orders; sides are those of the first order."""

    forward: Preference | None
    backward: Preference | None
    """Of the pair shown the other way round, turned back."""

    @property
    def consistent(self) -> bool:
        return self.forward == self.backward and self.forward is not None

    @property
    def preference(self) -> Preference | None:
        """What both orders say; a tie when they contradict each other; None when either could not be read."""
        if self.forward is None or self.backward is None:
            return None
        return self.forward if self.consistent else "tie"


def read_rating(text: str, *, scale: int) -> int | None:
    """The rating of a reply that is `Rating: N` or N and nothing else, 1 to `scale`; None for any other."""
    found = _RATING.fullmatch(text)
    value = int(found[1]) if found else 0
    return value if 1 <= value <= scale else None


def read_preference(text: str) -> Preference | None:
    """The side of a reply that is `Better: A`, `B` or `tie` and nothing else; None for any other."""
    found = _BETTER.fullmatch(text)
    return _SIDE[found[1].lower()] if found else None


def both_orders(forward: Sequence[Preference | None], backward: Sequence[Preference | None]) -> list[BothOrders]:
    """Join the preferences of pairs with those of the same pairs shown the other way round."""
    return [BothOrders(one, None if other is None else _TURNED[other]) for one, other in zip(forward, backward, strict=True)]
