"""Values of facts: from a short specification in a page to a text, drawn by seed. Knows numbers, dates and lists of names."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from groundtune.errors import DataError

_NUMBER = re.compile(r"(-?[\d.]+)\.\.(-?[\d.]+)(?:/([\d.]+))?(?: (.+))?$")
_TIME = re.compile(r"time (\d+):(\d+)\.\.(\d+):(\d+)/(\d+)$")
_DATE = re.compile(r"date (\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)$")
_LETTERS = "ABDEFGHKLMNPRTVXZ"
_TRIES = 50


def stream(*parts: object) -> random.Random:
    """A source of randomness that depends on these names alone, whatever else is drawn."""
    return random.Random(":".join(map(str, parts)))  # noqa: S311 - fiction, not a secret


def share(*parts: object) -> float:
    """A number in [0, 1) that depends on these names alone."""
    drawn = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(drawn[:6]) / 2**48


def turn(count: int, *parts: object) -> int:
    """A number below `count` that depends on these names alone."""
    return int(share(*parts) * count)


def draw(spec: str, *, names: Mapping[str, Sequence[str]], source: random.Random) -> str:
    """A value of a specification. Raises DataError for one that cannot be read.

    `24..31 days` and `0.5..2/0.25 mm` are numbers with a unit, `Monday; Friday` one of several texts, `time 7:00..9:30/15` and
    `date 2026-02-01..2026-05-31` what they say, `code KL-###` letters and digits, and `pick room` one of `names["room"]`.
    """
    if found := _TIME.match(spec):
        first, last, step = (60 * int(found[1]) + int(found[2]), 60 * int(found[3]) + int(found[4]), int(found[5]))
        minutes = source.randrange(first, last + 1, step)
        return f"{minutes // 60}:{minutes % 60:02d}"
    if found := _DATE.match(spec):
        first_day, last_day = date.fromisoformat(found[1]), date.fromisoformat(found[2])
        return spelled(first_day + timedelta(days=source.randrange((last_day - first_day).days + 1)))
    if spec.startswith("code "):
        drawn = (
            source.choice(_LETTERS) if one == "?" else str(source.randrange(10)) if one == "#" else one for one in spec[5:]
        )
        return "".join(drawn)
    if spec.startswith("pick ") and spec[5:] in names:
        return source.choice(names[spec[5:]])
    if found := _NUMBER.match(spec):
        return _number(found[1], found[2], found[3] or "1", found[4] or "", source)
    if ";" in spec:
        return source.choice([one.strip() for one in spec.split(";")])
    raise DataError("this is no specification of a value.", subject=spec)


def other(value: str, spec: str, *, names: Mapping[str, Sequence[str]], source: random.Random) -> str:
    """Another value of the same specification. Raises DataError when it has only one."""
    for _ in range(_TRIES):
        drawn = draw(spec, names=names, source=source)
        if drawn != value:
            return drawn
    raise DataError("this specification has one value only, so nothing can supersede it.", subject=spec)


def spelled(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def short(value: str) -> str | None:
    """A number without its unit, where that is one word."""
    head, _, unit = value.partition(" ")
    return head if re.fullmatch(r"-?[\d.,]+", head) and unit and " " not in unit else None


def _number(low: str, high: str, step: str, unit: str, source: random.Random) -> str:
    places = max(len(part.partition(".")[2]) for part in (low, high, step))
    scale = 10**places
    first, last, width = (round(float(part) * scale) for part in (low, high, step))
    drawn = source.randrange(first, last + 1, width)
    text = f"{drawn / scale:,.{places}f}" if places else f"{drawn:,}" if unit else str(drawn)  # a bare number may be a year
    return f"{text} {unit}".strip()
