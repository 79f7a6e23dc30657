"""`groundtune evaluate`: the figures of one candidate, or of all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import groundtune
from groundtune.cli import output, progress, results
from groundtune.cli.options import HERE, Json, Workspace


def command(
    candidate: Annotated[
        str | None, typer.Argument(metavar="CANDIDATE", help="Candidate to evaluate. Without it: all.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions as JSONL. Without it: the workspace's.")
    ] = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Score the answers of a candidate.

    Nothing is compared or decided; that is what decide does.
    """
    with progress.shown(as_json=json) as show:
        reports = groundtune.evaluate(candidate, root=workspace, questions=questions, progress=show)
    if json:
        output.document({"candidates": reports})
        return
    output.line(results.candidates(output.plain(reports)))
