"""`groundtune sweep`: which retrieval settings show most of the evidence, and what each choice is worth."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output, progress
from groundtune.cli.options import HERE, Json, Workspace


def command(
    write: Annotated[bool, typer.Option("--write", help="Write the choice into groundtune.toml.")] = False,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Choose retrieval settings by the questions' evidence.

    From 300 questions on the part that a decision scores is not looked at.
    """
    with progress.shown(as_json=json) as show:
        result = groundtune.sweep(workspace, write=write, progress=show)
    if json:
        output.document(result)
        return
    swept = result.swept
    rows = [
        (
            one.axis,
            one.option + (" *" if one.chosen else ""),
            f"{100 * one.evidence:.1f}",
            f"{one.tokens:.0f}",
            "" if one.interval is None else f"{100 * one.difference:+.1f}",
            "" if one.interval is None else f"[{100 * one.interval.low:+.1f}, {100 * one.interval.high:+.1f}]",
        )
        for one in swept.worth
    ]
    output.line(output.table(("choice", "option", "evidence %", "tokens", "difference", "95 %"), rows))
    output.line()
    now = f"{100 * swept.before:.1f} % of the evidence shown in {swept.tokens_before:.0f} tokens now"
    then = f"{100 * swept.after:.1f} % in {swept.tokens_after:.0f} with the options marked *"
    output.line(f"{swept.questions} questions: {now}, {then}.")
    found = swept.abstention
    if found is not None:
        asked = f"{found.answerable} answerable and {found.unanswerable} unanswerable questions"
        kept = f"{100 * found.coverage:.0f} % are answered, {100 * found.answered_precision:.0f} % of these answerable"
        output.line(f"abstaining below an evidence of {found.threshold:.3f}: of {asked} {kept}; AUROC {found.auroc:.2f}.")
    output.note("the figures of the choice are a little too high: they come from the questions that it was made on.")
    if not result.sealed:
        output.note("every question was used, so a decision on the same questions is a further look at them.")
    for table, keys in swept.changes.items():
        output.line(f"[{table}]")
        for key, value in keys.items():
            output.line(f"{key} = {output.toml(value)}")
    if not swept.changes:
        output.line("the present settings stay.")
    elif result.written:
        output.note("written to groundtune.toml; run: groundtune sync")
    else:
        output.note("to write this into groundtune.toml run: groundtune sweep --write")
