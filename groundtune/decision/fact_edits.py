"""A fact in a text, made another of its kind: numbers, dates and names. Knows words; knows no document and no model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import date, timedelta

from groundtune.scoring.text import normalise

LONGEST = 6
"""Words of a value; a longer answer is a sentence, and no other of its kind can be made."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ISO = re.compile(r"\d{4}-\d\d-\d\d")
_MONTH = re.compile(rf"\b(?:{'|'.join(_MONTHS)})\b")
_DIGITS = re.compile(r"\d+")
_COUNTS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def another(value: str, *, key: str, names: Iterable[str] = ()) -> str | None:
    """Another value of the same kind, the same for the same `key`; None where there is none.

    A date gets another month or day, a number other digits and as many of them; for a name or term one of the same form is
    taken from `names`: a channel for `#team`, an address for `help@firm.com`, a capitalised name for another.
    """
    value = value.strip()
    if not value or len(value.split()) > LONGEST:
        return None
    if found := _ISO.search(value):
        try:
            moved = date.fromisoformat(found[0]) + timedelta(days=40 + _draw(300, key, value))
        except (ValueError, OverflowError):
            return None
        return value[: found.start()] + moved.isoformat() + value[found.end() :]
    if found := _MONTH.search(value):
        place = (_MONTHS.index(found[0]) + 1 + _draw(11, key, value)) % 12
        return value[: found.start()] + _MONTHS[place] + value[found.end() :]
    if found := _DIGITS.search(value):
        return value[: found.start()] + _number(found[0], key, value) + value[found.end() :]
    if value in _COUNTS:
        return _COUNTS[(_COUNTS.index(value) + 1 + _draw(len(_COUNTS) - 1, key, value)) % len(_COUNTS)]
    form, words = _form(value), set(normalise(value).split())
    others = sorted({name for name in names if _form(name) == form and not set(normalise(name).split()) & words})
    return others[_draw(len(others), key, value)] if others else None


def _form(name: str) -> tuple[str, str, bool, bool, bool, bool]:
    """What makes two names alike: the marks around them, an address, a capital, one word or several; no count among them."""
    bare = name.strip("`\"'* ")
    first, last = ("" if not bare or one.isalnum() else one for one in (bare[:1], bare[-1:]))
    return first, last, "@" in bare[1:], bare[len(first) :][:1].isupper(), " " in bare, any(map(str.isdigit, bare))


def replaced(text: str, old: str, new: str) -> str | None:
    """The text with `new` wherever `old` stands as whole words; None where it does not stand."""
    made, count = re.subn(rf"(?<![\w]){re.escape(old)}(?![\w])", lambda _: new, text)
    return made if count else None


def tells(answer: str, value: str) -> bool:
    """Whether the answer holds the value, or its number without the unit, as whole words after normalisation."""
    said = f" {normalise(answer)} "
    return any(f" {form} " in said for form in _forms(value))


def _forms(value: str) -> list[str]:
    whole = normalise(value)
    first, _, rest = whole.partition(" ")
    return [form for form in dict.fromkeys([whole, first if first.isdigit() and rest.isalpha() else whole]) if form]


def _number(digits: str, key: str, value: str) -> str:
    """As many digits, another number; a year stays near."""
    if len(digits) == 4 and digits[:2] in ("19", "20"):
        return str(int(digits) + (1 + _draw(7, key, value)) * (1 if int(digits) < 2018 else -1))
    low, high = (10 ** (len(digits) - 1), 10 ** len(digits)) if len(digits) > 1 else (1, 10)
    old = int(digits)
    drawn = low + _draw(high - low - 1, key, value)
    return str(drawn + 1 if drawn >= old else drawn).zfill(len(digits))


def _draw(count: int, *parts: str) -> int:
    drawn = hashlib.sha256("|".join(parts).encode()).digest()
    return int.from_bytes(drawn[:6]) % max(1, count)
