"""`groundtune advise`: a prior without data, asked for on a terminal or given as options."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import Json

FactsChange = Literal["never", "yearly", "monthly", "weekly", "daily", "hourly"]
Degree = Literal["free", "some", "strict"]
Language = Literal["general", "some", "specialised"]
Hardware = Literal["none", "cpu", "gpu"]

QUESTIONS: Mapping[str, tuple[str, Any]] = {
    "documents": ("Do the answers stand in documents of yours?", bool),
    "facts_change": ("How often do the facts change?", FactsChange),
    "rare_facts": ("Are the facts private or little known?", bool),
    "labelled": ("How many questions with right answers do you have?", int),
    "strictness": ("How strict is the format or style of an answer?", Degree),
    "language": ("How specialised is the language?", Language),
    "latency": ("How many seconds may an answer take?", float),
    "questions_per_day": ("How many questions a day do you expect?", float),
    "hardware": ("What can models run and be tuned on (none: hosted models only)?", Hardware),
    "private": ("Must the text stay in your house?", bool),
    "citations": ("Must answers cite their sources?", bool),
    "several_sources": ("Do answers need more than one passage?", bool),
}
"""What is asked on a terminal, in this order; an empty answer means "do not know"."""


def command(
    documents: Annotated[bool | None, typer.Option("--documents/--no-documents", help="Answers stand in documents.")] = None,
    facts_change: Annotated[FactsChange | None, typer.Option(help="How often the facts change.")] = None,
    rare_facts: Annotated[
        bool | None, typer.Option("--rare-facts/--no-rare-facts", help="The facts are private or little known.")
    ] = None,
    labelled: Annotated[int | None, typer.Option(metavar="N", min=0, help="Questions with right answers that exist.")] = None,
    strictness: Annotated[Degree | None, typer.Option(help="Of format or style.")] = None,
    language: Annotated[Language | None, typer.Option(help="Of the task.")] = None,
    latency: Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="What an answer may take.")] = None,
    questions_per_day: Annotated[float | None, typer.Option(metavar="N", min=0, help="Expected load.")] = None,
    hardware: Annotated[
        Hardware | None, typer.Option(help="What models run and are tuned on; none: hosted models only.")
    ] = None,
    private: Annotated[bool | None, typer.Option("--private/--no-private", help="Text must stay in the house.")] = None,
    citations: Annotated[bool | None, typer.Option("--citations/--no-citations", help="Answers must cite.")] = None,
    several_sources: Annotated[
        bool | None, typer.Option("--several-sources/--one-source", help="Answers need more than one passage.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", metavar="DIR", help="Take prices and settings from its groundtune.toml.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what to expect before there is data.

    It is a prior from guides and papers, and no verdict. On a terminal, what is not given as an option is asked.
    """
    said: dict[str, Any] = {
        "documents": documents,
        "facts_change": facts_change,
        "rare_facts": rare_facts,
        "labelled": labelled,
        "strictness": strictness,
        "language": language,
        "latency": latency,
        "questions_per_day": questions_per_day,
        "hardware": hardware,
        "private": private,
        "citations": citations,
        "several_sources": several_sources,
    }
    if not json and sys.stdin.isatty():
        for name, value in said.items():
            if value is None:
                said[name] = ask(*QUESTIONS[name])
    found = groundtune.advise(groundtune.Situation(**said), root=workspace)
    if json:
        output.document(found)
        return
    show(output.plain(found))


def ask(question: str, kind: Any) -> Any:
    """One answer from the terminal; None for an empty one. Asks again until it is one of the choices, or a number."""
    choices = ("yes", "no") if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()
    hint = f" [{'/'.join(choices)}]" if choices else ""
    while True:
        given = typer.prompt(f"{question}{hint}", default="", show_default=False, err=True).strip().lower()
        if not given:
            return None
        if not choices:
            try:
                number = kind(given)
            except ValueError:
                number = -1
            if number >= 0:
                return number
            output.note("Give a number that is not negative, or nothing if you do not know.")
            continue
        meant = [choice for choice in choices if choice.startswith(given)]
        if len(meant) == 1:
            return meant[0] == "yes" if kind is bool else meant[0]
        output.note(f"Give one of {', '.join(choices)}, or nothing if you do not know.")


def show(found: Mapping[str, Any]) -> None:
    """The advice as text."""
    place = found["position"]
    output.line(found["prior"])
    output.line()
    output.line(f"position on the matrix: {place['words']}")
    for axis in ("external_data", "behaviour"):
        low, high = place[f"{axis}_low"], place[f"{axis}_high"]
        output.line(
            f"  need of {axis.replace('_', ' ')}: {place[axis]:.2f} of 1, unanswered questions leave {low:.2f} to {high:.2f}"
        )
    output.line()
    rows = [
        (
            one["name"],
            "race" if one["race"] else "leave out",
            f"{one['per_1000_answers']:.4f}",
            f"{one['setup']:.4f}",
            f"{one['per_refresh']:.4f}",
            "" if one["per_month"] is None else f"{one['per_month']:.2f}",
            one["current"],
        )
        for one in found["candidates"]
    ]
    unit = found["currency"]
    output.line(
        output.table(("candidate", "advice", f"{unit}/1000", "set-up", "a refresh", "a month", "kept current by"), rows)
    )
    for one in found["candidates"]:
        for reason in one["reasons"]:
            output.line(f"{one['name']}: {reason}")
    output.line()
    output.line("questions to collect, each about another section, to find a true difference with 80 % chance:")
    for row in found["collect"]:
        output.line(f"  {100 * row['effect']:g} points: {row['questions']}")
    output.line()
    for title in ("because", "assumptions", "sources"):
        if found[title]:
            output.line(f"{title}:")
            for text in found[title]:
                output.line(f"  {text}")
    if found["unanswered"]:
        output.line(f"not answered: {', '.join(found['unanswered'])}")
