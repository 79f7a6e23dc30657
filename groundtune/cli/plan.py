"""`groundtune plan`: what training would take."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output, progress, results
from groundtune.cli.options import HERE, Json, Workspace


def command(
    candidates: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CANDIDATE]...", help="Tuned candidates. Without any: every tuned one that is configured."),
    ] = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Say what training would take.

    Tokens, minutes, memory, the smallest difference that the questions can show, and how far the last estimates were off.
    """
    with progress.shown(as_json=json) as show:
        plans = groundtune.plan(tuple(candidates or ()), root=workspace, progress=show)
    if json:
        output.document({"plans": plans})
        return
    output.line(results.training_plans([output.plain(one) for one in plans]))
