"""Figures and names in the words of the report. Knows how a number is written, not where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LOSSES = (
    ("retrieved", "with retrieved context (R)"),
    ("gold_evidence", "with gold evidence in the prompt (O)"),
    ("gold_evidence_relaxed", "the same, format forgiven"),
    ("closed_book", "closed book"),
    ("answer_in_context", "an accepted answer stands in the retrieved context"),
    ("retrieval_loss", "retrieval loss"),
    ("format_loss", "format loss"),
    ("reading_loss", "reading and reasoning loss"),
)
AXES = (
    ("external_data", "need of external data (1 - closed book, format forgiven)"),
    ("behaviour", "need of capability or behaviour (1 - score when all that must be known is shown)"),
)
CEILINGS = (
    ("answer_in_context", "answerable questions whose retrieved context holds an accepted answer"),
    ("nearest_answer", "the nearest example's answer, without any model"),
    ("reader", "reader probe: tuned on other documents, gold evidence in the prompt"),
)
"""Figures of the probes, in the words of the report."""


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def points(value: float) -> str:
    """A share as signed percentage points."""
    written = f"{100 * value:+.1f}"
    return "0.0" if written in ("+0.0", "-0.0") else written.replace("-", "−")


def chance(value: float) -> str:
    """A chance from a finite number of draws is never written as certain."""
    written = "under 1 %" if value < 0.01 else "over 99 %" if value > 0.99 else f"{100 * value:.0f} %"
    return written.replace(" %", "\N{NO-BREAK SPACE}%")


def plain(value: float) -> str:
    """A share as percentage points; a sign only where it is negative."""
    return points(value).removeprefix("+")


def interval(value: Mapping[str, float] | None) -> str:
    return "" if value is None else f"[{value['low']:.3f}, {value['high']:.3f}]".replace("-", "−")


def seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def duration(value: float) -> str:
    """Seconds as people say them."""
    if value < 90:
        return f"{value:.0f} s" if value >= 1 or value == 0 else "under 1 s"
    return f"{value / 60:.1f} min" if value < 5400 else f"{value / 3600:.1f} h"


def money(value: float, currency: str) -> str:
    """Three significant digits, and no exponent."""
    digits = 2 if value >= 10 or value == 0 else 3 if value >= 0.1 else 4
    return f"{value:,.{digits}f} {currency}"


def cost(found: Mapping[str, Any]) -> str:
    """What 1,000 answers cost; why not, where that is not known."""
    return money(found["per_1000_answers"], found["currency"]) if found["known"] else str(found["basis"])


def memory(candidate: Mapping[str, Any]) -> str:
    held = candidate["memory_gb"]
    return "" if held is None else f"; answering takes {held:.2f} GiB of memory"


def p_value(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def p_said(value: float) -> str:
    """A p-value in a sentence, which is not broken within it."""
    return (f"p {p_value(value)}" if value < 0.001 else f"p = {p_value(value)}").replace(" ", "\N{NO-BREAK SPACE}")


def share(value: float) -> str:
    """A share of a picture's width or height, as CSS and SVG write it."""
    return f"{100 * value:.2f}%"


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many others there are."""
    return ", ".join(names) if len(names) <= most + 1 else f"{', '.join(names[:most])} and {len(names) - most} others"


def short(name: str, *, letters: int = 22) -> str:
    """A name that fits beside a point; the full one stands in the tables."""
    return name if len(name) <= letters else name[: letters - 1] + "…"
