"""Meaning representations: acts with slots, `inform(name[X], genres[A, B])`. Knows the notation; nothing of what it means."""

from __future__ import annotations

import re

_SLOT = r"[\w-]+(?:\s*\[[^\[\]]*\])?"
_SLOTS = rf"(?:{_SLOT}(?:\s*,\s*{_SLOT})*)?"
_ACT = re.compile(rf"\s*([\w-]+)\s*\(\s*({_SLOTS})\s*\)[\s,;]*")
_BARE = re.compile(r"\s*[\w-]+\s*\[[^\[\]]*\](?:\s*,\s*[\w-]+\s*\[[^\[\]]*\])*\s*")
_PART = re.compile(r"([\w-]+)(?:\s*\[([^\[\]]*)\])?")
_LONGEST = 20_000
"""Characters; longer texts are not in the notation."""


def parse_meaning(text: str) -> list[tuple[str, str]] | None:
    """(name, value) of every slot in order, acts as ("act", name); None where the text is not in the notation.

    Slots stand in the parentheses of acts, or alone (`name[X], area[Y]`, as in E2E NLG). Values are cut at commas; a slot
    without brackets, and one with nothing in them, has the value "".
    """
    if len(text) > _LONGEST:
        return None
    if _BARE.fullmatch(text):
        return _slots(text)
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        act = _ACT.match(text, place)
        if not act:
            return None
        found += [("act", act[1]), *_slots(act[2])]
        place = act.end()
    return found or None


def _slots(text: str) -> list[tuple[str, str]]:
    return [(name, value.strip()) for name, inner in _PART.findall(text) for value in inner.split(",")]
