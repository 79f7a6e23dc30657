"""The Markdown and the HTML page of a report. Knows templates; what they show is made in `view`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from groundtune.reporting import words
from groundtune.reporting.lost import Lost
from groundtune.reporting.view import view


@dataclass(frozen=True, slots=True)
class Pages:
    markdown: str
    html: str
    """Complete in itself: no script, no request to any other place."""


def pages(report: Mapping[str, Any], *, scores: Sequence[Mapping[str, Any]], lost: Lost) -> Pages:
    """The report for people. `scores` are rows of its file of scores, `lost` the texts that its readers may see."""
    shown = {
        "report": report,
        "view": view(report, scores, lost),
        "labels": words.LOSSES,
        "axes": words.AXES,
        "ceilings": words.CEILINGS,
    }
    return Pages(*(_environment().get_template(f"report.{ending}.jinja").render(shown) for ending in ("md", "html")))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("groundtune.reporting"),
        autoescape=select_autoescape(("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number,
        points=words.points,
        plain=words.plain,
        chance=words.chance,
        seconds=words.seconds,
        duration=words.duration,
        interval=words.interval,
        p=words.p_value,
        money=words.money,
        cost=words.cost,
        memory=words.memory,
        share=words.share,
        listed=words.listed,
        cell=_cell,
    )
    return environment


def _cell(text: str) -> str:
    """A text on one line of a Markdown table or list, where it cannot end its cell or begin markup."""
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]<>|#~" else letter for letter in text)
    return " ".join(escaped.split())
